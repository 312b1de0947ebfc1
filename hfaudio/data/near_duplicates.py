"""Finding recordings that are the same sound: re-encoded, resampled, louder, noisier, shifted."""

from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.sparse

__all__ = ["FINGERPRINT_SIZE", "SIMILARITY_THRESHOLD", "acoustic_fingerprint", "near_duplicate_groups"]

BANDS = 33  # evenly on the mel scale
LOWEST, HIGHEST = 100.0, 3800.0  # Hz; what a copy at 8 kHz still holds
MODULATIONS = 1.3 + 3.0 * np.arange(8)  # Hz; none near a whole number, at which clocks tick
FINGERPRINT_SIZE = 2 * (BANDS - 1) * len(MODULATIONS)

FRAME = 0.064  # seconds
FRAMES_A_WINDOW = 4  # with 2 a shift by part of a frame takes 0.3 off the similarity of noisy sounds
MIN_FRAMES = 27  # 0.48 seconds
MAX_SECONDS = 60
MIN_RATE = 2000  # Hz; below it the bands are narrower than a bin
MIN_DEVIATION = 0.1  # nepers of energy; white noise has 0.56, a steady tone 0.01
COMPRESSION = 0.3  # of the magnitudes, which would otherwise be those of a few strong modulations

# Measured by benchmarks/near_duplicates.py; docs/results.md has the table. Of 1.6 million pairs of different sources
# of ESC-10 and UrbanSound8K one lies above, which is one sound under two numbers; of 1.35 million pairs of different
# words of half a second that espeak-ng spoke five do (at 0.45 it would be 96), of one word by two of its voices 1.9 %.
# Found again are 98 to 100 % of what was re-encoded, resampled, made quieter, noisier or later; of later words, 70 %.
SIMILARITY_THRESHOLD = 0.6
# All are compared with all: of 50,000 that takes 1.3 TFLOP, less time than to decode them. Cells around 500 of 15,000,
# each recording in its nearest eight, would leave a seventh of the work, and lose 0.7 % of the pairs.
BLOCK = 2048  # fingerprints a side: 16 MiB of similarities at a time


def acoustic_fingerprint(samples: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Describes how the spectrum of a recording moves, whatever its level, its colour and where it starts.

    The log energies of neighbouring bands are Fourier-transformed over time, and the one is multiplied with the
    conjugate of the other: a shift turns both by the same angle, which the product no longer holds. What all bands
    have in common is taken off first and last, as two barks, or two clocks, have it in common too. That leaves out
    when things happen: the very same click, repeated at other times, counts as the same sound.

    Args:
        samples: A mono waveform, `(samples,)`; what lies after its first minute is left out.
        sampling_rate: Its rate, in Hz. Fingerprints of different rates can be compared from 7600 Hz on.

    Returns:
        `(FINGERPRINT_SIZE,)` in float16, of norm one; or zeros, which resemble nothing, where the recording is shorter
        than 0.48 seconds, sampled at less than 2000 Hz, silent, or steady.
    """
    nothing = np.zeros(FINGERPRINT_SIZE, np.float16)
    if sampling_rate < MIN_RATE:
        return nothing
    window, starts = _analysis(sampling_rate)
    hop = len(window) // FRAMES_A_WINDOW
    samples = samples[: MAX_SECONDS * sampling_rate].astype(np.float32, copy=False)
    if len(samples) < len(window) + (MIN_FRAMES - 1) * hop:
        return nothing
    frames = np.lib.stride_tricks.sliding_window_view(samples, len(window))[::hop]
    spectrum = scipy.fft.rfft(frames * window)  # numpy's would be in double precision
    parts = spectrum.view(np.float32)[:, : 2 * starts[-1]]  # real and imaginary in turns
    energies = np.add.reduceat(np.square(parts), 2 * starts[:-1], axis=1)
    loudness = energies.sum(axis=1)
    if loudness.mean() <= 1e-10 * len(window) ** 2 * (samples @ samples) / len(samples):  # only rounding errors
        return nothing

    # Silence that was added, or that an encoder filled, must not count.
    weights = loudness / (loudness + 1e-3 * loudness.mean())
    levels = np.log(energies + 1e-4 * energies.mean(axis=0).max())
    levels -= levels.mean(axis=1, keepdims=True)
    levels = (levels - weights @ levels / weights.sum()) * weights[:, None]
    if np.square(levels).mean() < MIN_DEVIATION**2 * np.square(weights).mean():
        return nothing

    modulations = _oscillations(len(levels), hop / sampling_rate) @ levels
    products = modulations[:, 1:] * modulations[:, :-1].conj()
    products *= np.maximum(np.abs(products), 1e-12) ** (COMPRESSION - 1)
    products -= products.mean(axis=1, keepdims=True)
    products /= np.maximum(np.linalg.norm(products, axis=1, keepdims=True), 1e-12)
    fingerprint = products.ravel().view(np.float32)
    return (fingerprint / np.linalg.norm(fingerprint)).astype(np.float16)


def near_duplicate_groups(fingerprints: np.ndarray, threshold: float = SIMILARITY_THRESHOLD) -> np.ndarray:
    """Groups the recordings that are nearly the same, directly or through others, by the cosine of their fingerprints.

    Memory holds one block of similarities and the groups, however many recordings are alike.

    Args:
        fingerprints: `(recordings, FINGERPRINT_SIZE)`, of `acoustic_fingerprint`.
        threshold: The cosine from which on two count as nearly the same.

    Returns:
        `(recordings,)` in int64, the index of each recording's group. Two parts of the recordings share a group
        exactly if a recording of one is nearly the same as one of the other.
    """
    groups = np.arange(len(fingerprints))
    telling = np.flatnonzero(fingerprints.any(axis=1))
    for first in range(0, len(telling), BLOCK):
        rows = telling[first : first + BLOCK]
        block = fingerprints[rows].astype(np.float32)
        for other in range(first, len(telling), BLOCK):
            columns = telling[other : other + BLOCK]
            similar = block @ fingerprints[columns].astype(np.float32).T >= threshold
            groups = _joined(groups, rows, columns, similar)
    return groups


def _joined(groups: np.ndarray, rows: np.ndarray, columns: np.ndarray, similar: np.ndarray) -> np.ndarray:
    """The groups after those of similar recordings have become one; `similar` is `(rows, columns)`."""
    while similar.any():
        similar &= groups[rows][:, None] != groups[columns]  # the others say nothing new
        # Of each row and each column one pair suffices, and at least halves how many groups are left to join.
        some_rows, some_columns = np.flatnonzero(similar.any(axis=1)), np.flatnonzero(similar.any(axis=0))
        one = np.concatenate([rows[some_rows], rows[similar[:, some_columns].argmax(axis=0)]])
        other = np.concatenate([columns[similar[some_rows].argmax(axis=1)], columns[some_columns]])
        graph = scipy.sparse.coo_array(
            (np.ones(len(one), np.int8), (groups[one], groups[other])), shape=(len(groups), len(groups))
        )
        _, component = scipy.sparse.csgraph.connected_components(graph, directed=False)
        groups = component[groups].astype(np.int64)
    return groups


@lru_cache(maxsize=8)
def _analysis(sampling_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the window, `(samples,)`, and the first bin of each band and the one after the last, `(BANDS + 1,)`."""
    length = scipy.fft.next_fast_len(round(FRAME * sampling_rate), real=True)
    lowest, highest = np.log1p(np.array([LOWEST, min(HIGHEST, 0.49 * sampling_rate)]) / 700)
    edges = 700 * np.expm1(np.linspace(lowest, highest, BANDS + 1))
    return np.hanning(length).astype(np.float32), np.ceil(edges * length / sampling_rate).astype(np.intp)


@lru_cache(maxsize=8)
def _oscillations(frames: int, hop_seconds: float) -> np.ndarray:
    """A complex oscillation of each modulation frequency, `(modulations, frames)`."""
    seconds = np.arange(frames) * hop_seconds
    return np.exp(-2j * np.pi * np.outer(MODULATIONS, seconds)).astype(np.complex64)
