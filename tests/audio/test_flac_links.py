import io

import numpy as np
import pytest
import soundfile
from encoded_audio import RATE, SECONDS, TAG, encode, put

from hfaudio.audio import decode_audio, flac_links, read_audio, stream_audio
from hfaudio.audio.flac_links import flac_layout
from hfaudio.audio.pieces import Layout

ONE, OTHER = encode("FLAC"), encode("FLAC", seed=1)
FRAMES = round(SECONDS * RATE)


def telling(frames: int, content: bytes = ONE) -> bytes:
    field = int.from_bytes(content[18:26], "big")
    return put(content, 18, (field >> 36 << 36 | frames).to_bytes(8, "big"))


JOINED = {
    "two": (ONE + OTHER, 2),
    "the same": (ONE + ONE, 2),
    "with tags": (TAG + ONE + TAG + OTHER, 2),
    "without lengths": (telling(0) + telling(0, OTHER), 2),
    "first without a length": (telling(0) + OTHER, 2),
    "first tells less": (telling(1_000) + OTHER, 2),
    "stereo": (ONE + encode("FLAC", channels=2), 2),
    "24 bits": (ONE + encode("FLAC", "PCM_24"), 2),
    "another rate": (ONE + encode("FLAC", rate=16_000) + OTHER, 3),
    "two tags": (TAG + TAG + ONE, 1),
    "zeros before": (bytes(100) + ONE, 1),
}


@pytest.mark.parametrize(("content", "parts"), JOINED.values(), ids=JOINED)
def test_joined_streams_are_read_whole(tmp_path, content: bytes, parts: int) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(content)
    audio = read_audio(path)
    assert len(audio.samples) == parts * FRAMES
    assert not audio.truncated
    assert np.array_equal(read_audio(content).samples, audio.samples)
    assert np.array_equal(audio.samples[:FRAMES], read_audio(ONE).samples)
    streamed = np.concatenate(list(stream_audio(path, 16_000)))
    np.testing.assert_allclose(streamed, decode_audio(path, 16_000), atol=1e-4)
    for start, end in ((0.5, 1.0), (1.5, 2.0), (2 * parts - 0.75, 2 * parts + 1)):
        span = read_audio(path, start=start, end=end).samples
        np.testing.assert_allclose(span, audio.samples[round(start * RATE) : round(end * RATE)], atol=1e-6)


@pytest.mark.parametrize("frames", [1, 1_000, FRAMES - 1, FRAMES - 5_000])
def test_a_header_that_tells_less_hides_nothing(frames: int) -> None:
    audio = read_audio(telling(frames))
    assert np.array_equal(audio.samples, read_audio(ONE).samples)
    assert not audio.truncated
    assert np.array_equal(read_audio(telling(frames), start=1.5).samples, audio.samples[round(1.5 * RATE) :])


def test_a_header_that_tells_more_is_told() -> None:
    audio = read_audio(telling(FRAMES + 100))
    assert len(audio.samples) == FRAMES
    assert audio.truncated
    assert read_audio(ONE + telling(FRAMES + 100)).truncated


def test_a_stream_that_is_cut_off_is_told() -> None:
    for content in (ONE[: len(ONE) // 2] + OTHER, ONE + OTHER[: len(OTHER) // 2]):
        audio = read_audio(content)
        assert audio.truncated
        assert FRAMES < len(audio.samples) < 2 * FRAMES


def test_one_stream_is_read_as_it_is() -> None:
    for content in (ONE, ONE[:-1_000], telling(0), encode("FLAC", channels=2), encode("FLAC", "PCM_24", rate=48_000)):
        assert flac_layout(io.BytesIO(content)) == Layout()
    assert flac_layout(io.BytesIO(b"fLaC")) == Layout()


def test_long_files_are_searched_in_pieces(monkeypatch) -> None:
    content = telling(500) + OTHER + ONE
    expected = flac_layout(io.BytesIO(content))
    assert len(expected.parts) == 3
    for at_once in (9, 64, len(ONE) + 3):
        monkeypatch.setattr(flac_links, "READ_AT_ONCE", at_once)
        assert flac_layout(io.BytesIO(content)) == expected


def test_a_stream_of_one_block_tells_its_length() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).uniform(-0.5, 0.5, 700), RATE, format="FLAC")
    assert len(read_audio(telling(10, file.getvalue())).samples) == 700
