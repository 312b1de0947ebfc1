"""Scoring waveforms with ONNX Runtime, without torch."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hfaudio.audio import is_silent
from hfaudio.inference.classifier_settings import ClassifierSettings, ModelError
from hfaudio.inference.graph_origin import why_stale

__all__ = ["ONNX_FILE", "ONNX_INT8_FILE", "OnnxBackend", "StaleGraphError", "fit_length", "graph_inputs"]

ONNX_FILE = "model.onnx"  # beside the model
ONNX_INT8_FILE = "model_int8.onnx"


class StaleGraphError(ModelError):
    """A graph was made of other weights or settings than those beside it."""


class OnnxBackend:
    """Scores waveforms with a graph that `hfaudio.inference.onnx_export` wrote.

    Args:
        path: Of the graph.
        settings: Of the model.
        threads: Of ONNX Runtime; None takes one for each core.

    Raises:
        StaleGraphError: The graph was not made of the weights and settings that lie beside it.
        ModelError: The file is not there or no such graph, or onnxruntime is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], settings: ClassifierSettings, threads: int | None = None) -> None:
        try:
            import onnxruntime  # type: ignore[import-untyped]  # it has no py.typed
        except ImportError as error:
            raise ModelError(
                "Expected onnxruntime for the backend onnx, found none; run: pip install 'hfaudio[onnx]'"
            ) from error
        if not os.path.isfile(path):
            raise ModelError(
                f"Expected a graph at {path} for the backend onnx, found none; write it with scripts/export_onnx.py, "
                f"and {ONNX_INT8_FILE} with its --int8."
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        # Threads that wait for work would keep those that read recordings off the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(os.fspath(path), options, ["CPUExecutionProvider"])
        except Exception as error:  # of classes that onnxruntime keeps to itself
            raise ModelError(f"Expected an ONNX graph in {path}, found none that loads: {error}") from error
        names = {value.name for value in self._session.get_inputs()}
        if names != {"waveforms", "sound_samples"}:
            raise ModelError(
                f"Expected the inputs waveforms and sound_samples in {path}, found {', '.join(sorted(names))}; write "
                "the graph with scripts/export_onnx.py."
            )
        reason = why_stale(self._session.get_modelmeta().custom_metadata_map, Path(path).parent)
        if reason is not None:
            raise StaleGraphError(
                f"Expected a graph of the model beside it in {path}, found {reason}; write it anew with "
                f"scripts/export_onnx.py{' --int8' if Path(path).name == ONNX_INT8_FILE else ''}."
            )
        self._settings = settings

    def score(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Scores mono waveforms at the model's rate.

        Args:
            waveforms: `(samples,)` each, in float32.

        Returns:
            The logits, `(batch, num_labels)` in float32.
        """
        inputs = graph_inputs(waveforms, self._settings)
        logits: np.ndarray = self._session.run(["logits"], inputs)[0]
        return logits


def graph_inputs(waveforms: Sequence[np.ndarray], settings: ClassifierSettings) -> dict[str, np.ndarray]:
    """Makes of mono waveforms at the model's rate what a graph takes.

    Args:
        waveforms: `(samples,)` each, in float32.
        settings: Of the model.

    Returns:
        `waveforms (batch, samples)`, the shorter ones padded with zeros, and `sound_samples (batch,)`.
    """
    fitted = [fit_length(samples, settings) for samples in waveforms]
    batch = np.zeros((len(fitted), max(len(samples) for samples, _ in fitted)), np.float32)
    for row, (samples, _) in zip(batch, fitted, strict=True):
        row[: len(samples)] = samples
    return {"waveforms": batch, "sound_samples": np.array([sounding for _, sounding in fitted], np.int64)}


def fit_length(samples: np.ndarray, settings: ClassifierSettings) -> tuple[np.ndarray, int]:
    """Cuts or extends a waveform as `SpectrogramCNNFeatureExtractor` does, without torch.

    Args:
        samples: `(samples,)`.
        settings: Of the model.

    Returns:
        `(samples,)`, and how many of them, from the start, hold sound: none of digital silence.
    """
    longest, shortest = settings.max_samples, settings.crop_samples
    if len(samples) > longest:
        start = (len(samples) - longest) // 2
        samples = samples[start : start + longest]
    sounding = 0 if is_silent(samples) else len(samples)
    if len(samples) >= shortest:
        return samples, sounding
    if settings.pad_mode == "zero":
        return np.pad(samples, (0, shortest - len(samples))), sounding
    # numpy's own modes do the same: "wrap" repeats, "reflect" does not repeat the edge.
    missing = (0, shortest - len(samples))
    if settings.pad_mode == "repeat" or len(samples) == 1:
        return np.pad(samples, missing, mode="wrap"), shortest if sounding else 0
    return np.pad(samples, missing, mode="reflect"), shortest if sounding else 0
