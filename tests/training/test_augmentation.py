import pickle
import random

import numpy as np
import pytest

from hfaudio.training import WaveformAugmentation


@pytest.fixture(params=["light", "strong"])
def augmentation(request) -> WaveformAugmentation:
    return WaveformAugmentation(request.param, 16_000)


@pytest.fixture
def samples(rng) -> np.ndarray:
    return (0.1 * rng.standard_normal(8_000)).astype(np.float32)


def test_the_same_seed_makes_the_same_change(augmentation, samples) -> None:
    copy = pickle.loads(pickle.dumps(augmentation))
    for seed in range(10):
        assert np.array_equal(augmentation(samples, seed), copy(samples, seed))


def test_changes_differ_and_keep_the_form(augmentation, samples) -> None:
    before = samples.copy()
    samples.setflags(write=False)  # as memory-mapped samples are
    changed = [augmentation(samples, seed) for seed in range(20)]
    assert len({waveform.tobytes() for waveform in changed}) > 10
    for waveform in changed:
        assert waveform.dtype == np.float32
        assert waveform.shape == samples.shape
        assert np.isfinite(waveform).all()
    assert np.array_equal(samples, before)


def test_the_global_generators_are_left_as_they_were(augmentation, samples) -> None:
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    augmentation(samples, 7)
    assert (random.random(), np.random.random()) == expected


def test_an_unknown_strength_is_named() -> None:
    with pytest.raises(ValueError, match="strength must be light or strong, found 'wild'"):
        WaveformAugmentation("wild", 16_000)
