"""Changing the sampling rate, as the stock transformers pipeline does it, but several times as fast."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["Resampler", "resample"]

ZERO_CROSSINGS = 6  # of the sinc on each side, and its roll-off: torchaudio's defaults
ROLLOFF = 0.99
LARGEST_FILTER_BANK = 4_000_000  # taps; 44100 Hz to 16000 Hz needs about 70,000
PHASES = 16  # output samples of one band
LARGEST_LAG = 4  # input samples that a band may begin too early, for the same distance from band to band
NEGLIGIBLE = 1e-12  # of a tap, where the largest are near 1
INTERPOLATED_AT_ONCE = 4096  # output samples


@dataclass(frozen=True, slots=True)
class _Bands:
    """Bands of the filter bank at equal distances, which one call of `matmul` applies.

    Attributes:
        first: The input sample of a block, counted from its margin, at which the first band begins.
        spacing: Input samples from one band to the next.
        taps: `(bands, input samples, output samples)`.
    """

    first: int
    spacing: int
    taps: np.ndarray


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resamples `(samples,)` as a whole; see `Resampler`.

    Args:
        samples: A mono waveform.
        from_rate: Its rate, in Hz.
        to_rate: The rate wanted, in Hz.
    """
    return samples if from_rate == to_rate else Resampler(from_rate, to_rate).push(samples, last=True)


class Resampler:
    """Resamples a mono waveform block by block, with the windowed sinc of torchaudio, which the stock pipeline uses.

    With another resampler the same file would score differently here and there. torchaudio multiplies with a filter
    bank that is nearly all zeros, here only its bands are used; and as the bank grows with both rates over their
    greatest common divisor, the taps for odd rates, such as 44101 Hz, are computed sample by sample.

    Args:
        from_rate: Of the waveform, in Hz.
        to_rate: The rate wanted, in Hz.

    Example:
        >>> resampler = Resampler(44_100, 16_000)
        >>> blocks = [resampler.push(np.zeros(44_100, np.float32)), resampler.push(np.zeros(0, np.float32), last=True)]
        >>> sum(map(len, blocks))
        16000
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        divisor = math.gcd(from_rate, to_rate)
        self._from, self._to = from_rate // divisor, to_rate // divisor
        self._banded = self._from * self._to <= LARGEST_FILTER_BANK
        self._margin = _margin(self._from, self._to)
        self._held = np.zeros(self._margin, np.float32)
        self._held_from = -self._margin  # position of the first sample that is held
        self._received = 0
        self._given = 0

    def push(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """Takes the next samples in, and returns those of the output that are settled by now.

        Args:
            samples: `(samples,)`, any number.
            last: Whether no more will come.

        Returns:
            `(samples,)` in float32. All together are as many as the input lasts, rounded up.
        """
        samples = np.ascontiguousarray(samples, np.float32)
        self._received += len(samples)
        wanted = math.ceil(self._received * self._to / self._from) - self._given if last else None
        if self._from == self._to:
            resampled = samples
        elif self._banded:
            resampled = self._filter(samples, wanted)
        else:
            resampled = self._interpolate(samples, wanted)
        self._given += len(resampled)
        return resampled

    def _filter(self, samples: np.ndarray, wanted: int | None) -> np.ndarray:
        step, bank = _filter_bank(self._from, self._to)
        outputs = step * self._to // self._from  # a block
        reach = step + 2 * self._margin  # what these depend on
        received = len(self._held) + len(samples)
        whole = max(0, (received - 2 * self._margin) // step)
        blocks = whole if wanted is None else math.ceil(wanted / outputs)
        # Only the ends are copied: a copy of all would drive the samples out of the processor's cache.
        early = min(math.ceil(len(self._held) / step), whole, blocks)
        late = max(early, min(whole, blocks))
        resampled = np.empty((blocks, outputs), np.float32)
        _apply(bank, step, np.concatenate([self._held, samples[: early * step + reach]]), resampled[:early])
        _apply(bank, step, self._since(early * step, samples), resampled[early:late])
        end = np.zeros((blocks - late) * step + reach, np.float32)
        rest = self._since(late * step, samples)[: len(end)]
        end[: len(rest)] = rest
        _apply(bank, step, end, resampled[late:])
        self._held = self._since(blocks * step, samples).copy()
        return resampled.reshape(-1)[:wanted]

    def _since(self, position: int, samples: np.ndarray) -> np.ndarray:
        """What was held and the next samples, from a position on; a view if only samples are left."""
        held = len(self._held)
        return samples[position - held :] if position >= held else np.concatenate([self._held[position:], samples])

    def _interpolate(self, samples: np.ndarray, wanted: int | None) -> np.ndarray:
        held = np.concatenate([self._held, samples, np.zeros(0 if wanted is None else 2 * self._margin, np.float32)])
        width = 2 * self._margin + 2  # samples that one of the output can depend on
        if wanted is None:  # all whose last sample has come
            settled = self._held_from + len(held) - (self._margin + 2)
            wanted = max(0, settled * self._to // self._from + 1 - self._given) if settled >= 0 else 0
        pieces = []
        for first in range(self._given, self._given + wanted, INTERPOLATED_AT_ONCE):
            numbers = np.arange(first, min(first + INTERPOLATED_AT_ONCE, self._given + wanted), dtype=np.int64)
            starts = numbers * self._from // self._to - self._margin
            distances = starts[:, None] + np.arange(width) - _places(numbers, self._from, self._to)[:, None]
            windows = np.lib.stride_tricks.sliding_window_view(held, width)[starts - self._held_from]
            pieces.append(np.einsum("nk,nk->n", windows, _taps(distances, self._from, self._to)))
        gone = max(0, (self._given + wanted) * self._from // self._to - self._margin - self._held_from)
        self._held, self._held_from = held[gone:].copy(), self._held_from + gone
        return np.concatenate([np.zeros(0, np.float32), *pieces])


def _margin(from_rate: int, to_rate: int) -> int:
    """How many samples of the input, on each side, one of the output depends on."""
    return math.ceil(ZERO_CROSSINGS * from_rate / (ROLLOFF * min(from_rate, to_rate)))


def _places(numbers: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Where the samples of the output lie, in samples of the input, rounded as torchaudio rounds it."""
    whole, phase = np.divmod(numbers, to_rate)
    places: np.ndarray = whole * from_rate + (phase.astype(np.float32) / np.float32(to_rate)).astype(float) * from_rate
    return places


def _taps(distances: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """The filter at distances in samples of the input: a sinc under the square of a cosine."""
    cutoff = ROLLOFF * min(from_rate, to_rate) / from_rate
    crossings = np.clip(distances * cutoff, -ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = np.cos(np.pi * crossings / (2 * ZERO_CROSSINGS)) ** 2
    taps: np.ndarray = (cutoff * np.sinc(crossings) * window).astype(np.float32)
    return taps


def _apply(bank: list[_Bands], step: int, samples: np.ndarray, resampled: np.ndarray) -> None:
    """Fills blocks of output, `(blocks, outputs)`, from contiguous samples that begin a margin before the first."""
    blocks, column = len(resampled), 0
    for bands in bank if blocks else []:
        count, width, phases = bands.taps.shape
        # Block after block, each `step` samples later, reaching into the next; band after band within it.
        strides = (4 * bands.spacing, 4 * step, 4)
        windows = np.ndarray((count, blocks, width), np.float32, samples, 4 * bands.first, strides)
        filled = resampled[:, column : column + count * phases].reshape(blocks, count, phases)  # a view
        np.matmul(windows, bands.taps, out=filled.transpose(1, 0, 2))
        column += count * phases


@lru_cache(maxsize=32)
def _filter_bank(from_rate: int, to_rate: int) -> tuple[int, list[_Bands]]:
    """The filter bank of some periods of both rates, which have no common divisor, cut into bands.

    Returns:
        How many input samples a block of output takes; and its bands, in the order of the output.
    """
    margin = _margin(from_rate, to_rate)
    periods = math.ceil(4 * PHASES / to_rate)  # short ones are put together, to make the matrices worth their while
    step, outputs = periods * from_rate, periods * to_rate
    places = _places(np.arange(outputs), from_rate, to_rate)
    alike: list[list[np.ndarray]] = [[]]
    for band in np.array_split(places, math.ceil(outputs / PHASES)):
        if not _at_equal_distances([*alike[-1], band], from_rate, to_rate, step):
            alike.append([])
        alike[-1].append(band)
    bank = []
    for bands in alike:
        starts, width = _starts_and_width(bands, from_rate, to_rate)
        samples = starts[:, None] + np.arange(width)
        taps = _taps(samples[:, :, None] - margin - np.array(bands)[:, None, :], from_rate, to_rate)
        needed = np.flatnonzero((np.abs(taps) > NEGLIGIBLE).any(axis=(0, 2)))
        taps = taps[:, needed[0] : needed[-1] + 1]
        spacing = int(starts[1] - starts[0]) if len(starts) > 1 else 0
        bank.append(_Bands(int(starts[0] + needed[0]), spacing, np.ascontiguousarray(taps)))
    return step, bank


def _at_equal_distances(bands: list[np.ndarray], from_rate: int, to_rate: int, step: int) -> bool:
    if len(bands[0]) != len(bands[-1]):
        return False
    starts, width = _starts_and_width(bands, from_rate, to_rate)
    lags = np.array([math.floor(band[0]) for band in bands]) - starts
    reach = step + 2 * _margin(from_rate, to_rate)
    return bool(lags.min() >= 0 and lags.max() <= LARGEST_LAG and starts[-1] + width <= reach)


def _starts_and_width(bands: list[np.ndarray], from_rate: int, to_rate: int) -> tuple[np.ndarray, int]:
    """Where each band begins, at equal distances, in samples of the input from the margin on; and their width."""
    starts = math.floor(bands[0][0]) + len(bands[0]) * from_rate // to_rate * np.arange(len(bands))
    pasts = np.array([math.floor(band[-1]) for band in bands]) + 2 * _margin(from_rate, to_rate) + 1
    return starts, int((pasts - starts).max())
