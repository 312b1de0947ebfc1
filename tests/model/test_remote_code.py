"""A saved folder works for somebody who has transformers but not hfaudio."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

OUTSIDER = """
import json, sys

class NoHfaudio:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "hfaudio":
            raise ModuleNotFoundError("hfaudio is not installed here")

sys.meta_path.insert(0, NoHfaudio())
sys.modules["torchaudio"] = None
try:
    import hfaudio
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("hfaudio could be imported")

import numpy as np
from transformers import AudioClassificationPipeline, AutoModelForAudioClassification, pipeline

folder, waveform, resaved = sys.argv[1], np.load(sys.argv[2]), sys.argv[3]
recording = {"array": waveform, "sampling_rate": 16_000}
classify = pipeline("audio-classification", model=folder, trust_remote_code=True, device="cpu")
assert type(classify).__name__ == "SpectrogramCNNPipeline"
assert type(classify).__module__.startswith("transformers_modules.")
scores = classify(recording)

files = sys.argv[4:]
alone = [classify(file) for file in files]
def check(answers):
    answers = list(answers)
    assert len(answers) == len(alone)
    for answer, right in zip(answers, alone):
        right = {one["label"]: one["score"] for one in right}
        assert all(abs(one["score"] - right[one["label"]]) < 1e-5 for one in answer)
check(classify(files, batch_size=3))
check(classify((file for file in files), batch_size=2))
check(classify([open(file, "rb").read() for file in files]))

stock = pipeline(
    "audio-classification", folder, trust_remote_code=True, device="cpu", pipeline_class=AudioClassificationPipeline
)
assert [one["label"] for one in stock(recording)] == [one["label"] for one in scores]

# Whoever loads the model alone saves the pipeline with it.
AutoModelForAudioClassification.from_pretrained(folder, trust_remote_code=True).save_pretrained(resaved)
classify.feature_extractor.save_pretrained(resaved)
again = pipeline("audio-classification", model=resaved, trust_remote_code=True, device="cpu")
assert type(again).__name__ == "SpectrogramCNNPipeline"
assert again(recording) == scores
print(json.dumps(scores))
"""


@pytest.mark.parametrize("features", ["log_mel", "mfcc_delta"])
def test_the_pipeline_scores_as_we_do_without_hfaudio(tmp_path, rng, features: str) -> None:
    import torch

    from hfaudio.model import (
        SpectrogramCNNConfig,
        SpectrogramCNNFeatureExtractor,
        SpectrogramCNNForAudioClassification,
    )

    torch.manual_seed(0)
    extractor = SpectrogramCNNFeatureExtractor(features, n_mels=16, n_mfcc=8, crop_seconds=0.5)
    shape = (extractor.num_channels, extractor.feature_size)
    extractor.set_normalization(np.full(shape, -4.0), np.full(shape, 3.0))
    names = {0: "rain", 1: "wind", 2: "bell"}
    config = SpectrogramCNNConfig(
        num_channels=extractor.num_channels, hidden_sizes=[4, 8], depths=[1, 1], id2label=names, label2id=None
    )
    model = SpectrogramCNNForAudioClassification(config).eval()
    torch.nn.init.normal_(model.classifier.weight)
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    waveform = (0.1 * rng.standard_normal(5_000)).astype(np.float32)
    np.save(tmp_path / "waveform.npy", waveform)
    arguments = [folder, tmp_path / "waveform.npy", tmp_path / "resaved"]
    for name, seconds, rate, channels in [
        ("a.wav", 0.2, 16_000, 1),
        ("b.flac", 1.1, 44_100, 2),
        ("c.ogg", 0.7, 8_000, 2),
    ]:
        arguments.append(tmp_path / name)
        soundfile.write(arguments[-1], 0.1 * rng.standard_normal((round(seconds * rate), channels)), rate)
    done = subprocess.run(
        [sys.executable, "-c", OUTSIDER, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PATH": str(tmp_path)},  # without the program ffmpeg
    )
    assert done.returncode == 0, done.stderr
    assert "is not supported for audio-classification" not in done.stderr
    scores = {score["label"]: score["score"] for score in json.loads(done.stdout)}
    saved, resaved = (json.loads((at / "config.json").read_text()) for at in (folder, tmp_path / "resaved"))
    for key in ("auto_map", "custom_pipelines"):
        assert saved[key] == resaved[key]
        assert "--" not in str(resaved[key])
        assert "/" not in str(resaved[key])
    assert {path.name for path in folder.glob("*.py")} == {path.name for path in (tmp_path / "resaved").glob("*.py")}
    logits = model(**extractor(waveform, sampling_rate=16_000)).logits[0]
    expected = dict(zip(names.values(), logits.softmax(-1).tolist(), strict=True))
    assert scores == pytest.approx(expected, abs=1e-6)
