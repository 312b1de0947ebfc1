"""The graph with convolutions in 8-bit integers."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from hfaudio.inference import ClassifierSettings, ModelError, Predictor
from hfaudio.inference.onnx_backend import ONNX_FILE, ONNX_INT8_FILE, OnnxBackend
from hfaudio.inference.onnx_export import export_onnx
from hfaudio.inference.onnx_quantization import quantize_onnx
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification


def noises(rng: np.random.Generator, number: int) -> list[np.ndarray]:
    """Of all lengths, loud and soft, and of different colours."""
    waveforms = []
    for index in range(number):
        noise = rng.uniform(0.01, 0.5) * rng.standard_normal(int(rng.integers(1_000, 30_000)))
        waveforms.append((np.cumsum(noise) / 20 if index % 2 else noise).astype(np.float32))
    return waveforms


@pytest.fixture(scope="module")
def quantized(save_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_model(tmp_path_factory.mktemp("quantized"), {}, eval_window_frames=26, eval_window_hop_frames=13)
    model = SpectrogramCNNForAudioClassification.from_pretrained(folder)
    export_onnx(model, SpectrogramCNNFeatureExtractor.from_pretrained(folder), folder / ONNX_FILE, folder)
    recordings = noises(np.random.default_rng(1), 20)
    quantize_onnx(folder / ONNX_FILE, iter(recordings), ClassifierSettings.read(folder), folder / ONNX_INT8_FILE)
    return folder


def test_it_scores_nearly_as_the_float_graph(quantized, rng) -> None:
    settings = ClassifierSettings.read(quantized)
    waveforms = noises(rng, 40)
    exact, near = (OnnxBackend(quantized / name, settings).score(waveforms) for name in (ONNX_FILE, ONNX_INT8_FILE))
    error = np.abs(near - exact).mean() / exact.std()
    assert 0 < error < 0.1


def test_the_convolutions_alone_are_quantized(quantized) -> None:
    graph = onnx.load(quantized / ONNX_INT8_FILE).graph
    maker = {name: node.op_type for node in graph.node for name in node.output}
    inputs = {
        kind: [maker.get(node.input[0]) for node in graph.node if node.op_type == kind] for kind in ("Conv", "Log")
    }
    assert set(inputs["Conv"]) == {"DequantizeLinear"}
    assert "DequantizeLinear" not in inputs["Log"]
    weights = {value.name: value for value in graph.initializer}
    stored = [
        weights[node.input[0]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in weights
    ]
    kernels = [value for value in stored if len(value.dims) == 4]
    assert len(kernels) == len(inputs["Conv"])
    assert {value.data_type for value in kernels} == {onnx.TensorProto.INT8}
    largest = max(abs(onnx.numpy_helper.to_array(value).astype(int)).max() for value in kernels)
    assert largest <= 64  # seven bits


def test_the_predictor_takes_it_when_it_is_asked_for(quantized, save_model, tmp_path, write_tone) -> None:
    path = write_tone("a.wav", seconds=1.0)
    float_score, int8_score = (
        Predictor.from_pretrained(quantized, backend=backend).predict(path).probabilities
        for backend in ("auto", "onnx_int8")
    )
    np.testing.assert_allclose(int8_score, float_score, atol=0.2)
    assert not np.array_equal(int8_score, float_score)
    with pytest.raises(ModelError, match="model_int8.onnx for the backend onnx, found none; .* --int8"):
        Predictor.from_pretrained(save_model(tmp_path), backend="onnx_int8")


def test_a_former_graph_stays_until_the_new_one_is_whole(quantized, tmp_path) -> None:
    target = tmp_path / ONNX_INT8_FILE
    target.write_bytes(b"the former")

    def broken_off():
        yield np.zeros(8_000, np.float32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_onnx(quantized / ONNX_FILE, broken_off(), ClassifierSettings.read(quantized), target)
    assert target.read_bytes() == b"the former"
    assert [path.name for path in tmp_path.iterdir()] == [ONNX_INT8_FILE]
