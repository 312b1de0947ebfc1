"""Waveforms in any of the forms that they come in."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["check_samples", "is_silent", "silent_frames", "split_batch", "to_mono"]

MAX_AUDIO_CHANNELS = 8
LARGEST_SAMPLE = 2.0**31
"""An integer of 32 bits in place of a float. What is larger comes from damage, and its power may overflow."""
SILENT_RANGE = 2.0**-14  # two steps of 16 bits, between the lowest sample and the highest
GLANCE = 4096  # samples, which settle it for nearly every recording


def is_silent(samples: Any) -> bool:
    """Whether a mono waveform stays within two steps of 16 bits, and is no sound; a constant offset is none.

    Args:
        samples: `(samples,)`, at least one; numpy or torch, floating-point, 1 is full scale.
    """
    return all(float(part.max() - part.min()) < SILENT_RANGE for part in (samples[:GLANCE], samples))


def silent_frames(batch: Tensor, sound_samples: Tensor, length: int, hop: int) -> Tensor:
    """Tells which frames hear digital silence alone, by the rule of `is_silent`, in operations that can be exported.

    Args:
        batch: `(batch, samples)`.
        sound_samples: `(batch,)`, how many samples from the start are the recording's; the rest is padding.
        length: Of a frame, in samples, of which it is the centre of its own.
        hop: Step between frames, in samples.

    Returns:
        `(batch, 1 + samples // hop)`, true also of frames of padding.
    """
    padding = torch.arange(batch.shape[1]) >= sound_samples[:, None]
    half = length // 2

    def highest(samples: Tensor) -> Tensor:
        # Of two dimensions: with one, torch.export takes the length for fixed.
        samples = samples.masked_fill(padding, -torch.inf)[:, None, None]
        return nn.functional.max_pool2d(samples, (1, 2 * half), (1, hop), padding=(0, half))[:, 0, 0]

    return highest(batch) + highest(-batch) < SILENT_RANGE


def split_batch(waveforms: Any) -> list[Any]:
    """Makes a list of recordings of whatever came in.

    Args:
        waveforms: One recording or a batch; see `SpectrogramCNNFeatureExtractor.__call__` for the shapes.

    Raises:
        ValueError: The list is empty, or it may be a batch or the channels of a recording.
    """
    if isinstance(waveforms, (list, tuple)):
        if len(waveforms) == 0:
            raise ValueError("Expected at least one recording, found an empty list.")
        return [waveforms] if np.isscalar(waveforms[0]) and not isinstance(waveforms[0], str) else list(waveforms)
    dimensions = getattr(waveforms, "ndim", 1)
    if dimensions == 2 and 1 < waveforms.shape[0] <= MAX_AUDIO_CHANNELS:
        raise ValueError(
            f"An array of the shape {tuple(waveforms.shape)} may be a batch or the channels of one recording; pass "
            "list(array) for a batch, [array] for one recording."
        )
    return list(waveforms) if dimensions == 3 else [waveforms]


def check_samples(samples: Tensor, name: str) -> None:
    """Refuses samples whose features would not be finite.

    Args:
        samples: `(samples,)`.
        name: Of the recording, with which the sentence of an error begins.

    Raises:
        ValueError: One is NaN, infinite or larger than any recording has.
    """
    largest = float(samples.abs().max()) if len(samples) else 0.0
    if not math.isfinite(largest):
        raise ValueError(f"{name} must hold finite samples, found NaN or infinity.")
    if largest > LARGEST_SAMPLE:
        raise ValueError(
            f"{name} must hold samples of at most {LARGEST_SAMPLE:.2g} times full scale, found {largest:.2g}; it is "
            "damaged."
        )


def to_mono(recording: Any, name: str) -> Tensor:
    """Averages the channels of a recording.

    Args:
        recording: `(samples,)` or `(channels, samples)`; numpy, torch or lists of numbers, floating-point in [-1, 1].
        name: Of the recording, with which the sentence of an error begins.

    Returns:
        `(samples,)` in float32, on the CPU.

    Raises:
        ValueError: It is empty, not floating-point or of an impossible shape.
    """
    if isinstance(recording, (list, tuple)):
        try:
            recording = np.asarray(recording)
        except ValueError as error:  # of lists of several lengths
            raise ValueError(f"{name} must have channels of one length, found several lengths.") from error
        if recording.size == 0:
            recording = recording.astype(np.float32)
    if not hasattr(recording, "ndim"):
        raise ValueError(
            f"{name} must be an array, a tensor or a list of numbers, found {type(recording).__name__}; of a row of a "
            "data set pass audio['array'], of a file what the pipeline or soundfile reads from it."
        )
    if not torch.is_tensor(recording) and recording.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers, found {recording.dtype}.")
    # Copied, because torch cannot share a read-only array, such as a memory-mapped recording.
    samples = recording.detach().cpu() if torch.is_tensor(recording) else torch.tensor(np.ascontiguousarray(recording))
    if not samples.is_floating_point():
        raise ValueError(
            f"{name} must hold floating-point samples in [-1, 1], found {samples.dtype}; "
            "divide integers by their largest value first."
        )
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[0] <= MAX_AUDIO_CHANNELS):
        raise ValueError(
            f"{name} must have the shape (samples,) or (channels, samples) with at most "
            f"{MAX_AUDIO_CHANNELS} channels, found {tuple(samples.shape)}; pass a batch as a list or as "
            "(batch, channels, samples)."
        )
    if samples.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one sample, found none.")
    samples = samples.float()
    return samples.mean(dim=0) if samples.ndim == 2 else samples
