import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hfaudio.audio.decoding import UnreadableAudioError, read_audio
from hfaudio.audio.truncation import is_truncated

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
FORMATS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "DOUBLE"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
    ("WAV", "ULAW"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AIFF", "FLOAT"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("W64", "PCM_24"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]
CUT = [form for form in FORMATS if form[1] != "ALAC_16"]  # which keeps the sizes of its packets at the end


def encode(container: str, encoding: str, frames: int = 48_000, **options) -> bytes:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, frames)
    file = io.BytesIO()
    soundfile.write(file, sound, 48_000, encoding, format=container, **options)
    return file.getvalue()


def resized(wav: bytes, riff: int, data: int) -> bytes:
    """A WAV file with a header of 44 bytes whose sizes are replaced."""
    assert wav[36:40] == b"data"
    return wav[:4] + struct.pack("<I", riff) + wav[8:40] + struct.pack("<I", data) + wav[44:]


@pytest.mark.parametrize(("container", "encoding"), FORMATS)
@pytest.mark.parametrize("frames", [4_801, 48_000])
def test_whole_files_are_whole(tmp_path, container: str, encoding: str, frames: int) -> None:
    content = encode(container, encoding, frames)
    path = tmp_path / "a"
    path.write_bytes(content)
    assert not read_audio(content).truncated
    assert not read_audio(path).truncated
    assert not read_audio(content, start=0.02, end=0.05).truncated


@pytest.mark.parametrize(("container", "encoding"), CUT)
@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
def test_cut_files_are_told(tmp_path, container: str, encoding: str, kept: float) -> None:
    content = encode(container, encoding, 480_000)
    content = content[: int(len(content) * kept)]
    path = tmp_path / "a"
    path.write_bytes(content)
    audio = read_audio(content)
    assert audio.truncated
    assert read_audio(path).truncated
    assert 0.4 * kept < len(audio.samples) / 480_000 < kept + 0.1


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "CAF", "W64", "RF64"])
def test_one_missing_byte_is_told(container: str) -> None:
    content = encode(container, "PCM_16")
    end = len(content) if container != "RF64" else content.index(b"data") + 8 + 96_000
    assert read_audio(content[: end - 1]).truncated
    assert not read_audio(content[:end]).truncated


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_streamed_wav_files_are_not_truncated(size: int) -> None:
    content = encode("WAV", "PCM_16")
    assert not is_truncated(resized(content, size, size), 48_000, 48_000)
    if size:
        audio = read_audio(resized(content, size, size))
        assert len(audio.samples) == 48_000
        assert not audio.truncated


@pytest.mark.parametrize(
    ("container", "place", "size"),
    [("AU", 8, struct.pack(">I", 0xFFFFFFFF)), ("W64", 96, struct.pack("<q", (1 << 63) - 1))],
)
def test_other_streamed_files_are_not_truncated(tmp_path, container: str, place: int, size: bytes) -> None:
    content = encode(container, "PCM_16")
    assert container == "AU" or content[place - 16 : place - 12] == b"data"
    path = tmp_path / "a"  # of bytes with that size in them, libsndfile refuses Wave64
    path.write_bytes(content[:place] + size + content[place + len(size) :])
    audio = read_audio(path)
    assert len(audio.samples) == 48_000
    assert not audio.truncated


def test_the_size_of_the_samples_counts_not_that_of_the_file() -> None:
    content = encode("WAV", "PCM_16")
    assert not is_truncated(resized(content, len(content), 96_000), 0, None)  # the common slip of 8 bytes
    assert is_truncated(resized(content, len(content), 96_001), 0, None)


def test_a_wav_header_that_tells_nothing_is_not_believed() -> None:
    content = encode("WAV", "PCM_16")
    whole = read_audio(content).samples
    for lying in (resized(content, 0, 0), resized(content, len(content) - 8, 0)):
        audio = read_audio(lying)
        assert np.array_equal(audio.samples, whole)
        assert not audio.truncated
        assert np.array_equal(read_audio(lying, start=0.5).samples, whole[24_000:])
    empty = resized(content, 36, 0)
    for no_samples in (empty[:44], empty[:44] + b"LIST" + struct.pack("<I", 4) + b"INFO", empty[:44] + bytes(100)):
        with pytest.raises(UnreadableAudioError, match="holds no samples"):
            read_audio(no_samples)


@pytest.mark.parametrize("encoding", ["FLOAT", "IMA_ADPCM", "MS_ADPCM", "ULAW", "PCM_24"])
def test_so_it_is_with_every_encoding(encoding: str) -> None:
    content = encode("WAV", encoding)
    place = content.index(b"data") + 4
    lying = content[:place] + bytes(4) + content[place + 4 :]
    assert np.array_equal(read_audio(lying).samples, read_audio(content).samples)


@pytest.mark.parametrize("size", [48_000, 44_100, 95_000])
def test_samples_behind_those_that_the_header_tells_are_told(size: int) -> None:
    content = resized(encode("WAV", "PCM_16"), 36 + size, size)
    audio = read_audio(content)
    assert audio.truncated
    assert len(audio.samples) == size // 2


@pytest.mark.parametrize(
    ("container", "name", "before", "form"),
    [("AIFF", b"SSND", 0, ">I"), ("CAF", b"data", 0, ">q"), ("RF64", b"ds64", 12, "<Q")],
)
def test_so_they_are_in_other_containers(container: str, name: bytes, before: int, form: str) -> None:
    content = encode(container, "PCM_16")
    place = content.index(name) + 4 + before
    lying = content[:place] + struct.pack(form, 48_008) + content[place + struct.calcsize(form) :]
    assert not read_audio(content).truncated
    assert read_audio(lying).truncated


def test_chunks_tags_and_padding_behind_the_samples_are_none() -> None:
    content = encode("WAV", "PCM_16")
    chunk = b"LIST" + struct.pack("<I", 5) + b"INFO1\0"
    for rest in (chunk, chunk * 3, b"id3 " + struct.pack("<I", 10) + bytes(10), b"TAG" + bytes(125), bytes(5_000)):
        audio = read_audio(content + rest)
        assert len(audio.samples) == 48_000
        assert not audio.truncated


def test_joined_wav_files_are_read_whole() -> None:
    one, other = encode("WAV", "PCM_16"), encode("WAV", "FLOAT", 24_000)
    chunk = b"LIST" + struct.pack("<I", 4) + b"INFO"
    audio = read_audio(one + other + one + chunk)
    expected = np.concatenate([read_audio(content).samples for content in (one, other, one)])
    assert np.array_equal(audio.samples, expected)
    assert not audio.truncated
    assert np.array_equal(read_audio(one + other + one, start=1.2, end=2.0).samples, expected[57_600:96_000])
    assert read_audio(one + other[:-100]).truncated
    assert read_audio(one + b"\1\2\3\4" * 100).truncated


@pytest.mark.parametrize("size", [0, 50_000, 95_998, 0xFFFFFFFF])
def test_an_au_header_that_tells_less_hides_nothing(size: int) -> None:
    content = encode("AU", "PCM_16")
    audio = read_audio(content[:8] + struct.pack(">I", size) + content[12:])
    assert np.array_equal(audio.samples, read_audio(content).samples)
    assert not audio.truncated


@pytest.mark.parametrize(("size", "truncated"), [(0, False), (-1, False), (96_005, True), (200_000, True)])
def test_a_caf_header_without_the_true_length_is_read(size: int, truncated: bool) -> None:
    content = encode("CAF", "PCM_16")
    place = content.index(b"data") + 4
    audio = read_audio(content[:place] + struct.pack(">q", size) + content[place + 8 :])
    assert np.array_equal(audio.samples, read_audio(content).samples)
    assert audio.truncated == truncated


def test_padding_to_an_even_size_may_be_missing() -> None:
    content = encode("WAV", "PCM_U8", 4_801)
    end = content.index(b"data") + 8 + 4_801
    assert not read_audio(content[:end]).truncated
    assert not read_audio(content[:end] + b"\0").truncated
    assert read_audio(content[: end - 1]).truncated


def test_chunks_before_the_samples_are_passed_over() -> None:
    content = encode("WAV", "PCM_16")
    odd = b"LIST" + struct.pack("<I", 5) + b"INFO1\0"
    content = content[:36] + odd * 20 + content[36:]
    assert not read_audio(content).truncated
    assert read_audio(content[:-2]).truncated


def test_big_endian_wav_files_are_told() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(1_000), 48_000, "PCM_16", "BIG", "WAV")
    content = file.getvalue()
    assert content[:4] == b"RIFX"
    assert not read_audio(content).truncated
    assert read_audio(content[:-10]).truncated


def test_headers_that_cannot_be_followed_tell_nothing(tmp_path) -> None:
    path = tmp_path / "a"
    for content in (
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"FORM\0\0\0\0AIFFCOMM",
        b"riff" + bytes(100),
        b".snd",
        b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 100,
        b"caff\0\1\0\0junk" + struct.pack(">q", (1 << 63) - 1) + bytes(100),
        b"caff\0\1\0\0junk" + struct.pack(">q", -5) + bytes(100),
    ):
        path.write_bytes(content)
        assert not is_truncated(content, 0, None)
        assert not is_truncated(path, 0, None)


def test_an_ogg_stream_with_a_tag_behind_it_is_whole() -> None:
    content = encode("OGG", "VORBIS")
    assert not is_truncated(content + b"TAG" + bytes(125), 0, None)
    last = content.rindex(b"OggS")
    assert is_truncated(content[:last], 0, None)
    assert is_truncated(content[:-1], 0, None)
    assert is_truncated(content[: last + 20], 0, None)


def test_a_span_within_what_is_left_does_not_hide_the_cut() -> None:
    content = encode("WAV", "PCM_16")
    assert read_audio(content[:60_000], start=0.1, end=0.2).truncated


def test_an_mp3_stream_that_does_not_tell_its_length_is_not_truncated() -> None:
    content = encode("MP3", "MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=0.5)
    assert not read_audio(content[content.index(content[:2], 4) :]).truncated


def test_the_lengths_are_compared_if_both_are_known() -> None:
    content = encode("FLAC", "PCM_16")
    assert is_truncated(content, 48_000, 47_999)
    assert not is_truncated(content, 48_000, 48_000)
    assert not is_truncated(content, 48_000, None)


@pytest.mark.realdata
def test_none_of_the_real_recordings_is_truncated() -> None:
    files = sorted(SHARED_DATA.rglob("*.ogg"))
    assert len(files) > 2_000
    assert [file.name for file in files if is_truncated(file, 0, None)] == []
