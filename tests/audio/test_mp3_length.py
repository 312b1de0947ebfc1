import io

import numpy as np
import pytest
from encoded_audio import RATE, SECONDS, TAG, mp3, put

from hfaudio.audio import decode_audio, mp3_length, read_audio, stream_audio
from hfaudio.audio.mp3_length import after_tags, mp3_layout
from hfaudio.audio.pieces import Layout

FRAME = 1_152
ONE, OTHER, CONSTANT = mp3(0), mp3(1), mp3(0, mode="CONSTANT")
XING = ONE.index(b"Xing")
COUNT = int.from_bytes(ONE[XING + 8 : XING + 12], "big")
FLAGS = ONE[XING + 7]
FIRST = ONE.index(ONE[:2], 4)  # where the first frame of sound begins
APE = b"APETAGEX" + (2_000).to_bytes(4, "little") + (132).to_bytes(4, "little") + bytes(16) + bytes(132)
TAG_1 = b"TAG" + bytes(125)
JUNK = np.random.default_rng(7).integers(0, 256, 700, dtype=np.uint8).tobytes()


def told(frames: int) -> bytes:
    return put(ONE, XING + 8, frames.to_bytes(4, "big"))


def vbri(frames: int) -> bytes:
    """With the frame that Fraunhofer's encoder writes in place of a Xing frame."""
    header = b"VBRI\0\1\0\0\0\x4b" + len(ONE).to_bytes(4, "big") + frames.to_bytes(4, "big") + bytes(8)
    return ONE[:4] + (bytes(32) + header).ljust(FIRST - 4, b"\0") + ONE[FIRST:]


WRONG = {
    "tells few frames": (told(20), 1),
    "tells no frames": (told(0), 1),
    "tells nothing": (put(ONE, XING + 7, bytes([FLAGS & ~1])), 1),
    "no Xing": (ONE[FIRST:], 1),
    "tag, no Xing": (TAG + ONE[FIRST:], 1),
    "two tags": (TAG + TAG + ONE, 1),
    "two tags, no Xing": (TAG + TAG + ONE[FIRST:], 1),
    "tag that tells too little": (b"ID3\3\0\0\0\0\1\0" + bytes(1_000) + ONE, 1),
    "tag that tells too much": (b"ID3\3\0\0\0\0\x7f\0" + bytes(1_000) + ONE, 1),
    "tag that tells more than the file": (b"ID3\3\0\0\x7f\x7f\x7f\x7f" + bytes(1_000) + ONE, 1),
    "APE tag before": (APE + ONE, 1),
    "tags behind": (ONE[FIRST:] + APE + TAG_1, 1),
    "zeros before": (bytes(70_000) + ONE, 1),
    "few zeros before": (bytes(5) + ONE[FIRST:], 1),
    "junk before": (JUNK + ONE[FIRST:], 1),
    "tag and zeros before": (TAG + bytes(5_000) + ONE, 1),
    "VBRI": (vbri(COUNT), 1),
    "VBRI that tells few": (vbri(10), 1),
    "joined": (ONE + OTHER, 2),
    "joined, constant bit rate": (CONSTANT + mp3(1, mode="CONSTANT"), 2),
    "joined, without Xing": (ONE[FIRST:] + OTHER[FIRST:], 2),
    "joined, with tags": (TAG + ONE + APE + TAG_1 + TAG + OTHER + TAG_1, 2),
    "joined, mono and stereo": (ONE + mp3(1, channels=2), 2),
    "joined, stereo and mono": (mp3(1, channels=2) + ONE, 2),
    "joined, other rates": (ONE + mp3(1, rate=22_050) + mp3(2, rate=48_000), 3),
}


def spectrum(samples: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.rfft(samples[: RATE // 2]))


@pytest.mark.parametrize(("content", "parts"), WRONG.values(), ids=WRONG)
def test_what_the_header_tells_wrong_is_read_whole(tmp_path, content: bytes, parts: int) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    audio = read_audio(content)
    assert abs(len(audio.samples) - parts * SECONDS * RATE) <= 3 * FRAME
    assert not audio.truncated
    assert np.array_equal(read_audio(path).samples, audio.samples)
    streamed = np.concatenate(list(stream_audio(path, 16_000)))
    np.testing.assert_allclose(streamed, decode_audio(content, 16_000), atol=1e-4)
    # The last half second of the sound is there, and is the noise.
    span = read_audio(path, start=parts * SECONDS - 0.5, end=parts * SECONDS + 1)
    rest = len(audio.samples) - round((parts * SECONDS - 0.5) * RATE)
    np.testing.assert_allclose(span.samples, audio.samples[-rest:], atol=1e-5)
    assert span.samples[:20_000].std() > 0.1


def test_of_a_wrong_count_alone_the_samples_stay_the_same() -> None:
    whole = read_audio(ONE).samples
    for frames in (0, 1, 20, COUNT - 1):
        assert np.array_equal(read_audio(told(frames)).samples, whole)
    both = read_audio(ONE + OTHER).samples
    assert np.array_equal(both, np.concatenate([whole, read_audio(OTHER).samples]))


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 24_000, 32_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_all_versions_are_counted(rate: int, channels: int) -> None:
    content = mp3(0, rate, channels)
    mark = content.find(b"Xing") if b"Xing" in content else content.index(b"Info")
    assert mp3_layout(io.BytesIO(content)) == Layout()
    lying = put(content, mark + 8, (3).to_bytes(4, "big"))
    assert np.array_equal(read_audio(lying).samples, read_audio(content).samples)


def test_files_that_tell_right_are_read_as_they_are() -> None:
    for content in (ONE, CONSTANT, TAG + ONE, ONE + TAG_1, TAG + ONE + APE + TAG_1, told(COUNT + 1)):
        assert mp3_layout(io.BytesIO(content)) == Layout()
    assert not read_audio(told(COUNT + 1)).truncated  # the frame that tells is counted, too


@pytest.mark.parametrize("content", [told(COUNT + 2), told(0xFFFFFFFF), ONE[:-50], ONE[FIRST:-50], ONE + OTHER[:-50]])
def test_frames_that_are_missing_are_told(content: bytes) -> None:
    assert read_audio(content).truncated


def test_zeros_between_frames_are_passed_over() -> None:
    middle = len(ONE) // 2
    audio = read_audio(ONE[FIRST:middle] + bytes(30_000) + ONE[middle:])
    assert abs(len(audio.samples) - SECONDS * RATE) <= 4 * FRAME


def test_frames_of_free_length_are_left_to_libsndfile() -> None:
    content = mp3(0, rate=32_000, mode="CONSTANT")  # 32 kHz needs no padding: all frames are alike
    first = content.index(content[:2], 4)
    frame = content.index(content[first : first + 3], first + 4) - first
    frames = [content[at : at + frame] for at in range(first, len(content), frame)]
    free = b"".join(put(one, 2, bytes([one[2] & 0x0F])) for one in frames)
    assert mp3_layout(io.BytesIO(free)) is None
    assert abs(len(read_audio(free).samples) - SECONDS * 32_000) <= 3 * FRAME


@pytest.mark.parametrize("content", [b"", b"\xff", b"\xff\xfb\x90", b"\xff\xd8\xff\xe0" + bytes(100), TAG, JUNK * 9])
def test_what_is_no_mp3_is_none(content: bytes) -> None:
    assert mp3_layout(io.BytesIO(content)) is None


@pytest.mark.parametrize("at_once", [3_000, 4_001])
def test_long_files_are_counted_in_pieces(monkeypatch, at_once: int) -> None:
    contents = (ONE, TAG + ONE + APE + TAG_1 + TAG + OTHER, bytes(9_000) + ONE[FIRST:], ONE + bytes(5_000) + OTHER)
    expected = [mp3_layout(io.BytesIO(content)) for content in contents]
    monkeypatch.setattr(mp3_length, "READ_AT_ONCE", at_once)
    assert [mp3_layout(io.BytesIO(content)) for content in contents] == expected


def test_far_behind_the_beginning_no_first_frame_is_sought(monkeypatch) -> None:
    monkeypatch.setattr(mp3_length, "SOUGHT_WITHIN", 1_000)
    assert mp3_layout(io.BytesIO(bytes(900) + ONE)) is not None
    assert mp3_layout(io.BytesIO(bytes(1_100) + ONE)) is None


def test_the_size_of_a_tag_counts_its_footer() -> None:
    assert after_tags(TAG[:32]) == len(TAG)
    assert after_tags(b"ID3\4\0\x10\0\0\1\0" + bytes(22)) == 10 + 128 + 10
    assert after_tags(APE) == len(APE) - 0
    assert after_tags(b"RIFF" + bytes(28)) == after_tags(b"") == 0
