import warnings

import numpy as np
import pytest
import scipy.signal

from hfaudio.data import near_duplicates
from hfaudio.data.near_duplicates import (
    FINGERPRINT_SIZE,
    SIMILARITY_THRESHOLD,
    acoustic_fingerprint,
    near_duplicate_groups,
)

RATE = 16000


def sound(seed: int, seconds: float = 4.0) -> np.ndarray:
    """Noise bursts of their own colour at irregular times, over steady noise."""
    rng = np.random.default_rng(seed)
    samples = 0.02 * rng.standard_normal(int(seconds * RATE))
    for start in rng.integers(0, len(samples) - RATE // 4, 12):
        low = rng.uniform(100, 3000)
        colour = scipy.signal.butter(2, (low, 1.5 * low), "bandpass", fs=RATE, output="sos")
        decay = np.exp(-np.arange(RATE // 4) / rng.uniform(300, 1500))
        samples[start : start + RATE // 4] += scipy.signal.sosfilt(colour, rng.standard_normal(RATE // 4)) * decay
    return samples.astype(np.float32)


def noise(seed: int, seconds: float = 4.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE)).astype(np.float32)


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    return float(one.astype(np.float32) @ other.astype(np.float32))


DISGUISES = {
    "quieter": lambda samples: samples * 10 ** (-12 / 20),
    "upside down": lambda samples: -samples,
    "with an offset": lambda samples: samples + np.float32(0.1),
    "at 8 kHz and back": lambda samples: scipy.signal.resample_poly(scipy.signal.resample_poly(samples, 1, 2), 2, 1),
    "noisier": lambda samples: samples + noise(99, len(samples) / RATE) * samples.std() * 10 ** (-30 / 20),
    "coloured": lambda samples: scipy.signal.lfilter([1, -0.6], [1], samples),
    "from 0.137 seconds on": lambda samples: samples[2192:],
    "from 0.471 seconds on": lambda samples: samples[7536:],
    "after silence": lambda samples: np.pad(samples, (8000, 0)),
    "without its end": lambda samples: samples[: len(samples) * 9 // 10],
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("make", [sound, noise])
def test_a_sound_in_other_clothes_is_found(make, disguise: str) -> None:
    samples = make(0)
    disguised = DISGUISES[disguise](samples)
    found = similarity(acoustic_fingerprint(samples, RATE), acoustic_fingerprint(disguised, RATE))
    assert found >= SIMILARITY_THRESHOLD


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_rates_can_be_compared(rate: int) -> None:
    resampled = scipy.signal.resample(sound(0), 4 * rate)
    found = similarity(acoustic_fingerprint(sound(0), RATE), acoustic_fingerprint(resampled, rate))
    assert found >= SIMILARITY_THRESHOLD


@pytest.mark.parametrize("seconds", [0.5, 4.0])
@pytest.mark.parametrize("make", [sound, noise])
def test_different_sounds_are_not(make, seconds: float) -> None:
    fingerprints = np.stack([acoustic_fingerprint(make(seed, seconds), RATE) for seed in range(50)])
    np.testing.assert_allclose(np.linalg.norm(fingerprints.astype(np.float64), axis=1), 1, atol=1e-3)
    assert len(set(near_duplicate_groups(fingerprints))) == len(fingerprints)


def test_two_clocks_of_the_same_pace_are_two() -> None:
    fingerprints = []
    for seed in range(2):
        tick = sound(seed, 0.26)[:2000]
        samples = 1e-3 * noise(seed)
        for start in range(0, len(samples), RATE // 2):
            samples[start : start + len(tick)] += tick
        fingerprints.append(acoustic_fingerprint(samples, RATE))
    assert similarity(*fingerprints) < SIMILARITY_THRESHOLD


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0),
        np.zeros(4 * RATE),
        np.full(4 * RATE, 0.3),
        np.sin(2 * np.pi * 440.37 / RATE * np.arange(4 * RATE)),
        np.sin(2 * np.pi * 6000.1 / RATE * np.arange(4 * RATE)),
        noise(0, 0.45),
        1e-30 * noise(0),
    ],
    ids=["empty", "silence", "constant", "tone", "tone above the bands", "short", "vanishing"],
)
def test_where_nothing_can_be_said_the_fingerprint_is_zero(samples: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fingerprint = acoustic_fingerprint(samples.astype(np.float32), RATE)
    assert fingerprint.dtype == np.float16
    assert fingerprint.shape == (FINGERPRINT_SIZE,)
    assert not fingerprint.any()
    assert len(set(near_duplicate_groups(np.stack([fingerprint, fingerprint])))) == 2


def test_rates_too_low_for_the_bands_give_zeros() -> None:
    assert acoustic_fingerprint(noise(0), 2000).any()
    assert not acoustic_fingerprint(noise(0), 1999).any()


def test_only_the_first_minute_counts() -> None:
    minute = noise(0, 60)
    longer = np.concatenate([minute, noise(1, 1)])
    np.testing.assert_array_equal(acoustic_fingerprint(minute, RATE), acoustic_fingerprint(longer, RATE))


def grouped(fingerprints: np.ndarray, threshold: float = SIMILARITY_THRESHOLD) -> list[list[int]]:
    """The groups as lists of indices, in the order of their first."""
    groups = near_duplicate_groups(fingerprints, threshold).tolist()
    return [[row for row, own in enumerate(groups) if own == group] for group in dict.fromkeys(groups)]


def plainly_grouped(fingerprints: np.ndarray, threshold: float) -> list[list[int]]:
    """The same by following every pair."""
    similar = fingerprints.astype(np.float32) @ fingerprints.astype(np.float32).T >= threshold
    found: list[list[int]] = []
    for row in range(len(fingerprints)):
        if not any(row in group for group in found):
            group, new = {row}, {row}
            while new:
                new = {int(other) for one in new for other in np.flatnonzero(similar[one])} - group
                group |= new
            found.append(sorted(group))
    return found


@pytest.mark.parametrize("block", [1, 4, 64])
def test_blocks_find_the_groups_that_a_plain_comparison_finds(block: int, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr(near_duplicates, "BLOCK", block)
    for count in (0, 1, 2, 23, 64):
        # So few dimensions that chains form: alike through others, and not directly.
        fingerprints = rng.standard_normal((count, 6))
        fingerprints = (fingerprints / np.linalg.norm(fingerprints, axis=1, keepdims=True)).astype(np.float16)
        fingerprints[count // 2 : count // 2 + 1] = 0
        assert grouped(fingerprints, 0.8) == plainly_grouped(fingerprints, 0.8)


def test_a_chain_across_blocks_is_one_group(monkeypatch) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK", 8)
    angles = np.random.default_rng(0).permutation(60) * np.pi / 100
    fingerprints = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert grouped(fingerprints, np.cos(1.1 * np.pi / 100)) == [list(range(60))]


def test_however_many_are_alike_they_are_one_group(monkeypatch) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK", 128)
    fingerprints = np.tile(acoustic_fingerprint(sound(0), RATE), (1000, 1))
    fingerprints[500] = acoustic_fingerprint(sound(1), RATE)
    assert grouped(fingerprints) == [[*range(500), *range(501, 1000)], [500]]


def test_what_is_shifted_is_in_the_group_of_what_it_was() -> None:
    sounds = [sound(0), sound(1), sound(2), sound(5), sound(2)[3000:]]
    assert grouped(np.stack([acoustic_fingerprint(samples, RATE) for samples in sounds])) == [[0], [1], [2, 4], [3]]


def test_short_sounds_of_one_voice_are_different() -> None:
    """Half-second utterances: one voice, whose formants move differently for each word."""
    rate, fingerprints = 8000, []
    for word in range(40):
        rng = np.random.default_rng(word)
        time = np.arange(round(0.6 * rate)) / rate
        voice = np.sum([np.sin(2 * np.pi * 120 * harmonic * time) / harmonic for harmonic in range(1, 30)], axis=0)
        samples = np.zeros(len(time))
        for low, high in ((250, 850), (900, 2200), (2300, 3000)):
            center = np.interp(time, np.linspace(0, 0.6, 4), rng.uniform(low, high, 4))
            sweep = np.cos(2 * np.pi * np.cumsum(center) / rate)
            samples += scipy.signal.lfilter([1], [1, -0.95], voice) * sweep
        samples *= np.interp(time, [0, 0.1, 0.45, 0.6], [0.01, 1, 1, 0.01])
        fingerprints.append(acoustic_fingerprint(samples.astype(np.float32), rate))
    assert len(grouped(np.stack(fingerprints))) == 40
