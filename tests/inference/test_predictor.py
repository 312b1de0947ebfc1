import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file, save_file

from hfaudio.audio import UnreadableAudioError, decode_audio, is_silent
from hfaudio.inference import POOLINGS, UNKNOWN, ModelError, Predictor
from hfaudio.inference.events import merge_events
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.model.audio_sources_spectrogram_cnn import read_waveform

RATE = 16_000
ROOT = Path(__file__).parents[2]
REFERENCE, ESC10 = ROOT / "model_card" / "esc10", ROOT.parent / "shared" / "data" / "esc10"
NOISE = np.random.default_rng(0).standard_normal(100)


def reference(folder: Path, waveform: np.ndarray) -> np.ndarray:
    inputs = SpectrogramCNNFeatureExtractor.from_pretrained(folder)(waveform, sampling_rate=RATE)
    with torch.no_grad():
        logits = SpectrogramCNNForAudioClassification.from_pretrained(folder).eval()(**inputs).logits
    return logits.softmax(1)[0].numpy()


@pytest.mark.parametrize(
    ("name", "tone"),
    [
        ("a.wav", {"seconds": 0.2}),
        ("a.wav", {"seconds": 2.7, "rate": 44_100, "channels": 2}),
        ("a.ogg", {"seconds": 1.1, "rate": 22_050}),
        ("a.mp3", {"seconds": 3.9, "rate": 48_000}),
    ],
)
def test_a_recording_is_scored_as_in_the_evaluation(model_folder, write_tone, name: str, tone: dict) -> None:
    path = write_tone(name, **tone)
    predictor = Predictor.from_pretrained(model_folder, backend="torch")
    waveform = decode_audio(path, RATE)
    expected = reference(model_folder, waveform)
    native, rate = soundfile.read(path, dtype="float32", always_2d=True)
    sources = [path, str(path), path.read_bytes(), {"path": str(path)}, {"bytes": path.read_bytes(), "path": None}]
    for source in [*sources, {"array": native.T, "sampling_rate": rate}]:
        prediction = predictor.predict(source)
        np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-5)
        assert prediction.end == pytest.approx(len(waveform) / RATE)
    prediction = predictor.predict(native.T, sampling_rate=rate)
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-5)
    names = predictor.settings.class_names
    assert prediction.label == names[expected.argmax()]
    assert prediction.score == pytest.approx(expected.max(), abs=1e-5)
    assert [label for label, _ in prediction.top(2)] == [names[index] for index in np.argsort(-expected)[:2]]


def test_a_long_recording_is_cut_into_overlapping_windows(loudness, settings) -> None:
    ramp = np.linspace(0, 1, 10 * RATE, dtype=np.float32)
    predictor = Predictor(loudness, settings)
    prediction = predictor.predict(ramp, RATE)
    assert loudness.batches == [[4 * RATE] * 4]  # each as much as eight crops
    assert (prediction.start, prediction.end) == (0.0, 10.0)
    windows = predictor.predict_windows(ramp, RATE)
    assert [(one.start, one.end) for one in windows] == [(0, 4), (2, 6), (4, 8), (6, 10)]
    np.testing.assert_allclose(prediction.probabilities, np.mean([one.probabilities for one in windows], axis=0))


def test_windows_are_as_long_as_they_are_asked_for(loudness, settings) -> None:
    predictor = Predictor(loudness, settings, window_seconds=1.0, hop_seconds=0.75, pooling="max", batch_size=4)
    windows = predictor.predict_windows(np.linspace(0, 1, 2 * RATE, dtype=np.float32), RATE)
    assert [(one.start, one.end) for one in windows] == [(0, 1), (0.75, 1.75), (1, 2)]
    assert loudness.batches == [[RATE, RATE], [RATE]]
    pooled = predictor.predict(np.linspace(0, 1, 2 * RATE, dtype=np.float32), RATE)
    np.testing.assert_allclose(pooled.probabilities, np.max([one.probabilities for one in windows], axis=0))


def test_batches_go_across_recordings_and_the_order_stays(loudness, settings) -> None:
    recordings = [
        {"array": np.linspace(0, 0.1, RATE * (1 + index % 4), dtype=np.float32), "sampling_rate": RATE}
        for index in range(60)
    ]
    found = list(Predictor(loudness, settings, batch_size=8, threads=3).stream(iter(recordings)))
    assert [one.end for one in found] == [1 + index % 4 for index in range(60)]
    crops = [sum(2 * samples // RATE for samples in batch) for batch in loudness.batches]
    assert all(8 <= size < 16 for size in crops[:-1])
    assert sum(map(len, loudness.batches)) == 60


@pytest.mark.parametrize("windows", [False, True])
def test_what_cannot_be_read_is_an_error_among_the_others(model_folder, write_tone, tmp_path, windows: bool) -> None:
    predictor = Predictor.from_pretrained(model_folder)
    paths = [write_tone(f"{index}.wav") for index in range(6)]
    paths[2].write_bytes(b"no audio")
    paths[4].write_bytes(b"")
    paths.append(tmp_path / "gone.wav")
    if windows:
        found = [prediction for (prediction,) in predictor.stream_windows(paths)]
    else:
        found = list(predictor.stream(paths))
    assert [one.file for one in found] == list(map(str, paths))
    errors = [one.error for one in found]
    assert [index for index, error in enumerate(errors) if error] == [2, 4, 6]
    assert errors[4] == "the file is empty (0 bytes)"
    assert found[2].label is None
    assert found[2].score is None
    assert found[2].top() == []
    with pytest.raises(UnreadableAudioError, match=r"gone.wav: cannot be opened"):
        predictor.predict(paths[6])


class Decoder:
    """As torchcodec's AudioDecoder, of which only this is asked."""

    def __init__(self, data: torch.Tensor | None) -> None:
        self.data = data

    def get_all_samples(self) -> SimpleNamespace:
        if self.data is None:
            raise RuntimeError("Could not push packet to decoder")
        return SimpleNamespace(data=self.data, sample_rate=RATE)


SINE = (0.5 * np.sin(np.arange(RATE) / 9)).astype(np.float32)
SAME = {
    "raw": {"raw": SINE, "sampling_rate": RATE},
    "a list": {"array": SINE.tolist(), "sampling_rate": RATE},
    "float64": {"array": SINE.astype(np.float64), "sampling_rate": float(RATE)},
    "a tensor": {"array": torch.from_numpy(SINE).requires_grad_(), "sampling_rate": np.int32(RATE)},
    "read-only": {"array": np.frombuffer(SINE.tobytes(), np.float32), "sampling_rate": RATE},
    "two channels": {"array": np.stack([SINE, SINE]), "sampling_rate": RATE, "path": None},
    "a decoder": Decoder(torch.from_numpy(SINE)[None]),
}
REFUSED = {
    "16-bit integers": ({"array": (SINE * 32767).astype(np.int16), "sampling_rate": RATE}, "found int16; divide"),
    "8-bit integers": ({"array": np.full(RATE, 128, np.uint8), "sampling_rate": RATE}, "found uint8; divide"),
    "integers in a list": ({"array": [0, 1, 2], "sampling_rate": RATE}, "found int64; divide"),
    "samples first": ({"array": np.stack([SINE, SINE], 1), "sampling_rate": RATE}, "found (16000, 2)"),
    "a batch": ({"array": np.stack([SINE] * 9), "sampling_rate": RATE}, "at most 8 channels, found (9, 16000)"),
    "three dimensions": ({"array": SINE[None, None], "sampling_rate": RATE}, "found (1, 1, 16000)"),
    "a number": ({"array": np.float32(1), "sampling_rate": RATE}, "found ()"),
    "complex": ({"array": SINE.astype(complex), "sampling_rate": RATE}, "found complex128"),
    "objects": ({"array": np.array([None, SINE], object), "sampling_rate": RATE}, "found object"),
    "text in a list": ({"array": ["a.wav"], "sampling_rate": RATE}, "found <U5"),
    "ragged lists": ({"array": [[0.1], [0.1, 0.2]], "sampling_rate": RATE}, "cannot be read (ValueError: "),
    "no samples": ({"array": [], "sampling_rate": RATE}, "holds no samples"),
    "beyond float32": ({"array": np.full(9, 1e300), "sampling_rate": RATE}, "holds NaN or infinite samples"),
    "no rate": ({"array": SINE}, "expected the sampling_rate of the array beside it, in Hz, found none"),
    "rate 0": ({"array": SINE, "sampling_rate": 0}, "a sampling rate of 0 Hz is outside 1000 Hz"),
    "a negative rate": ({"array": SINE, "sampling_rate": -RATE}, "a sampling rate of -16000 Hz is outside"),
    "no rate at all": ({"array": SINE, "sampling_rate": float("nan")}, "a sampling_rate of whole Hz, found nan"),
    "half a rate": ({"array": SINE, "sampling_rate": 8000.5}, "a sampling_rate of whole Hz, found 8000.5"),
    "a rate in words": ({"array": SINE, "sampling_rate": "fast"}, "expected a sampling_rate in Hz, found 'fast'"),
    "nothing": (None, "found NoneType"),
    "an empty mapping": ({}, "expected array or raw with their sampling_rate, bytes or path in the mapping, found no"),
    "another mapping": ({"audio": SINE, "label": 1}, "in the mapping, found audio, label"),
    "an empty path and bytes": ({"path": None, "bytes": None}, "in the mapping, found path, bytes"),
    "no bytes": ({"path": "gone.wav", "bytes": b""}, "the file is empty (0 bytes)"),
    "a path in a mapping": ({"path": "gone.wav", "bytes": None}, "cannot be opened (No such file or directory)"),
    "an array alone": (SINE, "found ndarray; of an array give the sampling_rate too"),
    "a list of paths": (["a.wav"], "found list"),
    "an open file": (io.BytesIO(b"RIFF"), "found BytesIO"),
    "a null character": ("a\0.wav", "cannot be opened (no path holds a null character)"),
    "a folder": (Path(), "cannot be opened (Is a directory)"),
    "an address": ("http://127.0.0.1:9/a.wav", "cannot be fetched ("),
    "no address": ("http://[/a.wav", "cannot be read (ValueError: "),
    "a damaged decoder": (Decoder(None), "cannot be read (RuntimeError: Could not push packet to decoder)"),
}


@pytest.mark.parametrize("audio", SAME.values(), ids=SAME)
def test_forms_of_one_recording_score_alike_here_and_in_the_pipeline(model_folder, audio) -> None:
    found = Predictor.from_pretrained(model_folder).predict(audio)
    np.testing.assert_allclose(found.probabilities, reference(model_folder, SINE), atol=1e-6)
    assert np.array_equal(read_waveform(audio, RATE), SINE)


@pytest.mark.parametrize(("audio", "sentence"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("windows", [False, True])
def test_one_that_is_no_recording_ends_nothing(loudness, settings, audio, sentence: str, windows: bool) -> None:
    predictor, good = Predictor(loudness, settings, threads=2), {"array": SINE, "sampling_rate": RATE}
    stream = predictor.stream_windows if windows else predictor.stream
    first, bad, last = (one[-1] if windows else one for one in stream([good, audio, good]))
    assert first.error is last.error is None
    assert sentence in bad.error
    assert "\n" not in bad.error
    assert bad.label is None


@pytest.mark.parametrize("audio", [audio for audio, _ in REFUSED.values()], ids=REFUSED)
def test_the_pipeline_refuses_in_a_sentence_what_the_predictor_refuses(audio) -> None:
    if isinstance(audio, np.ndarray):
        pytest.skip("an array alone has the rate of the pipeline's model")
    if audio is REFUSED["integers in a list"][0]:
        pytest.skip("a list is taken as floating-point samples there")
    error = RuntimeError if isinstance(audio, Decoder) else ValueError
    with pytest.raises(error, match="."):
        read_waveform(audio, RATE)


def test_what_the_callers_own_generator_raises_is_the_callers(loudness, settings) -> None:
    def recordings():
        yield {"array": SINE, "sampling_rate": RATE}
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        list(Predictor(loudness, settings).stream(recordings()))


ONES = ["a.wav", Path("a.wav"), b"RIFF", {"path": "a.wav"}, bytearray(b"RIFF"), io.BytesIO(b"a\nb"), SINE, None, 5]


@pytest.mark.parametrize("one", ONES, ids=lambda one: type(one).__name__)
def test_one_recording_is_no_stream(loudness, settings, one) -> None:
    with pytest.raises(ValueError, match="^Expected several recordings, such as a list of paths, found one "):
        list(Predictor(loudness, settings).stream(one))


def test_an_array_of_paths_is_a_stream(loudness, settings) -> None:
    (prediction,) = Predictor(loudness, settings).stream(np.array(["nosuch.wav"]))
    assert prediction.error == "cannot be opened (No such file or directory)"


@pytest.mark.parametrize("audio", ["a.wav", {"array": SINE, "sampling_rate": RATE}])
def test_a_rate_is_of_an_array(loudness, settings, audio) -> None:
    with pytest.raises(UnreadableAudioError, match="^Expected a sampling_rate of an array alone, found one of"):
        Predictor(loudness, settings).predict(audio, RATE)


def test_an_array_needs_its_rate(loudness, settings) -> None:
    for predict in (Predictor(loudness, settings).predict, Predictor(loudness, settings).predict_windows):
        with pytest.raises(UnreadableAudioError, match="^Expected the sampling_rate of the array, in Hz, found none"):
            predict(np.zeros(RATE, np.float32))


def test_a_missing_file_is_named(loudness, settings) -> None:
    for predict in (Predictor(loudness, settings).predict, Predictor(loudness, settings).predict_windows):
        with pytest.raises(UnreadableAudioError, match="^nosuch.wav: cannot be opened"):
            predict("nosuch.wav")


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_scores_that_are_not_finite_are_an_error(settings, multi_label: bool, score: float, pooling: str) -> None:
    class Overflowing:
        def score(self, waveforms) -> np.ndarray:
            rows = [[score if samples.max() > 1 else 0.0, 0.0, 0.0] for samples in waveforms]
            return np.array(rows, np.float32)

    loud = {"array": np.concatenate([SINE, SINE, 9 * SINE]), "sampling_rate": RATE}
    good = {"array": SINE, "sampling_rate": RATE}
    settings = replace(settings, multi_label=multi_label)
    predictor = Predictor(Overflowing(), settings, window_seconds=1.0, pooling=pooling)
    first, bad, last = predictor.stream([good, loud, good])
    assert first.error is last.error is None
    assert bad.error.startswith("the model scores it NaN or infinity")
    assert bad.label is bad.score is None
    *heard, failed = predictor.predict_windows(good) + next(iter(predictor.stream_windows([loud])))
    assert failed.error == bad.error
    assert all(np.isfinite(window.probabilities).all() for window in heard)


def test_weights_that_are_missing_are_refused(model_folder, tmp_path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"^Expected all weights in .*, found 1 tensors missing, the first classifier"
    ):
        Predictor.from_pretrained(folder, backend="torch")


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("config.json", {"id2label": {"0": None, "1": "b", "2": "c"}}),
        ("preprocessor_config.json", {"mean": [["a"] * 16], "std": [["a"] * 16]}),
    ],
)
def test_settings_of_other_types_are_refused(model_folder, tmp_path, file: str, changed: dict) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    settings = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(settings | changed))
    with pytest.raises(ModelError, match="^Expected a saved model in .*, found none that loads"):
        Predictor.from_pretrained(folder, backend="torch")


@pytest.mark.parametrize("name", ["classifier.bias", "spectrogram_cnn.stages.0.blocks.0.norm.running_var"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(model_folder, tmp_path, name: str, value: float) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = name if name in weights else next(one for one in weights if one.endswith("running_var"))
    weights[name].flat[0] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"^Expected finite weights in .*, the first {name};"):
        Predictor.from_pretrained(folder, backend="torch")


@pytest.mark.parametrize("device", ["cuda:77", "cuda:N", "nonsense", "meta"])
def test_a_device_that_is_not_there_is_named(model_folder, device: str) -> None:
    with pytest.raises(ModelError, match=rf"^Expected a device of this machine, cpu.*, found {device}; check"):
        Predictor.from_pretrained(model_folder, device=device)
    with pytest.raises(ValueError, match=f"^A device needs the backend torch, found {device} with onnx_int8;"):
        Predictor.from_pretrained(model_folder, backend="onnx_int8", device=device)


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        ("config.json", {"padding": "x" * 5_000}, "Expected at most 4,000 bytes in .*config.json, found"),
        ("preprocessor_config.json", {"crop_seconds": 0}, "Expected the settings of a spectrogram CNN in"),
        ("preprocessor_config.json", {"max_seconds": float("inf")}, "Expected the settings of a spectrogram CNN in"),
        ("preprocessor_config.json", {"max_seconds": float("nan")}, "Expected the settings of a spectrogram CNN in"),
        ("config.json", {"unknown_threshold": float("nan")}, "Expected the settings of a spectrogram CNN in"),
    ],
)
def test_settings_out_of_bounds_are_refused(model_folder, tmp_path, monkeypatch, file, change, sentence) -> None:
    monkeypatch.setattr("hfaudio.inference.classifier_settings.LARGEST_SETTINGS", 4_000)
    folder = shutil.copytree(model_folder, tmp_path / "model")
    settings = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(settings | change))
    with pytest.raises(ModelError, match=f"^{sentence}"):
        Predictor.from_pretrained(folder)
    monkeypatch.undo()
    (folder / file).write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ModelError, match=f"^Expected JSON in .*{file}, found something else"):
        Predictor.from_pretrained(folder)


def test_recordings_are_asked_for_as_they_are_needed(loudness, settings) -> None:
    asked = []

    def endless():
        while True:
            asked.append(1)
            yield {"array": np.zeros(RATE, np.float32), "sampling_rate": RATE}

    stream = Predictor(loudness, settings, batch_size=4, threads=2).stream(endless())
    for _ in range(20):
        next(stream)
    stream.close()
    assert len(asked) < 60


def test_an_array_of_another_kind_is_refused(loudness, settings) -> None:
    predictor = Predictor(loudness, settings)
    with pytest.raises(ValueError, match=r"^an array must hold floating-point samples in \[-1, 1\], found int16"):
        predictor.predict(np.zeros(100, np.int16), RATE)
    with pytest.raises(ValueError, match=r"^an array must have the shape"):
        predictor.predict(np.zeros((200, 100), np.float32), RATE)
    with pytest.raises(UnreadableAudioError, match="^holds NaN"):
        predictor.predict(np.full(100, np.nan, np.float32), RATE)
    with pytest.raises(UnreadableAudioError, match="^holds no samples"):
        predictor.predict(np.zeros(0, np.float32), RATE)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, found 0."),
        ({"pooling": "median"}, "pooling must be one of mean, max, vote, found 'median'."),
        ({"window_seconds": 5.0}, "window_seconds must be above 0 and at most 4, the model's max_seconds, found 5."),
        ({"unknown_threshold": 1.0}, "unknown_threshold must be at least 0 and below 1, found 1."),
        ({"unknown_threshold": -0.1}, "unknown_threshold must be at least 0 and below 1, found -0.1."),
        ({"hop_seconds": 0.0}, "hop_seconds must be above 0 and at most a window, 4, found 0."),
    ],
)
def test_arguments_out_of_bounds_are_named(loudness, settings, arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Predictor(loudness, settings, **arguments)


def test_what_is_not_probable_enough_is_unknown(save_model, tmp_path, write_tone) -> None:
    path = write_tone("a.wav", seconds=0.7)
    best = Predictor.from_pretrained(save_model(tmp_path / "plain", logit_temperature=200.0)).predict(path)
    assert best.label in best.class_names
    folder = save_model(tmp_path / "model", logit_temperature=200.0, unknown_threshold=best.score + 1e-3)
    predictor = Predictor.from_pretrained(folder)
    found = predictor.predict(path)
    assert (found.label, found.score) == (UNKNOWN, best.score)
    assert found.top(3) == best.top(3)
    assert {window.label for window in predictor.predict_windows(path)} == {UNKNOWN}
    for threshold in (0.0, best.score - 1e-3, best.score):
        assert Predictor.from_pretrained(folder, unknown_threshold=threshold).predict(path).label == best.label


def test_of_several_classes_none_is_unknown(loudness, settings) -> None:
    with pytest.raises(ValueError, match="^unknown_threshold needs a model of one class a recording, found"):
        Predictor(loudness, replace(settings, multi_label=True), unknown_threshold=0.5)


def test_what_is_no_model_is_named(tmp_path, model_folder) -> None:
    with pytest.raises(ModelError, match="^Expected the folder of a model, or owner/name on the Hub, at .*gone/a/b"):
        Predictor.from_pretrained(tmp_path / "gone" / "a" / "b")
    with pytest.raises(ModelError, match=r"^Expected a saved model with config.json in .*, found none \(No such file"):
        Predictor.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ModelError, match="^Expected the settings of a spectrogram CNN in .*, found others"):
        Predictor.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="^Expected JSON in "):
        Predictor.from_pretrained(tmp_path)
    with pytest.raises(ModelError, match="^Expected a graph at .*model.onnx for the backend onnx, found none"):
        Predictor.from_pretrained(model_folder, backend="onnx")
    with pytest.raises(ValueError, match="^backend must be one of auto, torch, onnx, onnx_int8, found 'jax'"):
        Predictor.from_pretrained(model_folder, backend="jax")


def test_weights_are_read_as_safetensors_alone(model_folder, tmp_path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    weights = SpectrogramCNNForAudioClassification.from_pretrained(model_folder).state_dict()
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="^Expected a saved model in .*, found none that loads"):
        Predictor.from_pretrained(folder, backend="torch")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")  # a pickle, which transformers would take
    with pytest.raises(ModelError, match="^Expected a saved model in .*, found none that loads"):
        Predictor.from_pretrained(folder, backend="torch")


def test_several_classes_have_a_sigmoid_each(save_model, tmp_path, write_tone) -> None:
    folder = save_model(tmp_path / "model", problem_type="multi_label_classification")
    path = write_tone("a.wav")
    inputs = SpectrogramCNNFeatureExtractor.from_pretrained(folder)(decode_audio(path, RATE), sampling_rate=RATE)
    with torch.no_grad():
        logits = SpectrogramCNNForAudioClassification.from_pretrained(folder).eval()(**inputs).logits
    found = Predictor.from_pretrained(folder).predict(path).probabilities
    np.testing.assert_allclose(found, logits.sigmoid()[0], atol=1e-5)


def test_without_torch_the_weights_alone_are_refused(model_folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("hfaudio.inference.predictor.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="^Expected torch for the weights in .*; write model.onnx"):
        Predictor.from_pretrained(model_folder)


def test_the_package_is_imported_without_torch() -> None:
    code = "import sys, hfaudio.inference; sys.exit(bool({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("amplitude", [1e25, np.float32(np.finfo(np.float32).max), np.inf, np.nan])
def test_samples_that_no_recording_has_are_an_error(model_folder, tmp_path, rng, amplitude: float) -> None:
    sound = (rng.standard_normal(8_000) * 0.1 * amplitude).astype(np.float32)
    soundfile.write(tmp_path / "huge.wav", sound, RATE, subtype="FLOAT")
    predictor = Predictor.from_pretrained(model_folder, backend="torch")
    for source in (tmp_path / "huge.wav", {"array": sound, "sampling_rate": RATE}):
        (prediction,) = predictor.stream([source])
        assert re.match("holds samples of .* times full scale|holds NaN or infinite samples", prediction.error)


def test_integers_as_floats_are_predicted(model_folder, rng) -> None:
    predictor = Predictor.from_pretrained(model_folder, backend="torch")
    prediction = predictor.predict((rng.standard_normal(8_000) * 2.0**28).astype(np.float32), RATE)
    assert np.isfinite(prediction.probabilities).all()


def test_pipes_and_devices_are_errors_of_their_rows(model_folder, write_tone, tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    good = write_tone("good.wav")
    predictor = Predictor.from_pretrained(model_folder, backend="torch")
    errors = [one.error for one in predictor.stream([tmp_path / "pipe.wav", good, tmp_path / "zero.wav"])]
    assert errors == ["is a named pipe (FIFO), no file", None, "is a device, no file"]


SILENCES = {
    "zeros": np.zeros(RATE, np.float32),
    "a constant offset": np.full(RATE, 0.3, np.float32),
    "denormals": np.full(RATE, 1e-40) * (np.arange(RATE) % 2),
    "one step of dither": np.random.default_rng(0).integers(0, 2, RATE) / 2**15,
    "channels that cancel": np.outer([0.5, -0.5], np.sin(np.arange(RATE))),
    "one sample": np.ones(1, np.float32),
    "long": np.zeros(10 * RATE, np.float32),
}


@pytest.mark.parametrize("name", SILENCES)
@pytest.mark.parametrize("rate", [RATE, 44_100, 8_000])
def test_silence_has_no_class(loudness, settings, name: str, rate: int) -> None:
    predictor = Predictor(loudness, replace(settings, unknown_threshold=0.5))
    found = predictor.predict(SILENCES[name], rate)
    assert (found.label, found.score, found.error, found.top(), found.silent) == (None, None, None, [], True)
    assert found.end == pytest.approx(SILENCES[name].shape[-1] / rate, abs=1e-4)
    windows = predictor.predict_windows(SILENCES[name], rate)
    assert windows[-1].end == found.end
    assert all(one.silent for one in windows)
    assert not merge_events(windows, 0.0)


@pytest.mark.parametrize("name", [name for name in SILENCES if name != "denormals"])
def test_files_of_silence_have_no_class(loudness, settings, tmp_path, name: str) -> None:
    soundfile.write(tmp_path / "a.wav", SILENCES[name].T, 44_100)
    assert Predictor(loudness, settings).predict(tmp_path / "a.wav").silent
    assert all(one.silent for one in Predictor(loudness, settings).predict_windows(tmp_path / "a.wav"))


def test_two_steps_of_dither_are_no_silence(loudness, settings) -> None:
    dither = np.random.default_rng(0).integers(-1, 2, RATE) / 2**15
    assert Predictor(loudness, settings).predict(dither, RATE).label is not None


@pytest.mark.parametrize("pooling", ["mean", "max", "vote"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_silent_windows_have_no_say(settings, pooling: str, multi_label: bool) -> None:
    class Scorer:
        def score(self, waveforms):
            assert all(np.ptp(samples) > 0 for samples in waveforms)
            return np.array([[3.0, -3.0, 3.0 * samples.max()] for samples in waveforms], np.float32)

    tone = np.sin(np.arange(2 * RATE)).astype(np.float32)
    quiet = np.zeros(2 * RATE, np.float32)
    predictor = Predictor(
        Scorer(),
        replace(settings, multi_label=multi_label),
        window_seconds=1.0,
        hop_seconds=1.0,
        pooling=pooling,
        batch_size=3,
    )
    parts = [0.1 * tone, quiet, tone, quiet]
    recordings = [{"array": np.concatenate(own), "sampling_rate": RATE} for own in (parts, [quiet, quiet], parts[::2])]
    (whole, silent, without), windows = list(predictor.stream(recordings)), next(predictor.stream_windows(recordings))
    assert silent.silent
    np.testing.assert_array_equal(whole.probabilities, without.probabilities)
    assert [one.start for one in windows] == list(range(8))
    assert [one.silent for one in windows] == [False, False, True, True] * 2
    events = merge_events(windows, 0.5)
    assert events
    assert not [event for event in events if event.start < 4 < event.end or event.end > 6]


def test_a_recording_before_much_silence_does_not_wait(loudness, settings) -> None:
    asked = []

    def endless():
        yield {"array": np.linspace(0, 1, RATE), "sampling_rate": RATE}
        while True:
            asked.append(1)
            yield {"array": np.zeros(RATE, np.float32), "sampling_rate": RATE}

    stream = Predictor(loudness, settings, batch_size=8, threads=1).stream(endless())
    assert next(stream).label is not None
    assert next(stream).silent
    stream.close()
    assert len(asked) < 30


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
@pytest.mark.parametrize("pad_mode", ["zero", "repeat", "reflect"])
def test_a_short_sound_in_zero_padding_is_no_silence(save_model, tmp_path, pad_mode, problem_type) -> None:
    folder = save_model(tmp_path, {"pad_mode": pad_mode}, problem_type=problem_type)
    predictor = Predictor.from_pretrained(folder)
    found = list(predictor.stream({"array": array, "sampling_rate": RATE} for array in (NOISE, np.zeros(RATE), NOISE)))
    assert [one.silent for one in found] == [False, True, False]
    np.testing.assert_allclose(found[0].probabilities, predictor.predict(NOISE, RATE).probabilities, atol=1e-6)


@pytest.mark.realdata
def test_there_is_no_event_in_the_silence_between_barks() -> None:
    predictor = Predictor.from_pretrained(REFERENCE, window_seconds=2.0, backend="torch")
    barks = sorted((ESC10 / "audio" / "dog_bark").glob("*.ogg"))[:12]
    silent = 0
    for windows in predictor.stream_windows(barks):
        samples = decode_audio(windows[0].file, RATE)
        silent += sum(one.silent for one in windows)
        for one in [*merge_events(windows, 0.2), *(one for one in windows if not one.silent)]:
            assert not is_silent(samples[round(one.start * RATE) : round(one.end * RATE)])
    assert silent > 5
