from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from hfaudio.data.decoding import UnreadableAudioError, decode_audio, resample


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_channel_count_become_16_khz_mono(write_tone, rate: int, channels: int) -> None:
    samples = decode_audio(write_tone("a.wav", frequency=440, rate=rate, seconds=1.0, channels=channels), 16_000)
    assert samples.dtype == np.float32
    assert samples.shape == (16_000,)
    time = np.arange(16_000) / 16_000
    expected = 0.5 * np.sin(2 * np.pi * 440 * time) * np.exp(-3 * time)
    assert np.abs(samples - expected)[200:-200].max() < 2e-3


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff"])
def test_formats(write_tone, name: str) -> None:
    samples = decode_audio(write_tone(name, rate=44_100, seconds=1.0), 16_000)
    assert abs(len(samples) - 16_000) <= 16_000 // 10
    assert 0.3 < np.abs(samples).max() < 0.6


def test_mono_is_the_mean_of_the_channels(tmp_path) -> None:
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16_000, subtype="FLOAT")
    assert np.allclose(decode_audio(tmp_path / "a.wav", 16_000), 0.125)


def test_resampling_equals_the_stock_pipelines(rng) -> None:
    samples = rng.standard_normal(4_410).astype(np.float32)
    expected = torchaudio.functional.resample(torch.from_numpy(samples), 44_100, 16_000).numpy()
    assert np.abs(resample(samples, 44_100, 16_000) - expected).max() < 1e-5
    assert resample(samples, 16_000, 16_000) is samples


def write_floats(path: Path, value: float) -> None:
    soundfile.write(path, np.array([0.1, value, 0.1]), 16_000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: path.touch(), "the file is empty (0 bytes)"),
        (lambda path: path.write_text("these are words"), "not readable as audio (Format not recognised.)"),
        (lambda path: soundfile.write(path, np.zeros(0), 16_000), "holds no samples"),
        (lambda path: write_floats(path, np.nan), "holds NaN or infinite samples"),
        (lambda path: write_floats(path, np.inf), "holds NaN or infinite samples"),
    ],
)
def test_what_cannot_be_learned_from_is_named(tmp_path, write, reason: str) -> None:
    path = tmp_path / "a.wav"
    write(path)
    with pytest.raises(UnreadableAudioError) as error:
        decode_audio(path, 16_000)
    assert str(error.value) == reason


def test_odd_rates_are_resampled_too(write_tone) -> None:
    for rate in (44_101, 11_127):
        samples = decode_audio(write_tone("a.wav", frequency=440, rate=rate, seconds=1.0), 16_000)
        assert abs(len(samples) - 16_000) <= 1
        assert samples.dtype == np.float32
        time = np.arange(len(samples)) / 16_000
        assert np.abs(samples - 0.5 * np.sin(2 * np.pi * 440 * time) * np.exp(-3 * time))[400:-400].max() < 5e-3


def test_a_flac_stream_that_does_not_tell_its_length_is_named(write_tone) -> None:
    path = write_tone("a.flac", seconds=1.0)
    content = bytearray(path.read_bytes())
    # The low 36 bits of the eight bytes at 18 in the header are the number of samples; piped encoders leave it at 0.
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(UnreadableAudioError, match="not readable as audio"):
        decode_audio(path, 16_000)


def test_a_headerless_file_is_named(tmp_path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(100))
    with pytest.raises(UnreadableAudioError, match="not readable as audio"):
        decode_audio(tmp_path / "a.raw", 16_000)
