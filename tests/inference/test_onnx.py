"""The graph that is written, and the backend that runs it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hfaudio.inference import ClassifierSettings, ModelError, Predictor
from hfaudio.inference import onnx_export as module
from hfaudio.inference.onnx_backend import OnnxBackend, fit_length
from hfaudio.inference.onnx_export import export_onnx
from hfaudio.inference.torch_backend import TorchBackend
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

RATE = 16_000


def export(folder: Path) -> float:
    model = SpectrogramCNNForAudioClassification.from_pretrained(folder)
    return export_onnx(model, SpectrogramCNNFeatureExtractor.from_pretrained(folder), folder / "model.onnx", folder)


MODELS = {
    "log_mel": ({}, {}),
    "mfcc_delta": ({"features": "mfcc_delta", "n_mfcc": 8}, {}),
    "windows": ({"pad_mode": "repeat"}, {"eval_window_frames": 26, "eval_window_hop_frames": 13}),
    "temperature": ({}, {"logit_temperature": 3.0}),
    "multi-label": ({"pad_mode": "reflect"}, {"problem_type": "multi_label_classification"}),
}


@pytest.fixture(scope="module", params=MODELS)
def exported(request, save_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    features, config = MODELS[request.param]
    if request.param == "mfcc_delta":
        features = {**features, "mean": [[0.5] * 8] * 3, "std": [[2.0] * 8] * 3}
    folder = save_model(tmp_path_factory.mktemp("exported"), features, **config)
    assert export(folder) < 3e-5
    return folder


def test_it_scores_as_pytorch_does_at_any_length_and_batch(exported, rng) -> None:
    onnx = OnnxBackend(exported / "model.onnx", ClassifierSettings.read(exported))
    pytorch = TorchBackend(exported, "cpu")
    for lengths in ([16_000], [1], [100, 2_000, 7_999, 8_000], [8_001, 40_000, 64_000, 64_001, 90_000]):
        waveforms = [0.1 * rng.standard_normal(length).astype(np.float32) for length in lengths]
        scores = onnx.score(waveforms)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, pytorch.score(waveforms), atol=1e-4)


def test_it_hears_silence_as_pytorch_does(exported, rng) -> None:
    onnx = OnnxBackend(exported / "model.onnx", ClassifierSettings.read(exported))
    waveforms = [
        np.full(length, offset, np.float32) for length, offset in ((64_000, 0.0), (50_123, 0.1), (9_000, 0.0))
    ]
    for waveform in waveforms[:2]:
        waveform[20_000:28_000] += 0.1 * rng.standard_normal(8_000).astype(np.float32)
    expected = TorchBackend(exported, "cpu").score(waveforms)
    np.testing.assert_allclose(onnx.score(waveforms), expected, atol=1e-4)
    np.testing.assert_allclose(onnx.score(waveforms[1:2]), expected[1:2], atol=1e-4)


def test_it_tells_nothing_of_this_machine(exported) -> None:
    assert b'File "' not in (exported / "model.onnx").read_bytes()


def test_the_predictor_takes_it_and_gives_the_same(exported, write_tone) -> None:
    paths = [write_tone("a.wav", seconds=0.3), write_tone("b.ogg", rate=44_100, channels=2, seconds=5.5)]
    onnx, pytorch = (Predictor.from_pretrained(exported, backend=backend) for backend in ("auto", "torch"))
    for one, other in zip(onnx.stream(paths), pytorch.stream(paths), strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)
        assert (one.label, one.end) == (other.label, other.end)


def test_it_needs_no_torch(exported, write_tone) -> None:
    code = (
        "import sys; from hfaudio.inference import Predictor; "
        f"print(Predictor.from_pretrained({str(exported)!r}).predict({str(write_tone('a.wav'))!r}).label); "
        "sys.exit(bool({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() in ClassifierSettings.read(exported).class_names


@pytest.mark.parametrize("pad_mode", ["zero", "repeat", "reflect"])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 20, 21])
def test_lengths_are_fitted_as_by_the_extractor(rng, pad_mode: str, length: int) -> None:
    extractor = SpectrogramCNNFeatureExtractor(
        sampling_rate=1_000, crop_seconds=0.8, max_seconds=2.0, pad_mode=pad_mode, n_mels=16
    )
    settings = ClassifierSettings(("a", "b"), False, 1_000, 0.8, 2.0, pad_mode)
    samples = rng.standard_normal(100 * length).astype(np.float32)
    expected, expected_sounding = extractor._fit_length(torch.from_numpy(samples))
    fitted, sounding = fit_length(samples, settings)
    np.testing.assert_array_equal(fitted, expected)
    assert sounding == expected_sounding


def test_a_graph_that_scores_otherwise_is_not_written(save_model, tmp_path, monkeypatch) -> None:
    folder = save_model(tmp_path)
    (folder / "model.onnx").write_bytes(b"the former")
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    with pytest.raises(
        ValueError, match="^Expected the graph to score as PyTorch does, within -1, found a difference"
    ):
        export(folder)
    assert (folder / "model.onnx").read_bytes() == b"the former"
    assert not list(folder.glob(".onnx-*"))


def test_what_is_no_such_graph_is_named(tmp_path, settings) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="^Expected an ONNX graph in .*model.onnx, found none that loads"):
        OnnxBackend(tmp_path / "model.onnx", settings)
