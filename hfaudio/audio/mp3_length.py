"""Telling libsndfile the length of an MP3 stream that does not tell it itself."""

import io
import os

__all__ = ["with_frame_count"]

MANY_MP3_FRAMES = (1 << 31) // 1152


def with_frame_count(source: str | os.PathLike[str] | bytes, sampling_rate: int) -> bytes | None:
    """An MP3 stream that does not tell its length, after a Xing frame that tells far too much; None if it does tell.

    libsndfile takes the length of such a stream from the bit rate of its first frames and reads no further: of one
    with a variable bit rate, it may leave out two thirds.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        tag = file.read(10)
        if tag[:3] == b"ID3":
            # The size of the tag is in four times seven bits: id3.org/id3v2.4.0-structure.
            file.seek(10 + sum((byte & 0x7F) << 7 * (3 - index) for index, byte in enumerate(tag[6:10])))
        else:
            file.seek(0)
        head = file.read(64)
        # Eleven bits begin a frame, and two, of the four that come next, tell layer III.
        begins = len(head) == 64 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
        if not begins or any(mark in head for mark in (b"Xing", b"Info", b"VBRI")):
            return None
        content = head + file.read()
    version_1, mono = content[1] & 0x08, content[3] >> 6 == 3
    length = (144 * 128_000 if version_1 else 72 * 80_000) // sampling_rate
    side = (17 if mono else 32) if version_1 else (9 if mono else 17)
    header = bytes([0xFF, content[1] | 0x01, 0x90 | content[2] & 0x0C, content[3]])
    xing = header + bytes(side) + b"Xing" + (1).to_bytes(4, "big") + MANY_MP3_FRAMES.to_bytes(4, "big")
    return xing.ljust(length, b"\0") + content
