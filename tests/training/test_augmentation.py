import os
import pickle
import random

import numpy as np
import pytest

from hfaudio.training import WaveformAugmentation
from hfaudio.training.augmentation import Reverberation


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


def test_a_file_lists_transforms_of_ones_own(tmp_path, samples) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("- PolarityInversion: {p: 1.0}\n- Gain: {min_gain_db: 6, max_gain_db: 6, p: 1}\n")
    changed = WaveformAugmentation(str(path), 16_000)(samples, seed=0)
    assert changed == pytest.approx(-samples * 10 ** (6 / 20), rel=1e-4)
    path.write_text("- Reverberation\n")
    assert WaveformAugmentation(str(path), 16_000)(samples, seed=1).shape == samples.shape


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- Nonsense: {}\n", "Expected the name of a waveform transform of audiomentations, found 'Nonsense'"),
        ("- Compose: {}\n", "Expected the name of a waveform transform of audiomentations, found 'Compose'"),
        ("- Gain: {loud: 3}\n", "Expected settings that Gain takes, found {'loud': 3}: "),
        ("- Gain: 3\n", "Expected settings with names for Gain in .*, such as '- Gain: {p: 0.5}', found 3."),
        ("- Gain: [1, 2]\n", r"Expected settings with names for Gain in .*, found \[1, 2\]."),
        ("- Gain: {p: 7}\n", "Expected settings that Gain takes, found {'p': 7}."),
        ("Gain: {p: 1}\n", "Expected a list of transforms in .*, found dict"),
        ("- {Gain: {}, Shift: {}}\n", "Expected one transform an entry in .*, such as '- Gain: {p: 0.5}', found"),
        ("- [", "Expected a YAML file of transforms at .*, found none"),
    ],
)
def test_files_that_describe_no_transforms_are_named(tmp_path, text: str, sentence: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        WaveformAugmentation(str(tmp_path / "mine.yaml"), 16_000)


def test_an_unknown_strength_is_named(tmp_path) -> None:
    sentence = "must be one of none, light, strong or the path of a YAML file, found 'wild'"
    with pytest.raises(ValueError, match=sentence):
        WaveformAugmentation("wild", 16_000)
    with pytest.raises(ValueError, match="Expected a YAML file of transforms at .*, found none"):
        WaveformAugmentation(str(tmp_path / "gone.yaml"), 16_000)
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ValueError, match=r"found none \(is a named pipe \(FIFO\), no file\)"):
        WaveformAugmentation(str(tmp_path / "pipe.yaml"), 16_000)


def test_a_room_adds_an_echo_after_the_sound_and_keeps_its_level() -> None:
    click = np.zeros(16_000, np.float32)
    click[4_000] = 1.0
    room = Reverberation(min_seconds=0.3, max_seconds=0.3, min_wet=0.4, max_wet=0.4, p=1.0)
    wet = room(click, sample_rate=16_000)
    assert np.abs(wet[:4_000]).max() < 1e-6
    assert wet[4_000] ** 2 == pytest.approx(0.6, rel=1e-4)
    assert np.square(wet).sum() == pytest.approx(1.0, rel=1e-3)
    early, late = np.square(wet[4_001:5_600]).sum(), np.square(wet[5_600:7_200]).sum()
    assert 10 * np.log10(early / late) == pytest.approx(60 / 3, abs=3)  # 60 dB in 0.3 s
