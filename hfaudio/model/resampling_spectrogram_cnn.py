"""Changing the sampling rate, with the filter that the training recordings were resampled with."""

import math
from functools import lru_cache

import numpy as np

__all__ = ["resample"]

ZERO_CROSSINGS = 6  # of the sinc on each side, and its roll-off: torchaudio's defaults
ROLLOFF = 0.99


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resamples a mono waveform with the windowed sinc of `torchaudio.functional.resample`, for any two rates.

    Args:
        samples: `(samples,)` in float32.
        from_rate: Its rate, in Hz.
        to_rate: The rate wanted, in Hz.

    Returns:
        `(samples,)` in float32, as many as the waveform lasts, rounded up.
    """
    if from_rate == to_rate:
        return samples
    divisor = math.gcd(from_rate, to_rate)
    step, phases = from_rate // divisor, to_rate // divisor
    taps, margin = _filters(step, phases)
    padded = np.pad(samples, (margin, margin + 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps.shape[1])
    resampled = np.empty(math.ceil(len(samples) * phases / step), np.float32)
    # Samples that lie alike between those of the input share a filter; there are as many places as `phases`.
    for phase in range(min(phases, len(resampled))):
        alike = resampled[phase::phases]
        alike[:] = windows[phase * step // phases :: step][: len(alike)] @ taps[phase]
    return resampled


@lru_cache(maxsize=8)
def _filters(step: int, phases: int) -> tuple[np.ndarray, int]:
    """The filter of each place, `(phases, taps)`, and how many samples it reaches back."""
    cutoff = ROLLOFF * min(step, phases) / step
    margin = math.ceil(ZERO_CROSSINGS / cutoff)
    numbers = np.arange(phases)
    # Rounded to single precision, as torchaudio rounds it.
    places = (numbers.astype(np.float32) / np.float32(phases)).astype(float) * step
    distances = (numbers * step // phases - places)[:, None] + np.arange(-margin, margin + 2)
    crossings = np.clip(distances * cutoff, -ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = np.cos(np.pi * crossings / (2 * ZERO_CROSSINGS)) ** 2
    return (cutoff * np.sinc(crossings) * window).astype(np.float32), margin
