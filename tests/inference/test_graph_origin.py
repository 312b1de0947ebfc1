"""A graph answers for the weights and settings that it was made of, and for no others."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file, save_file

from hfaudio.inference import ClassifierSettings, ModelError, Predictor
from hfaudio.inference import predictor as predictor_module
from hfaudio.inference.graph_origin import SETTINGS_HASH, WEIGHTS_HASH, describe_origin, why_stale
from hfaudio.inference.onnx_backend import ONNX_FILE, ONNX_INT8_FILE, OnnxBackend, StaleGraphError
from hfaudio.inference.onnx_export import export_onnx
from hfaudio.inference.onnx_quantization import quantize_onnx
from hfaudio.inference.torch_backend import TorchBackend
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

GRAPHS = {"onnx": ONNX_FILE, "onnx_int8": ONNX_INT8_FILE}


@pytest.fixture(scope="module")
def with_graphs(save_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_model(tmp_path_factory.mktemp("with_graphs"))
    model = SpectrogramCNNForAudioClassification.from_pretrained(folder)
    export_onnx(model, SpectrogramCNNFeatureExtractor.from_pretrained(folder), folder / ONNX_FILE, folder)
    noise = np.random.default_rng(0).standard_normal((4, 8_000)).astype(np.float32)
    quantize_onnx(folder / ONNX_FILE, noise, ClassifierSettings.read(folder), folder / ONNX_INT8_FILE)
    return folder


@pytest.fixture
def folder(with_graphs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(with_graphs, tmp_path / "model"))


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: np.asarray(value + 1) for name, value in weights.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )


def forget_origin(folder: Path) -> None:
    for name in GRAPHS.values():
        graph = onnx.load(folder / name)
        del graph.metadata_props[:]
        onnx.save(graph, folder / name)


STALE = {
    "weights": (change_weights, "one of other weights"),
    "temperature": (
        lambda folder: change_json(folder / "config.json", logit_temperature=2.0),
        "one of other settings",
    ),
    "windows": (
        lambda folder: change_json(folder / "config.json", eval_window_frames=20, eval_window_hop_frames=10),
        "one of other settings",
    ),
    "classes": (
        lambda folder: change_json(folder / "config.json", id2label={"0": "hum", "1": "clap", "2": "rain"}),
        "one of other settings",
    ),
    "features": (lambda folder: change_json(folder / "preprocessor_config.json", f_min=50.0), "one of other settings"),
    "earlier": (forget_origin, "one that does not say which model it was made of, as earlier versions wrote it"),
}


def metadata(graph: Path) -> dict[str, str]:
    return {one.key: one.value for one in onnx.load(graph).metadata_props}


def test_both_graphs_say_what_they_were_made_of(with_graphs) -> None:
    origin = describe_origin(with_graphs)
    assert set(origin) == {SETTINGS_HASH, WEIGHTS_HASH}
    for name in GRAPHS.values():
        assert origin.items() <= metadata(with_graphs / name).items()


@pytest.mark.parametrize("change", STALE)
def test_a_stale_graph_is_refused_and_pytorch_answers(folder, write_tone, caplog, change: str) -> None:
    make_stale, reason = STALE[change]
    make_stale(folder)
    for backend, name in GRAPHS.items():
        flag = " --int8" if backend == "onnx_int8" else ""
        sentence = f"Expected a graph of the model beside it in {folder / name}, found {reason}; write it anew with "
        with pytest.raises(ModelError) as caught:
            Predictor.from_pretrained(folder, backend=backend)
        assert str(caught.value) == f"{sentence}scripts/export_onnx.py{flag}."
    path = write_tone("a.wav")
    found, right = (Predictor.from_pretrained(folder, backend=backend).predict(path) for backend in ("auto", "torch"))
    np.testing.assert_array_equal(found.probabilities, right.probabilities)
    (warning,) = caplog.messages
    assert reason in warning
    assert warning.endswith("scripts/export_onnx.py. PyTorch answers in its place.")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: change_json(folder / "config.json", unknown_threshold=0.5, transformers_version="5.24.0"),
        lambda folder: change_json(folder / "config.json", logit_temperature=1, dropout=0.5),
        lambda folder: change_json(folder / "preprocessor_config.json", f_min=0, n_mfcc=5, max_seconds=3.0),
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: SpectrogramCNNForAudioClassification.from_pretrained(folder).save_pretrained(folder),
    ],
)
def test_what_changes_no_score_leaves_it_as_it_is(folder, change, caplog) -> None:
    change(folder)
    for backend in ("auto", *GRAPHS):
        assert isinstance(Predictor.from_pretrained(folder, backend=backend)._scorer, OnnxBackend)
    assert not caplog.messages


def test_a_model_of_an_earlier_version_has_a_temperature_of_1(folder) -> None:
    before = describe_origin(folder)
    config = json.loads((folder / "config.json").read_text())
    for name in ("logit_temperature", "backbone", "eval_window_frames", "eval_window_hop_frames"):
        del config[name]
    (folder / "config.json").write_text(json.dumps(config))
    assert describe_origin(folder) == before


def test_without_weights_or_torch_a_stale_graph_is_refused(folder, monkeypatch) -> None:
    change_json(folder / "config.json", logit_temperature=2.0)
    with monkeypatch.context() as patched:
        patched.setattr(predictor_module, "find_spec", lambda name: name == "onnxruntime" or None)
        with pytest.raises(StaleGraphError, match="found one of other settings"):
            Predictor.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(StaleGraphError, match="found one of other settings"):
        Predictor.from_pretrained(folder)


def test_both_graphs_prefer_no_class_of_silence(with_graphs, rng) -> None:
    settings = ClassifierSettings.read(with_graphs)
    noise = (0.1 * rng.standard_normal(9_000)).astype(np.float32)
    for name in GRAPHS.values():
        backend = OnnxBackend(with_graphs / name, settings)
        scores = backend.score([np.full(20_000, 0.1, np.float32), noise, np.zeros(1, np.float32)])
        assert not scores[[0, 2]].any()
        np.testing.assert_allclose(scores[1], backend.score([noise])[0], atol=1e-3)


def test_a_graph_alone_has_nothing_to_be_compared_with(folder, tmp_path) -> None:
    graph = Path(shutil.copy(folder / ONNX_FILE, tmp_path / "elsewhere.onnx"))
    waveforms = [np.ones(9_000, np.float32), np.zeros(100, np.float32)]
    settings = ClassifierSettings.read(folder)
    scores = OnnxBackend(graph, settings).score(waveforms)
    np.testing.assert_allclose(scores, TorchBackend(folder, "cpu").score(waveforms), atol=1e-4)
    assert why_stale(metadata(graph), tmp_path) is None
