import io

import numpy as np
import pytest
from encoded_audio import RATE, SECONDS, encode, ogg_checksum, with_last_position

from hfaudio.audio import decode_audio, ogg_links, read_audio, stream_audio
from hfaudio.audio.ogg_links import ogg_layout
from hfaudio.audio.ogg_packets import Packets
from hfaudio.audio.pieces import Layout

CODECS = ["VORBIS", "OPUS"]


def ogg(codec: str, seed: int = 0, rate: int | None = None, channels: int = 1) -> bytes:
    return encode("OGG", codec, seed, rate or rate_of(codec), channels)


def rate_of(codec: str) -> int:
    return 48_000 if codec == "OPUS" else RATE


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("between", [b"", b"junk" * 50])
def test_a_chain_is_read_whole(tmp_path, codec: str, between: bytes) -> None:
    one, other, rate = ogg(codec, 0), ogg(codec, 1), rate_of(codec)
    parts = [read_audio(content).samples for content in (one, other, one)]
    content = between.join([one, other, one])
    path = tmp_path / "a.ogg"
    path.write_bytes(content)
    audio = read_audio(path)
    assert np.array_equal(audio.samples, np.concatenate(parts))
    assert np.array_equal(read_audio(content).samples, audio.samples)
    assert not audio.truncated
    streamed = np.concatenate(list(stream_audio(path, 16_000)))
    np.testing.assert_allclose(streamed, decode_audio(path, 16_000), atol=1e-4)
    for start, end in ((0.5, 1.0), (1.5, 2.5), (2.5, 3.0), (1.0, 5.0), (5.5, 9.0)):
        span = read_audio(path, start=start, end=end).samples
        expected = audio.samples[round(start * rate) : round(end * rate)]
        np.testing.assert_allclose(span, expected, atol=2e-3 if codec == "OPUS" else 1e-6)


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_stream_twice_is_read_twice(codec: str) -> None:
    one = ogg(codec)
    assert len(read_audio(one + one).samples) == 2 * len(read_audio(one).samples)


@pytest.mark.parametrize("codec", CODECS)
def test_links_of_other_rates_and_channels_are_read_too(codec: str) -> None:
    one, rate = ogg(codec), rate_of(codec)
    content = one + ogg(codec, 1, 16_000) + ogg(codec, 2, channels=2) + ogg("OPUS" if codec == "VORBIS" else "VORBIS")
    audio = read_audio(content)
    assert abs(len(audio.samples) - 4 * SECONDS * rate) <= 10
    assert (audio.sampling_rate, audio.channels, audio.truncated) == (rate, 1, False)
    expected = read_audio(ogg(codec, 2, channels=2)).samples
    np.testing.assert_allclose(
        read_audio(content, start=4.0, end=6.0).samples[: rate // 2], expected[: rate // 2], atol=2e-3
    )
    # Of the link at another rate, the resampled sound.
    resampled = decode_audio(ogg(codec, 1, 16_000), rate)
    np.testing.assert_allclose(
        read_audio(content, start=2.5, end=3.5).samples, resampled[rate // 2 : 3 * rate // 2], atol=2e-3
    )
    streamed = np.concatenate(list(stream_audio(content, 16_000)))
    np.testing.assert_allclose(streamed, decode_audio(content, 16_000), atol=1e-4)


@pytest.mark.parametrize("codec", CODECS)
def test_a_link_that_is_cut_off_is_told(codec: str) -> None:
    one, other = ogg(codec), ogg(codec, 1)
    for content in (one + other[: len(other) // 2], one[: len(one) * 3 // 4] + other):
        audio = read_audio(content)
        assert audio.truncated
        assert SECONDS <= len(audio.samples) / audio.sampling_rate < 2 * SECONDS
    assert read_audio(one + other[:2_000] + one).truncated


@pytest.mark.parametrize("position", [0, 1_000, -1])
def test_a_last_page_that_tells_too_little_hides_nothing(tmp_path, position: int) -> None:
    for codec in CODECS:
        one = ogg(codec)
        whole = read_audio(one).samples
        lying = with_last_position(one, position)
        audio = read_audio(lying)
        assert len(whole) <= len(audio.samples) < len(whole) + 4_096
        assert np.array_equal(audio.samples[: len(whole)], whole)
        assert not audio.truncated
        assert len(read_audio(lying, start=1.5).samples) >= len(whole) - 1.5 * audio.sampling_rate
        assert len(read_audio(lying + one).samples) >= 2 * len(whole)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("position", [0, 2_000])
def test_one_page_of_sound_that_tells_too_little_hides_nothing(codec: str, position: int) -> None:
    one = encode("OGG", codec, 0, rate_of(codec), 1, seconds=0.4)
    assert one.count(b"OggS") == 3
    whole = read_audio(one).samples
    audio = read_audio(with_last_position(one, position))
    assert len(whole) <= len(audio.samples) < len(whole) + 4_096
    np.testing.assert_allclose(audio.samples[: len(whole)], whole, atol=1e-6)
    assert not audio.truncated


def test_pages_that_all_tell_half_hide_nothing() -> None:
    one = ogg("VORBIS")
    whole = read_audio(one).samples
    pages = [b"OggS" + page for page in one.split(b"OggS")[1:]]
    lying = b"".join(with_last_position(page, int.from_bytes(page[6:14], "little") // 2) for page in pages)
    # Between pages that contradict each other libvorbis may leave out a block.
    assert len(whole) - 1_024 <= len(read_audio(lying).samples) < len(whole) + 4_096


def test_headers_that_go_on_with_the_next_page_are_no_sound() -> None:
    one = ogg("VORBIS")
    packets, whole = Packets(), Packets()
    for page in one.split(b"OggS")[1:]:
        count = page[22]
        lengths, body = page[23 : 23 + count], page[23 + count :]
        whole.add_page(page[1], lengths, body)
        for index, length in enumerate(lengths):  # a page for each segment
            at = sum(lengths[:index])
            continued = page[1] if index == 0 else int(lengths[index - 1] == 255)
            packets.add_page(continued, bytes([length]), body[at : at + length])
    assert packets == whole
    frames, spared = whole.frames()
    assert 0 <= frames - len(read_audio(one).samples) <= spared


def test_a_last_page_that_tells_too_much_is_told() -> None:
    one = ogg("VORBIS")
    assert read_audio(with_last_position(one, 10**9)).truncated


def test_one_stream_is_read_as_it_is() -> None:
    for codec in CODECS:
        assert ogg_layout(io.BytesIO(ogg(codec))) == Layout()
    assert ogg_layout(io.BytesIO(ogg("VORBIS")[:-10])) == Layout()
    assert ogg_layout(io.BytesIO(b"OggS")) == ogg_layout(io.BytesIO(b"OggS" + bytes(100))) == Layout()


def test_zeros_and_tags_before_a_stream_are_passed_over() -> None:
    one = ogg("VORBIS")
    whole = read_audio(one).samples
    assert np.array_equal(read_audio(bytes(1_000) + one).samples, whole)


def test_long_files_are_searched_in_pieces(monkeypatch) -> None:
    content = ogg("VORBIS") + b"junk" * 40_000 + ogg("OPUS") + ogg("VORBIS", 1)
    expected = ogg_layout(io.BytesIO(content))
    assert len(expected.parts) == 3
    monkeypatch.setattr(ogg_links, "READ_AT_ONCE", 70_000)
    assert ogg_layout(io.BytesIO(content)) == expected


def test_the_checksum_is_that_of_the_pages() -> None:
    content = ogg("VORBIS")
    last = content.rindex(b"OggS")
    page = content[last : last + 22] + bytes(4) + content[last + 26 :]
    assert ogg_links._checksum(page) == ogg_checksum(page) == int.from_bytes(content[last + 22 : last + 26], "little")
