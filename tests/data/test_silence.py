import numpy as np
import pytest

from hfaudio.data.silence import TRIM_MODES, frame_powers, trim_silence

RATE = 16_000
FRAME = RATE // 50


def noise(rng: np.random.Generator, frames: int, level: float = 0.3) -> np.ndarray:
    return rng.uniform(-level, level, frames * FRAME).astype(np.float32)


def test_powers_are_those_of_frames_of_20_ms() -> None:
    samples = np.concatenate([np.full(FRAME, 1.0), np.full(FRAME, 0.1), np.zeros(FRAME), np.full(10, 1.0)])
    assert frame_powers(samples.astype(np.float32), RATE) == pytest.approx([1.0, 1e-2, 1e-12, 1.0], rel=1e-3)


@pytest.mark.parametrize(("mode", "frames"), [("none", 90), ("ends", 3 + 50 + 3), ("throughout", 3 + 10 + 6 + 10 + 3)])
def test_silence_is_cut_out_where_it_is_asked_for(rng, mode: str, frames: int) -> None:
    # 20 frames of near silence, sound, 30 of silence, sound, 20 of silence.
    parts = [noise(rng, 20, 1e-4), noise(rng, 10), np.zeros(30 * FRAME, np.float32), noise(rng, 10)]
    samples = np.concatenate([*parts, np.zeros(20 * FRAME, np.float32)])
    trimmed = trim_silence(samples, RATE, mode)
    assert len(trimmed) == frames * FRAME
    assert trimmed.dtype == np.float32
    sounding = np.abs(trimmed) > 1e-3
    assert np.array_equal(trimmed[sounding], samples[np.abs(samples) > 1e-3])


def test_silence_within_is_kept_at_the_ends_only(rng) -> None:
    samples = np.concatenate([noise(rng, 10), np.zeros(30 * FRAME, np.float32), noise(rng, 10)])
    assert np.array_equal(trim_silence(samples, RATE, "ends"), samples)


@pytest.mark.parametrize("mode", ["ends", "throughout"])
@pytest.mark.parametrize(("place", "kept"), [(0, slice(0, 4)), (2, slice(0, 6)), (5, slice(2, 6))])
def test_the_shortest_recordings_are_trimmed_too(rng, mode: str, place: int, kept: slice) -> None:
    samples = np.zeros((6, FRAME), np.float32)
    samples[place] = noise(rng, 1)
    assert np.array_equal(trim_silence(samples.ravel(), RATE, mode), samples[kept].ravel())


@pytest.mark.parametrize("level", [1.0, 1e-2])
def test_what_counts_as_silence_follows_the_loudest_moment(rng, level: float) -> None:
    quiet = 10 ** (-35 / 20)
    samples = level * np.concatenate([noise(rng, 20, 0.3 * quiet), noise(rng, 10), noise(rng, 20, 0.03 * quiet)])
    trimmed = trim_silence(samples.astype(np.float32), RATE, "ends")
    assert len(trimmed) == (20 + 10 + 3) * FRAME


@pytest.mark.parametrize("mode", TRIM_MODES)
@pytest.mark.parametrize("length", [0, 1, 5, FRAME - 1, FRAME, 6 * FRAME, 7 * FRAME, 7 * FRAME + 1, 50 * FRAME + 17])
@pytest.mark.parametrize("where", ["nowhere", "first", "middle", "last", "everywhere"])
def test_something_is_always_left(mode: str, length: int, where: str) -> None:
    samples = np.zeros(length, np.float32)
    if where == "everywhere":
        samples[:] = 0.5
    elif where != "nowhere" and length:
        samples[{"first": 0, "middle": length // 2, "last": -1}[where]] = 0.5
    trimmed = trim_silence(samples, RATE, mode)
    assert (len(trimmed) > 0) == (length > 0)
    assert np.array_equal(trimmed[trimmed != 0], samples[samples != 0])


@pytest.mark.parametrize("rate", [10, 8_000, 44_100])
def test_any_rate(rate: int) -> None:
    samples = np.concatenate([np.zeros(rate), np.ones(rate), np.zeros(rate)]).astype(np.float32)
    frame = max(1, round(0.02 * rate))
    assert abs(len(trim_silence(samples, rate, "ends")) - rate - 6 * frame) <= 2 * frame


def test_a_mode_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match=r"^trim_silence must be one of none, ends, throughout, found 'all'\.$"):
        trim_silence(np.ones(10, np.float32), RATE, "all")
