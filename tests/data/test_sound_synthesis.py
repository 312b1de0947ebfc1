import numpy as np
import pytest

from hfaudio.data import sound_synthesis
from hfaudio.data.sound_synthesis import SYNTHETIC_CLASSES, synthesize_clip


@pytest.fixture(scope="module")
def clips() -> list[tuple[np.ndarray, int]]:
    return [synthesize_clip(label, seed=1, index=index) for label in SYNTHETIC_CLASSES for index in range(12)]


def test_classes_are_the_ten_in_alphabetical_order() -> None:
    assert " ".join(SYNTHETIC_CLASSES) == "alarm bell bird drill engine knock rain siren speech wind"


def test_clips_are_sound_of_the_promised_form(clips: list[tuple[np.ndarray, int]]) -> None:
    for waveform, rate in clips:
        assert waveform.dtype == np.float32
        assert waveform.ndim == 2
        assert waveform.shape[0] in (1, 2)
        assert type(rate) is int
        assert 0.5 <= waveform.shape[1] / rate <= 4.0
        assert np.isfinite(waveform).all()
        peak_dbfs = 20 * np.log10(np.abs(waveform).max())
        assert -30.01 <= peak_dbfs <= -2.99


@pytest.mark.parametrize("label", SYNTHETIC_CLASSES)
def test_no_generator_falls_silent_at_8000_hz(label: str) -> None:
    # Harmonics that would alias are left out, and a high sound must not lose all of them.
    for seed in range(40):
        event = sound_synthesis._GENERATORS[label](np.random.default_rng(seed), 2400, 8000)
        assert event.shape == (2400,)
        assert np.isfinite(event).all()
        assert event.std() > 0.01


def test_every_rate_and_both_channel_counts_appear(clips: list[tuple[np.ndarray, int]]) -> None:
    assert {rate for _, rate in clips} == {8000, 11025, 16000, 22050, 32000, 44100, 48000}
    stereo = [waveform for waveform, _ in clips if waveform.shape[0] == 2]
    assert 0.15 < len(stereo) / len(clips) < 0.35
    assert all(not np.array_equal(left, right) for left, right in stereo)


@pytest.mark.parametrize("label", SYNTHETIC_CLASSES)
def test_a_clip_depends_on_label_seed_and_index_only(label: str) -> None:
    first, rate = synthesize_clip(label, seed=7, index=2)
    again, rate_again = synthesize_clip(label, seed=7, index=2)
    assert rate == rate_again
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != synthesize_clip(label, seed=8, index=2)[0].tobytes()
    assert first.tobytes() != synthesize_clip(label, seed=7, index=3)[0].tobytes()


def test_global_random_state_is_neither_read_nor_changed() -> None:
    runs = []
    for global_seed in (0, 1):
        np.random.seed(global_seed)
        runs.append([synthesize_clip(label, seed=0, index=0)[0] for label in SYNTHETIC_CLASSES])
        assert np.random.random() == np.random.RandomState(global_seed).random()
    assert all(np.array_equal(first, second) for first, second in zip(*runs, strict=True))


def test_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected a label that is one of alarm, bell, .*, wind, found 'dog'\."):
        synthesize_clip("dog", seed=0, index=0)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -2)])
def test_negative_seed_or_index_is_refused(seed: int, index: int) -> None:
    with pytest.raises(ValueError, match=f"0 or more, found seed {seed} and index {index}"):
        synthesize_clip("bell", seed=seed, index=index)
