"""Telling digital silence, of which there is nothing to classify, from sound."""

import math

import numpy as np

__all__ = ["SILENT_RANGE", "SilenceWatch", "is_silent"]

SILENT_RANGE = 2.0**-14  # two steps of 16 bits, between the lowest sample and the highest
GLANCE = 4096  # samples, which settle it for nearly every recording


def is_silent(samples: np.ndarray) -> bool:
    """Whether a mono waveform, at least one sample, stays within two steps of 16 bits; a constant offset is no sound.

    The shipped `hfaudio.model.waveforms_spectrogram_cnn.is_silent` is the same rule.

    Args:
        samples: `(samples,)`, floating-point; 1 is full scale.
    """
    return all(float(part.max() - part.min()) < SILENT_RANGE for part in (samples[:GLANCE], samples))


class SilenceWatch:
    """Tells whether a recording that comes in blocks is silent, as `is_silent` would of all blocks together."""

    def __init__(self) -> None:
        self._lowest, self._highest = math.inf, -math.inf

    @property
    def silent(self) -> bool:
        """Whether there were samples, and they are silent so far."""
        return 0.0 <= self._highest - self._lowest < SILENT_RANGE

    def add(self, samples: np.ndarray) -> None:
        """Looks at the next block, `(samples,)`; once there is sound it looks no further."""
        if len(samples) and self._highest - self._lowest < SILENT_RANGE:
            self._lowest = min(self._lowest, float(samples.min()))
            self._highest = max(self._highest, float(samples.max()))
