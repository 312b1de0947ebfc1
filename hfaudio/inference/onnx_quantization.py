"""Writing an ONNX graph anew with convolutions in 8-bit integers."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hfaudio.inference.classifier_settings import ClassifierSettings
from hfaudio.inference.onnx_backend import graph_inputs

__all__ = ["quantize_onnx"]

BETWEEN_CONVOLUTIONS = ("Add", "Mul", "Relu")  # quantized too: a float one would cost two conversions


def quantize_onnx(
    graph: str | os.PathLike[str],
    waveforms: Iterable[np.ndarray],
    settings: ClassifierSettings,
    path: str | os.PathLike[str],
) -> None:
    """Quantizes the convolutions of a graph; the features before and the pooling after them stay in floating point.

    Static quantization: each map has the range that it has on some recordings, each output channel of a convolution
    its own scale. Weights have seven bits, since the products of eight overflow in processors without VNNI.

    Args:
        graph: What `hfaudio.inference.onnx_export` wrote.
        waveforms: `(samples,)` each, in float32 at the model's rate, from which the ranges are taken; some hundred.
        settings: Of the model.
        path: Where the quantized graph goes, which is replaced when that is whole.
    """
    import onnx
    from onnxruntime.quantization import (  # type: ignore[import-untyped]  # it has no py.typed
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import (  # type: ignore[import-untyped]  # it has no py.typed
        quant_pre_process,
    )

    with TemporaryDirectory(dir=Path(path).parent, prefix=".onnx-") as staging:
        folded, quantized = Path(staging) / "folded.onnx", Path(staging) / "quantized.onnx"
        quant_pre_process(graph, folded, skip_symbolic_shape=True)  # batch norms go into the convolutions
        quantize_static(
            folded,
            quantized,
            _CalibrationReader(waveforms, settings),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=_convolutional_nodes(onnx.load(folded, load_external_data=False)),
            calibrate_method=CalibrationMethod.MinMax,
        )
        # Of the same weights and settings; the calibration has left them out.
        made = onnx.load(quantized)
        onnx.helper.set_model_props(made, {one.key: one.value for one in onnx.load(graph).metadata_props})
        onnx.save(made, quantized)
        os.replace(quantized, path)


class _CalibrationReader:
    """Hands waveforms one by one to the calibration, as `onnxruntime.quantization.CalibrationDataReader` does."""

    def __init__(self, waveforms: Iterable[np.ndarray], settings: ClassifierSettings) -> None:
        self._inputs: Iterator[dict[str, np.ndarray]] = (graph_inputs([samples], settings) for samples in waveforms)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def _convolutional_nodes(model: Any) -> list[str]:
    """The names of all convolutions, and of what lies between them that can be quantized."""
    nodes = list(model.graph.node)  # in the order in which they run
    after: set[str] = set()  # values that depend on a convolution
    for node in nodes:
        if node.op_type == "Conv" or after.intersection(node.input):
            after.update(node.output)
    before: set[str] = set()  # values on which a convolution depends
    for node in reversed(nodes):
        if node.op_type == "Conv" or before.intersection(node.output):
            before.update(node.input)
    return [
        node.name
        for node in nodes
        if node.op_type == "Conv"
        or (
            node.op_type in BETWEEN_CONVOLUTIONS
            and after.intersection(node.input)
            and before.intersection(node.output)
        )
    ]
