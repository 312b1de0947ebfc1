import warnings

import numpy as np
import pytest
import scipy.signal

from hfaudio.data import near_duplicates
from hfaudio.data.near_duplicates import (
    FINGERPRINT_SIZE,
    SIMILARITY_THRESHOLD,
    acoustic_fingerprint,
    near_duplicate_pairs,
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
    assert similarity(acoustic_fingerprint(samples, RATE), acoustic_fingerprint(disguised, RATE)) > 0.5


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_rates_can_be_compared(rate: int) -> None:
    resampled = scipy.signal.resample(sound(0), 4 * rate)
    assert similarity(acoustic_fingerprint(sound(0), RATE), acoustic_fingerprint(resampled, rate)) > 0.5


@pytest.mark.parametrize("seconds", [0.5, 4.0])
@pytest.mark.parametrize("make", [sound, noise])
def test_different_sounds_are_not(make, seconds: float) -> None:
    fingerprints = np.stack([acoustic_fingerprint(make(seed, seconds), RATE) for seed in range(50)])
    np.testing.assert_allclose(np.linalg.norm(fingerprints.astype(np.float64), axis=1), 1, atol=1e-3)
    assert len(near_duplicate_pairs(fingerprints)) == 0


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
    assert len(near_duplicate_pairs(np.stack([fingerprint, fingerprint]))) == 0


def test_rates_too_low_for_the_bands_give_zeros() -> None:
    assert acoustic_fingerprint(noise(0), 2000).any()
    assert not acoustic_fingerprint(noise(0), 1999).any()


def test_only_the_first_minute_counts() -> None:
    minute = noise(0, 60)
    longer = np.concatenate([minute, noise(1, 1)])
    np.testing.assert_array_equal(acoustic_fingerprint(minute, RATE), acoustic_fingerprint(longer, RATE))


def test_blocks_find_the_pairs_that_a_plain_comparison_finds(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    distinct = rng.standard_normal((9, 16))
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    fingerprints = distinct[rng.integers(0, 9, 23)].astype(np.float16)
    others = distinct[rng.integers(0, 9, 11)].astype(np.float16)
    similar = fingerprints.astype(np.float32) @ fingerprints.astype(np.float32).T >= 0.9
    across = fingerprints.astype(np.float32) @ others.astype(np.float32).T >= 0.9
    monkeypatch.setattr(near_duplicates, "BLOCK", 4)
    pairs = near_duplicate_pairs(fingerprints, threshold=0.9)
    assert len(pairs) > 0
    np.testing.assert_array_equal(pairs, np.argwhere(np.triu(similar, 1)))
    np.testing.assert_array_equal(near_duplicate_pairs(fingerprints, others, 0.9), np.argwhere(across))


def test_pairs_across_two_sets_hold_an_index_into_each() -> None:
    train = np.stack([acoustic_fingerprint(sound(seed), RATE) for seed in (0, 1, 2)])
    test = np.stack([acoustic_fingerprint(sound(seed)[3000:], RATE) for seed in (5, 2)])
    assert near_duplicate_pairs(train, test).tolist() == [[2, 1]]
    assert near_duplicate_pairs(train).tolist() == []
    assert near_duplicate_pairs(train, test[:0]).shape == (0, 2)
    assert near_duplicate_pairs(train[:0]).shape == (0, 2)
