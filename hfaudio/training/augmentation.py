"""Changing the waveform of a training example, with audiomentations."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import audiomentations
import numpy as np

__all__ = ["WAVEFORM_AUGMENTATIONS", "WaveformAugmentation"]

WAVEFORM_AUGMENTATIONS = ("none", "light", "strong")


class WaveformAugmentation:
    """A chain of audiomentations transforms that draws from a seed.

    `light` changes level, polarity and place (a roll) and adds quiet noise. `strong` adds changes of speed and pitch
    and filters, which costs more than ten times as much (`benchmarks/throughput.py`).

    Args:
        strength: `light` or `strong`.
        sampling_rate: Of the waveforms, in Hz.

    Raises:
        ValueError: There is no such strength.
    """

    def __init__(self, strength: str, sampling_rate: int) -> None:
        if strength not in ("light", "strong"):
            raise ValueError(f"strength must be light or strong, found {strength!r}.")
        self.sampling_rate = sampling_rate
        transforms = [
            audiomentations.Gain(min_gain_db=-6.0, max_gain_db=6.0, p=0.5),
            audiomentations.PolarityInversion(p=0.5),
            audiomentations.Shift(min_shift=-0.5, max_shift=0.5, rollover=True, p=0.5),
            audiomentations.AddGaussianSNR(min_snr_db=15.0, max_snr_db=50.0, p=0.25),
        ]
        if strength == "strong":
            transforms += [
                audiomentations.TimeStretch(min_rate=0.8, max_rate=1.25, leave_length_unchanged=True, p=0.3),
                audiomentations.PitchShift(min_semitones=-3.0, max_semitones=3.0, p=0.3),
                audiomentations.HighPassFilter(min_cutoff_freq=20.0, max_cutoff_freq=400.0, p=0.2),
                audiomentations.LowPassFilter(
                    min_cutoff_freq=0.1 * sampling_rate, max_cutoff_freq=0.45 * sampling_rate, p=0.2
                ),
            ]
        self._chain = audiomentations.Compose(transforms)

    def __call__(self, samples: np.ndarray, seed: int) -> np.ndarray:
        """Changes a float32 waveform `(samples,)`; the same seed makes the same change."""
        with _global_seed(seed):
            changed: np.ndarray = self._chain(np.array(samples), sample_rate=self.sampling_rate)
        return changed.astype(np.float32, copy=False)


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Audiomentations draws from the global generators: seeds them for a while, then puts their states back."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
