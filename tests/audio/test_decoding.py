import io
import itertools
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hfaudio.audio import decoding, opening, stream_audio
from hfaudio.audio.decoding import UnreadableAudioError, decode_audio, has_torchcodec, read_audio

INSTALL = "; to read it, install FFmpeg and run: pip install 'hfaudio[torchcodec]'"


@pytest.fixture(params=["with torchcodec", "without torchcodec"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both situations in which the default decoder can be."""
    if request.param == "without torchcodec":
        monkeypatch.setattr(decoding, "has_torchcodec", lambda: False)
    elif not has_torchcodec():
        pytest.skip("torchcodec cannot be imported")


@pytest.fixture
def torchcodec() -> None:
    if not has_torchcodec():
        pytest.skip("torchcodec cannot be imported")


@pytest.fixture
def write_m4a(write_tone, tmp_path: Path):
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg program is not there")

    def write(name: str = "a.m4a", **tone) -> Path:
        path = tmp_path / name
        wav = write_tone("source.wav", **tone)
        command = ["ffmpeg", "-y", "-loglevel", "error", "-i", str(wav), "-b:a", "96k", "-f", "ipod", str(path)]
        subprocess.run(command, check=True)
        return path

    return write


def noise(rng: np.random.Generator, seconds: float, rate: int = 16_000, channels: int = 1) -> np.ndarray:
    return rng.uniform(-0.5, 0.5, (round(seconds * rate), channels)).astype(np.float32)


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


@pytest.mark.parametrize(
    ("encoding", "step"),
    [
        ("PCM_U8", 2**-7),
        ("PCM_16", 2**-15),
        ("PCM_24", 2**-23),
        ("PCM_32", 2**-24),  # that of a float32
        ("FLOAT", 0.0),
        ("DOUBLE", 0.0),
        ("ULAW", 2**-5),
    ],
)
def test_every_sample_format_keeps_its_values(rng, tmp_path, encoding: str, step: float) -> None:
    sound = noise(rng, 0.1)
    sound[:3, 0] = 0.0, -0.5, 0.5
    soundfile.write(tmp_path / "a.wav", sound, 16_000, encoding)
    audio = read_audio(tmp_path / "a.wav")
    assert audio.samples.dtype == np.float32
    assert np.abs(audio.samples - sound[:, 0]).max() <= step
    assert (audio.sampling_rate, audio.channels, audio.encoding) == (16_000, 1, f"WAV {encoding}")


def test_mono_is_the_mean_of_the_channels(tmp_path) -> None:
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16_000, subtype="FLOAT")
    assert np.allclose(decode_audio(tmp_path / "a.wav", 16_000), 0.125)


def test_six_channels_are_mixed_evenly(rng, tmp_path) -> None:
    sound = noise(rng, 0.1, channels=6)
    sound[5, 3] = -0.75
    soundfile.write(tmp_path / "a.wav", sound, 16_000, subtype="FLOAT")
    audio = read_audio(tmp_path / "a.wav")
    assert audio.channels == 6
    assert np.allclose(audio.samples, sound.mean(axis=1), atol=1e-6)
    assert audio.peak == 0.75


def test_clipped_frames_are_counted(tmp_path) -> None:
    sine = np.sin(2 * np.pi * 100 * np.arange(16_000) / 16_000)
    clipped = []
    for name, gain in (("clean.wav", 0.9), ("full.wav", 1.0), ("clipped.wav", 2.0)):
        soundfile.write(tmp_path / name, np.stack([0.1 * sine, np.clip(gain * sine, -1, 1)], axis=1), 16_000)
        clipped.append(read_audio(tmp_path / name).clipped)
    assert clipped[0] == 0.0
    assert clipped[1] < 0.03  # the crests of a sine at full scale, which 100 of 16000 frames are
    assert clipped[2] == pytest.approx(2 / 3, abs=0.03)  # arcsin(1/2) is a third of a right angle


def test_two_samples_at_full_scale_are_no_clipping(tmp_path) -> None:
    sound = np.zeros(1_000)
    sound[100:102] = sound[500:502] = 1.0
    soundfile.write(tmp_path / "a.wav", sound, 16_000)
    audio = read_audio(tmp_path / "a.wav")
    assert audio.clipped == 0.0
    assert audio.peak == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff"])
def test_bytes_equal_paths(write_tone, name: str) -> None:
    path = write_tone(name, rate=44_100, channels=2)
    from_path, from_bytes = read_audio(path), read_audio(path.read_bytes())
    assert np.array_equal(from_path.samples, from_bytes.samples)
    assert from_path.encoding == from_bytes.encoding
    assert np.array_equal(decode_audio(str(path), 16_000), decode_audio(path.read_bytes(), 16_000))


@pytest.mark.parametrize(
    ("container", "encoding", "options"),
    [
        ("WAV", "PCM_16", {}),
        ("WAV", "MS_ADPCM", {}),
        ("FLAC", "PCM_16", {}),
        ("OGG", "VORBIS", {}),
        ("OGG", "OPUS", {}),
        ("MP3", "MPEG_LAYER_III", {}),
        ("MP3", "MPEG_LAYER_III", {"bitrate_mode": "VARIABLE", "compression_level": 0.9}),
        # 8 kbit/s, at which an MP3 frame borrows from the most frames before it.
        ("MP3", "MPEG_LAYER_III", {"bitrate_mode": "CONSTANT", "compression_level": 0.99}),
    ],
)
def test_a_span_equals_the_slice_of_the_whole(rng, container: str, encoding: str, options: dict) -> None:
    file = io.BytesIO()
    soundfile.write(file, noise(rng, 5, 24_000), 24_000, encoding, format=container, **options)
    content = file.getvalue()
    whole = read_audio(content).samples
    for start in (0.0, 0.1, 1.2345, 2.5, 4.0):
        audio = read_audio(content, start=start, end=start + 0.25)
        first = round(start * 24_000)
        assert len(audio.samples) == 6_000
        assert np.abs(audio.samples - whole[first : first + 6_000]).max() <= (2e-3 if encoding == "OPUS" else 1e-6)
    assert np.allclose(read_audio(content, start=4.5).samples[-100:], whole[-100:], atol=1e-6)
    assert np.array_equal(read_audio(content, end=0.5).samples, whole[:12_000])


class ReadLog:
    """The frames and the shapes of what is read from files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spans: list[tuple[int, int]] = []
        read = soundfile.SoundFile.buffer_read_into

        def logged(file: soundfile.SoundFile, block: np.ndarray, dtype: str) -> int:
            first = file.tell()
            frames = read(file, block, dtype)
            self.spans.append((first, first + frames))
            return frames

        monkeypatch.setattr(soundfile.SoundFile, "buffer_read_into", logged)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_of_a_span_nothing_else_is_read(write_tone, monkeypatch, name: str) -> None:
    path = write_tone(name, seconds=10.0)
    log = ReadLog(monkeypatch)
    read_audio(path, start=3.0, end=4.5)
    assert log.spans == [(48_000, 72_000)]


def test_of_an_mp3_span_little_else_is_read(write_tone, monkeypatch) -> None:
    path = write_tone("a.mp3", seconds=10.0)
    log = ReadLog(monkeypatch)
    read_audio(path, start=3.0, end=4.5)
    assert log.spans == [(48_000 - 24_576, 72_000)]


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("decoder", ["auto", "soundfile"])
def test_a_span_beyond_the_end_is_named(write_tone, name: str, decoder: str) -> None:
    path = write_tone(name, seconds=2.0)
    with pytest.raises(UnreadableAudioError, match="^holds no samples from 9 s to 10 s$"):
        read_audio(path, decoder, 9.0, 10.0)
    with pytest.raises(UnreadableAudioError, match="^holds no samples from 9 s to its end$"):
        read_audio(path, decoder, 9.0)
    assert len(read_audio(path, decoder, 1.5, 10.0).samples) == 8_000


@pytest.mark.parametrize(
    ("container", "encoding", "options"),
    [
        ("WAV", "PCM_16", {}),
        ("FLAC", "PCM_16", {}),
        ("OGG", "VORBIS", {}),
        ("MP3", "MPEG_LAYER_III", {"bitrate_mode": "VARIABLE", "compression_level": 0.9}),
    ],
)
def test_long_files_are_read_in_blocks(rng, monkeypatch, container: str, encoding: str, options: dict) -> None:
    file = io.BytesIO()
    soundfile.write(file, noise(rng, 5, 24_000, channels=2), 24_000, encoding, format=container, **options)
    whole = read_audio(file.getvalue())
    monkeypatch.setattr(opening, "BLOCK_SAMPLES", 30_000)
    log = ReadLog(monkeypatch)
    blocks = read_audio(file.getvalue())
    assert log.spans == list(itertools.pairwise([*range(0, 120_000, 15_000), 120_000]))
    assert np.abs(blocks.samples - whole.samples).max() < 1e-6
    assert (blocks.peak, blocks.truncated) == (whole.peak, False)


def write_floats(path: Path, value: float) -> None:
    soundfile.write(path, np.array([0.1, value, 0.1]), 16_000, subtype="FLOAT")


def write_rate(path: Path, rate: int) -> None:
    soundfile.write(path, np.zeros(100), 16_000)
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: path.touch(), "the file is empty (0 bytes)"),
        (lambda path: path.write_text("these are words"), "not readable as audio (it is text)"),
        (lambda path: path.mkdir(), "cannot be opened (Is a directory)"),
        (lambda path: None, "cannot be opened (No such file or directory)"),
        (lambda path: soundfile.write(path, np.zeros(0), 16_000), "holds no samples"),
        (lambda path: write_floats(path, np.nan), "holds NaN or infinite samples"),
        (lambda path: write_floats(path, np.inf), "holds NaN or infinite samples"),
        (lambda path: write_floats(path, -1e25), "holds samples of 1e+25 times full scale, which no recording has"),
        (lambda path: write_rate(path, 3), "a sampling rate of 3 Hz is outside 1000 Hz to 2000000 Hz"),
        (lambda path: write_rate(path, 999), "a sampling rate of 999 Hz is outside 1000 Hz to 2000000 Hz"),
        (
            lambda path: write_rate(path, 2_000_000_000),
            "a sampling rate of 2000000000 Hz is outside 1000 Hz to 2000000 Hz",
        ),
    ],
)
@pytest.mark.usefixtures("either")
def test_what_cannot_be_learned_from_is_named(tmp_path, write, reason: str) -> None:
    path = tmp_path / "a.wav"
    write(path)
    with pytest.raises(UnreadableAudioError) as error:
        decode_audio(path, 16_000)
    assert str(error.value) == reason


def test_rates_at_the_bounds_are_read(tmp_path) -> None:
    for rate in (1_000, 2_000_000):
        write_rate(tmp_path / "a.wav", rate)
        assert read_audio(tmp_path / "a.wav").sampling_rate == rate


def test_a_file_that_vanishes_while_it_is_read_is_read_to_its_end(write_tone, monkeypatch) -> None:
    path = write_tone("a.wav")
    whole = read_audio(path).samples
    mix_down = decoding.mix_down

    def unlink_and_mix_down(blocks):
        path.unlink()
        return mix_down(blocks)

    monkeypatch.setattr(decoding, "mix_down", unlink_and_mix_down)
    assert np.array_equal(read_audio(path).samples, whole)
    with pytest.raises(UnreadableAudioError, match=r"^cannot be opened \(No such file or directory\)$"):
        read_audio(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no users to change to")
def test_a_file_that_must_not_be_read_is_named(write_tone, monkeypatch) -> None:
    path = write_tone("a.wav")
    path.chmod(0)
    if os.access(path, os.R_OK):  # as the administrator may
        monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UnreadableAudioError, match=r"^cannot be opened \(Permission denied\)$"):
        read_audio(path)


def refuse(*args: object, **kwargs: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.usefixtures("either")
def test_a_flac_stream_that_does_not_tell_its_length_is_read(write_tone, monkeypatch) -> None:
    path = write_tone("a.flac", seconds=1.0)
    whole = read_audio(path).samples
    content = bytearray(path.read_bytes())
    # The low 36 bits of the eight bytes at 18 in the header are the number of samples; piped encoders leave it at 0.
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    for block in (1 << 20, 16_000, 3_000):
        monkeypatch.setattr(opening, "BLOCK_SAMPLES", block)
        audio = read_audio(bytes(content))
        assert np.array_equal(audio.samples, whole)
        assert not audio.truncated
        assert np.array_equal(read_audio(bytes(content), start=0.25, end=0.5).samples, whole[4_000:8_000])
    with pytest.raises(UnreadableAudioError, match="holds no samples from 2 s|not readable"):
        read_audio(bytes(content), start=2.0)


@pytest.mark.usefixtures("either")
def test_a_damaged_flac_stream_is_read_up_to_the_damage(rng, tmp_path) -> None:
    sound = noise(rng, 2.0)
    soundfile.write(tmp_path / "a.flac", sound, 16_000)
    content = (tmp_path / "a.flac").read_bytes()
    audio = read_audio(content[: len(content) // 2])
    assert 12_000 < len(audio.samples) < 16_100
    assert np.abs(audio.samples - sound[: len(audio.samples), 0]).max() <= 2**-15
    assert audio.truncated
    with pytest.raises(UnreadableAudioError, match="not readable as audio"):
        read_audio(content[:100])


def test_nothing_is_read_behind_the_damage(rng, tmp_path, monkeypatch) -> None:
    soundfile.write(tmp_path / "a.flac", noise(rng, 2.0), 16_000)
    whole = read_audio(tmp_path / "a.flac").samples
    monkeypatch.setattr(opening, "BLOCK_SAMPLES", 4_000)
    read, calls = soundfile.SoundFile.buffer_read_into, []

    def fail_once(file: soundfile.SoundFile, block: np.ndarray, dtype: str) -> int:
        calls.append(None)
        if len(calls) == 3:
            read(file, block[:2_000], dtype)
            raise soundfile.LibsndfileError(158)
        return read(file, block, dtype)

    monkeypatch.setattr(soundfile.SoundFile, "buffer_read_into", fail_once)
    audio = read_audio(tmp_path / "a.flac")
    assert np.array_equal(audio.samples, whole[:10_000])
    assert audio.truncated


def test_an_mp3_stream_of_variable_bit_rate_that_does_not_tell_its_length_is_read_whole(rng, tmp_path) -> None:
    sound = noise(rng, 6.0, 44_100)
    sound[: 44_100 * 3] *= 0.001  # first frames of few bits, from which the length would be guessed
    options = {"bitrate_mode": "VARIABLE", "compression_level": 0.3}
    soundfile.write(tmp_path / "a.mp3", sound, 44_100, format="MP3", **options)
    content = (tmp_path / "a.mp3").read_bytes()
    told = read_audio(content)
    assert len(told.samples) == len(sound)
    untold = content[content.index(content[:2], 4) :]
    assert b"Xing" in content[:200]
    assert b"Xing" not in untold
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    for stream in (untold, tag + untold):
        with soundfile.SoundFile(io.BytesIO(stream)) as file:
            assert abs(file.frames - len(sound)) > 44_100
        audio = read_audio(stream)
        assert abs(len(audio.samples) - len(sound)) < 3 * 1_152
        assert not audio.truncated
        assert np.array_equal(read_audio(stream, start=4.0, end=4.1).samples, audio.samples[176_400:180_810])


@pytest.mark.parametrize("scale", [32_768.0, 2.0**31])
def test_integers_as_floats_are_kept(tmp_path, rng, scale: float) -> None:
    sound = noise(rng, 0.5)
    sound[0] = -1.0
    soundfile.write(tmp_path / "a.wav", sound * scale, 16_000, subtype="FLOAT")
    audio = read_audio(tmp_path / "a.wav")
    assert audio.peak == scale
    assert np.array_equal(audio.samples, sound[:, 0] * np.float32(scale))
    soundfile.write(tmp_path / "a.wav", sound * scale * 1.01, 16_000, subtype="FLOAT")
    if scale > 32_768:
        with pytest.raises(UnreadableAudioError, match=r"^holds samples of 2\.2e\+09 times full scale"):
            read_audio(tmp_path / "a.wav")


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    for decoder in ("auto", "soundfile"):
        for name, reason in (
            ("pipe.wav", r"is a named pipe \(FIFO\), no file"),
            ("zero.wav", "is a device, no file"),
            ("loop.wav", r"cannot be opened \(Too many levels of symbolic links\)"),
        ):
            with pytest.raises(UnreadableAudioError, match=f"^{reason}$"):
                read_audio(tmp_path / name, decoder)
            with pytest.raises(UnreadableAudioError, match=f"^{reason}$"):
                list(stream_audio(tmp_path / name, 16_000, decoder))


@pytest.mark.usefixtures("either")
def test_a_headerless_file_is_named(tmp_path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(100))
    with pytest.raises(UnreadableAudioError, match="not readable as audio"):
        decode_audio(tmp_path / "a.raw", 16_000)


@pytest.mark.usefixtures("torchcodec")
def test_torchcodec_reads_what_soundfile_reads(rng, tmp_path) -> None:
    sound = noise(rng, 1.0, channels=2)
    sound[100, 1] = -0.75
    soundfile.write(tmp_path / "a.wav", sound, 16_000)
    for source in (tmp_path / "a.wav", (tmp_path / "a.wav").read_bytes()):
        expected = read_audio(source, "soundfile")
        audio = read_audio(source, "torchcodec")
        assert np.abs(audio.samples - expected.samples).max() < 1e-6
        assert (audio.sampling_rate, audio.channels, audio.encoding) == (16_000, 2, "pcm_s16le")
        assert (audio.peak, audio.clipped, audio.truncated) == (expected.peak, 0.0, False)
        span = read_audio(source, "torchcodec", 0.25, 0.5)
        assert np.abs(span.samples - expected.samples[4_000:8_000]).max() < 1e-6


@pytest.mark.usefixtures("torchcodec")
def test_torchcodec_refuses_what_soundfile_refuses(write_tone, tmp_path) -> None:
    path = write_tone("a.wav", seconds=2.0)
    with pytest.raises(UnreadableAudioError, match="^holds no samples from 9 s to 10 s$"):
        read_audio(path, "torchcodec", 9.0, 10.0)
    write_floats(path, np.nan)
    with pytest.raises(UnreadableAudioError, match="^holds NaN or infinite samples$"):
        read_audio(path, "torchcodec")
    write_rate(path, 3)
    with pytest.raises(UnreadableAudioError, match="^a sampling rate of 3 Hz is outside"):
        read_audio(path, "torchcodec")
    path.write_bytes(bytes([1, 2, 3]) * 100)
    with pytest.raises(UnreadableAudioError, match=r"^not readable by torchcodec \(.+\)$"):
        read_audio(path, "torchcodec")


@pytest.mark.usefixtures("torchcodec")
def test_torchcodec_tells_a_truncated_file(write_tone) -> None:
    content = write_tone("a.wav", seconds=1.0).read_bytes()
    assert not read_audio(content, "torchcodec").truncated
    assert read_audio(content[:20_000], "torchcodec").truncated


@pytest.mark.usefixtures("torchcodec")
@pytest.mark.parametrize("decoder", ["auto", "torchcodec"])
def test_m4a_is_read_by_torchcodec(write_m4a, decoder: str) -> None:
    path = write_m4a(rate=44_100, seconds=1.0, channels=2)
    for source in (path, path.read_bytes()):
        audio = read_audio(source, decoder)
        assert (audio.sampling_rate, audio.channels, audio.encoding) == (44_100, 2, "aac")
        assert abs(len(audio.samples) - 44_100) < 3_000
        assert 0.3 < audio.peak < 0.6
    with pytest.raises(UnreadableAudioError, match="^holds no samples from 9 s to 10 s$"):
        read_audio(path, decoder, 9.0, 10.0)


@pytest.mark.usefixtures("torchcodec")
def test_of_a_damaged_m4a_file_the_reason_is_torchcodecs(write_m4a) -> None:
    path = write_m4a()
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UnreadableAudioError, match="^not readable as audio") as error:
        read_audio(path)
    assert "Format not recognised" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("decoder", "reason"),
    [
        ("auto", f"not readable as audio (Format not recognised.){INSTALL}"),
        ("torchcodec", f"not read: torchcodec cannot be imported{INSTALL}"),
        ("soundfile", "not readable by soundfile (Format not recognised.)"),
    ],
)
def test_without_torchcodec_m4a_is_named_with_what_to_install(
    tmp_path, monkeypatch, decoder: str, reason: str
) -> None:
    monkeypatch.setattr(decoding, "has_torchcodec", lambda: False)
    path = tmp_path / "a.M4A"
    path.write_bytes(b"\x00\x00\x00\x20ftypM4A \x00\x00\x02\x00" + bytes(200))
    with pytest.raises(UnreadableAudioError) as error:
        read_audio(path, decoder)
    assert str(error.value) == reason


@pytest.mark.usefixtures("torchcodec")
def test_reasons_do_not_tell_where_in_torchcodec_they_arose() -> None:
    with pytest.raises(UnreadableAudioError) as error:
        read_audio(bytes([1, 2, 3]) * 100, "torchcodec")
    assert str(error.value).startswith("not readable by torchcodec (Failed to open input buffer")


def test_torchcodec_without_ffmpeg_counts_as_missing(monkeypatch) -> None:
    class WithoutFFmpeg:
        ffmpeg_major_version = None

    monkeypatch.setattr(decoding, "import_module", lambda name: WithoutFFmpeg)
    has_torchcodec.cache_clear()
    try:
        assert not has_torchcodec()
    finally:
        has_torchcodec.cache_clear()


def test_a_name_that_is_not_utf_8_is_read(write_tone, tmp_path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    os.replace(write_tone("a.wav"), path)
    assert len(decode_audio(os.fsdecode(path), 16_000)) == 4_800
