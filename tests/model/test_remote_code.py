"""A saved folder works for somebody who has transformers but not hfaudio."""

import json
import subprocess
import sys

import numpy as np
import pytest

OUTSIDER = """
import json, sys

class NoHfaudio:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "hfaudio":
            raise ModuleNotFoundError("hfaudio is not installed here")

sys.meta_path.insert(0, NoHfaudio())
try:
    import hfaudio
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("hfaudio could be imported")

import numpy as np
from transformers import pipeline

folder, waveform = sys.argv[1], np.load(sys.argv[2])
classify = pipeline("audio-classification", model=folder, trust_remote_code=True, device="cpu")
scores = classify({"array": waveform, "sampling_rate": 16_000}, top_k=3)
resaved = sys.argv[3]
classify.model.save_pretrained(resaved)
classify.feature_extractor.save_pretrained(resaved)
again = pipeline("audio-classification", model=resaved, trust_remote_code=True, device="cpu")
assert again({"array": waveform, "sampling_rate": 16_000}, top_k=3) == scores
print(json.dumps(scores))
"""


@pytest.mark.parametrize("features", ["log_mel", "mfcc_delta"])
def test_the_stock_pipeline_scores_as_we_do_without_hfaudio(tmp_path, rng, features: str) -> None:
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
    done = subprocess.run(
        [sys.executable, "-c", OUTSIDER, *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "is not supported for audio-classification" not in done.stderr
    scores = {score["label"]: score["score"] for score in json.loads(done.stdout)}
    logits = model(**extractor(waveform, sampling_rate=16_000)).logits[0]
    expected = dict(zip(names.values(), logits.softmax(-1).tolist(), strict=True))
    assert scores == pytest.approx(expected, abs=1e-6)
