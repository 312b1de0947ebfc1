import numpy as np
import pytest
import soundfile
import xxhash

from hfaudio.audio.decoding import decode_audio
from hfaudio.data.measurements import MEASUREMENTS, measure_recording
from hfaudio.data.recordings import Recording


def measure(path, rate: int = 16_000, trim: str = "none", start=None, end=None):
    return measure_recording(Recording("a", ("x",), str(path), start=start, end=end), rate, "auto", trim)


def reason(path) -> str:
    waveform, measurements = measure(path)
    assert waveform.shape == (0,)
    assert waveform.dtype == np.float32
    assert list(measurements) == list(MEASUREMENTS)
    assert all(value is None for name, value in measurements.items() if name != "unreadable")
    return measurements["unreadable"]


def test_the_measurements_are_of_the_file_and_the_waveform_is_wanted(write_tone) -> None:
    path = write_tone("a.flac", rate=44_100, seconds=1.0, channels=2)
    waveform, measurements = measure(path)
    assert np.array_equal(waveform, decode_audio(path, 16_000))
    assert list(measurements) == list(MEASUREMENTS)
    samples = soundfile.read(path)[0]
    assert measurements == {
        "unreadable": None,
        "content_hash": xxhash.xxh3_128_hexdigest(samples[:, 0].astype(np.float32).tobytes(), seed=44_100),
        "samples": 16_000,
        "sampling_rate": 16_000,
        "seconds": 1.0,
        "native_sampling_rate": 44_100,
        "channels": 2,
        "encoding": "FLAC PCM_16",
        "peak": pytest.approx(np.abs(samples).max(), abs=1e-6),
        "level": pytest.approx(10 * np.log10(np.mean(samples[:, 0] ** 2)), abs=1e-3),
        "clipped": 0.0,
        "silence": 0.0,
        "truncated": False,
    }


def test_the_content_hash_is_that_of_the_samples(tmp_path) -> None:
    samples = (10_000 * np.sin(np.arange(1_000))).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    soundfile.write(tmp_path / "b.flac", np.stack([samples] * 2, axis=1), 16_000)
    samples[500] += 1
    soundfile.write(tmp_path / "c.wav", samples, 16_000)
    hashes = [measure(tmp_path / name)[1]["content_hash"] for name in ("a.wav", "b.flac", "c.wav")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_content_hash_does_not_depend_on_what_is_made_of_the_samples(tmp_path) -> None:
    samples = np.concatenate([np.zeros(20_000), np.sin(np.arange(40_000))])
    for rate in (44_100, 22_050):
        soundfile.write(tmp_path / f"{rate}.wav", samples, rate)
    made = [measure(tmp_path / "44100.wav", *settings)[1] for settings in ((16_000,), (8_000,), (16_000, "ends"))]
    assert len({one["samples"] for one in made}) == 3
    assert len({one["content_hash"] for one in made}) == 1
    assert measure(tmp_path / "22050.wav")[1]["content_hash"] != made[0]["content_hash"]


def test_a_span_is_measured_alone(tmp_path) -> None:
    tone = np.sin(np.arange(16_000))
    tone[:8_000] *= 0.1
    soundfile.write(tmp_path / "a.wav", tone, 16_000, subtype="FLOAT")
    waveform, measurements = measure(tmp_path / "a.wav", start=0.1, end=0.4)
    assert len(waveform) == 4_800
    assert measurements["seconds"] == pytest.approx(0.3)
    assert measurements["peak"] == pytest.approx(0.1, abs=1e-3)
    assert measure(tmp_path / "a.wav", start=2.0)[1]["unreadable"] == "holds no samples from 2 s to its end"


def test_silence_is_measured_and_trimmed(tmp_path) -> None:
    samples = np.zeros(32_000)
    samples[16_000:24_000] = 0.5 * np.sin(np.arange(8_000))
    soundfile.write(tmp_path / "a.wav", samples, 32_000)
    waveform, measurements = measure(tmp_path / "a.wav", trim="ends")
    assert len(waveform) == pytest.approx(0.25 * 16_000 + 6 * 320, abs=2 * 320)
    assert measurements["silence"] == pytest.approx(0.75, abs=0.03)
    assert measurements["seconds"] == 1.0


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros((1_000, 1)), "wholly silent"),
        (np.zeros((1_000, 2)), "wholly silent"),
        (np.full((1_000, 1), 2.0**-16), "wholly silent"),
        (np.full((1_000, 1), 0.5), "wholly silent"),  # a constant offset is no sound
        (np.full((1, 1), 0.5), "wholly silent"),
        (np.outer(np.sin(np.arange(1_000)), [0.5, -0.5]), "wholly silent: its channels cancel each other out"),
        (np.array([[0.1], [np.nan], [0.2]]), "holds NaN or infinite samples"),
        (np.array([[0.1], [-np.inf], [0.2]]), "holds NaN or infinite samples"),
        (np.empty((0, 1)), "holds no samples"),
    ],
)
def test_what_nothing_can_be_learned_from_is_told_with_the_reason(tmp_path, samples: np.ndarray, expected) -> None:
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    assert reason(tmp_path / "a.wav") == expected


def test_the_quietest_sound_is_kept(tmp_path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([1, -1] * 500, np.int16), 16_000)
    waveform, measurements = measure(tmp_path / "a.wav")
    assert len(waveform) == 1_000
    assert measurements["level"] == pytest.approx(-90.3, abs=0.1)
    assert measurements["silence"] == 1.0


def test_files_that_cannot_be_opened(tmp_path) -> None:
    assert reason(tmp_path / "nowhere.wav") == "cannot be opened (No such file or directory)"
    assert reason(tmp_path) == "cannot be opened (Is a directory)"
    (tmp_path / "empty.wav").touch()
    assert reason(tmp_path / "empty.wav") == "the file is empty (0 bytes)"
