"""Changing the sampling rate, as the stock transformers pipeline does it, but several times as fast."""

import math
from functools import lru_cache

import numpy as np
import scipy.signal
from torchaudio.transforms import Resample

__all__ = ["resample"]

LARGEST_FILTER_BANK = 4_000_000  # taps; 44100 Hz to 16000 Hz needs about 70,000
PHASES = 16  # output samples that one matrix product computes
NEGLIGIBLE = 1e-12  # of a tap, where the largest are near 1

Band = tuple[int, np.ndarray]


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resamples `(samples,)` with torchaudio's windowed sinc, the one that the stock transformers pipeline uses.

    With another resampler the same file would score differently here and there. torchaudio multiplies with a filter
    bank that is nearly all zeros, here only its bands are used; and as the bank grows with both rates over their
    greatest common divisor, scipy's Fourier method takes its place for odd rates, such as 44101 Hz.

    Args:
        samples: A mono waveform.
        from_rate: Its rate, in Hz.
        to_rate: The rate wanted, in Hz.
    """
    if from_rate == to_rate:
        return samples
    divisor = math.gcd(from_rate, to_rate)
    length = math.ceil(len(samples) * to_rate / from_rate)
    if from_rate * to_rate // divisor**2 > LARGEST_FILTER_BANK:
        return scipy.signal.resample(samples, length).astype(np.float32)
    step, margin, bands = _filter_bands(from_rate, to_rate)
    blocks = math.ceil(len(samples) / step)
    padded = np.zeros(margin + blocks * step + margin, np.float32)
    padded[margin : margin + len(samples)] = samples
    resampled = np.empty((blocks, sum(taps.shape[1] for _, taps in bands)), np.float32)
    column = 0
    for first, taps in bands:
        # Window after window, of which each begins `step` samples later and may reach into the next.
        windows = np.ndarray((blocks, len(taps)), np.float32, padded, 4 * first, (4 * step, 4))
        np.matmul(windows, taps, out=resampled[:, column : column + taps.shape[1]])
        column += taps.shape[1]
    return resampled.reshape(-1)[:length]


@lru_cache(maxsize=32)
def _filter_bands(from_rate: int, to_rate: int) -> tuple[int, int, list[Band]]:
    """The filter bank of some periods of both rates, cut into bands.

    Returns:
        How many input samples a block of output takes; how many it needs on each side of them; and for each band of
        output samples the first input sample that it needs and its taps, `(input samples, output samples)`.
    """
    transform = Resample(from_rate, to_rate)
    kernel, margin = transform.kernel[:, 0].numpy(), transform.width
    divisor = math.gcd(from_rate, to_rate)
    step, phases = from_rate // divisor, to_rate // divisor
    periods = math.ceil(4 * PHASES / phases)  # short ones are put together, to make the matrices worth their while
    bank = np.zeros((periods, phases, 2 * margin + periods * step), np.float32)
    for period in range(periods):
        bank[period, :, period * step : period * step + kernel.shape[1]] = kernel
    bands = []
    for rows in np.array_split(bank.reshape(periods * phases, -1), math.ceil(periods * phases / PHASES)):
        needed = np.flatnonzero((np.abs(rows) > NEGLIGIBLE).any(axis=0))
        first, past = int(needed[0]), int(needed[-1]) + 1
        bands.append((first, np.ascontiguousarray(rows[:, first:past].T)))
    return periods * step, margin, bands
