"""Writing a classifier as one ONNX graph, from the waveform to the logits."""

import os
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hfaudio.inference.graph_origin import describe_origin
from hfaudio.inference.matrix_spectrogram import MatrixMelSpectrogram
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.model.spectral_features_spectrogram_cnn import hann_window, mel_filters

__all__ = ["WaveformClassifier", "export_onnx"]

OPSET = 20
TOLERANCE = 1e-4  # of the logits
EXAMPLE_SECONDS = 3.0
COMPARED_SECONDS = ((2.0,), (5.0, 1.3, 0.2), (7.77, 11.1))


class WaveformClassifier(nn.Module):
    """A classifier from the waveform on: the features of its extractor, and the model.

    Args:
        model: The classifier.
        extractor: Its feature extractor.
    """

    def __init__(self, model: SpectrogramCNNForAudioClassification, extractor: SpectrogramCNNFeatureExtractor) -> None:
        super().__init__()
        self.model = model
        self.mel_spectrogram = MatrixMelSpectrogram(
            extractor.n_fft,
            extractor.hop_length,
            hann_window(extractor.win_length),
            mel_filters(extractor.n_fft, extractor.n_mels, extractor.f_min, extractor.f_max, extractor.sampling_rate),
        )
        self.extractor = _GraphFeatureExtractor(**extractor.to_dict())
        self.extractor.mel_spectrogram = self.mel_spectrogram

    def forward(self, waveforms: Tensor, sound_samples: Tensor) -> Tensor:
        """Scores waveforms of the extractor's rate, already extended to a crop.

        Args:
            waveforms: `(batch, samples)` in float32, padded with zeros.
            sound_samples: `(batch,)` in int64, how many samples from the start hold sound.

        Returns:
            The logits, `(batch, num_labels)`.
        """
        features, attention_mask = self.extractor.features_of(waveforms, sound_samples)
        logits: Tensor = self.model(features, attention_mask, return_dict=False)[0]
        return logits


class _GraphFeatureExtractor(SpectrogramCNNFeatureExtractor):
    """Computes what the extractor does, with a spectrogram that ONNX Runtime is quick at."""

    mel_spectrogram: MatrixMelSpectrogram

    def _mel_power(self, batch: Tensor) -> Tensor:
        power: Tensor = self.mel_spectrogram(batch)
        return power


def export_onnx(
    model: SpectrogramCNNForAudioClassification,
    extractor: SpectrogramCNNFeatureExtractor,
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
) -> float:
    """Writes a graph with any batch size and length, and compares it with PyTorch at lengths it was not made with.

    Args:
        model: The classifier.
        extractor: Its feature extractor.
        path: The file, which is replaced only when the graph is right.
        folder: Where both are saved; the graph carries the hashes of what lies there.

    Returns:
        The largest difference between the logits of both.

    Raises:
        ValueError: They differ by more than 1e-4.
    """
    # Run once before it is traced: matrices that are cached must not be as tracing makes them.
    example = _noise(extractor, [EXAMPLE_SECONDS, 0.5 * EXAMPLE_SECONDS], seed=0)
    _score(model.eval(), extractor, *example)
    classifier = WaveformClassifier(model, extractor)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("samples", min=extractor.crop_samples)
    with TemporaryDirectory(dir=Path(path).parent, prefix=".onnx-") as staging:
        graph = Path(staging) / "model.onnx"
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")  # of the exporter, about itself
            program: Any = torch.onnx.export(
                classifier,
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=["waveforms", "sound_samples"],
                output_names=["logits"],
                dynamic_shapes=({0: batch, 1: length}, {0: batch}),
                verbose=False,
            )
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # stack traces, with paths of this machine
        program.model.metadata_props.update(describe_origin(folder))
        program.save(graph, external_data=False)
        difference = _largest_difference(model, extractor, graph)
        if difference > TOLERANCE:
            raise ValueError(
                f"Expected the graph to score as PyTorch does, within {TOLERANCE:g}, found a difference of "
                f"{difference:.2g}; no graph was written."
            )
        os.replace(graph, path)
    return difference


@torch.no_grad()
def _score(
    model: SpectrogramCNNForAudioClassification,
    extractor: SpectrogramCNNFeatureExtractor,
    waveforms: Tensor,
    sound_samples: Tensor,
) -> np.ndarray:
    """The logits as PyTorch has them."""
    features, attention_mask = extractor.features_of(waveforms, sound_samples)
    logits: np.ndarray = model(features, attention_mask).logits.numpy()
    return logits


def _largest_difference(
    model: SpectrogramCNNForAudioClassification, extractor: SpectrogramCNNFeatureExtractor, graph: Path
) -> float:
    import onnxruntime  # type: ignore[import-untyped]  # it has no py.typed

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    largest = 0.0
    for seed, seconds in enumerate(COMPARED_SECONDS, start=1):
        waveforms, sound_samples = _noise(extractor, seconds, seed)
        expected = _score(model, extractor, waveforms, sound_samples)
        inputs = {"waveforms": waveforms.numpy(), "sound_samples": sound_samples.numpy()}
        largest = max(largest, float(np.abs(session.run(["logits"], inputs)[0] - expected).max()))
    return largest


def _noise(extractor: SpectrogramCNNFeatureExtractor, seconds: Sequence[float], seed: int) -> tuple[Tensor, Tensor]:
    """A batch of noises of these lengths, the shorter ones padded."""
    generator = torch.Generator().manual_seed(seed)
    sound_samples = torch.tensor([max(1, round(own * extractor.sampling_rate)) for own in seconds])
    length = max(int(sound_samples.max()), extractor.crop_samples)
    waveforms = 0.1 * torch.randn(len(seconds), length, generator=generator)
    return waveforms.masked_fill(torch.arange(length) >= sound_samples[:, None], 0.0), sound_samples
