"""Telling a recording that was cut off, as by an interrupted copy, from a whole one."""

import io
import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["is_truncated"]

STREAMED_SIZES = (range(0x7FFFF000, 1 << 32), range(1 << 62, 1 << 64))
"""What headers give as the size of samples that were written to a pipe, in bytes. SoX puts the first of these, FFmpeg
the largest of 32 or 63 bits; others put 0 or -1."""

USUAL_OGG_PAGE = 8_192  # bytes; what settles it for nearly every file
LONGEST_OGG_PAGE = 65_307
END_OF_STREAM = 0x04  # in the flags of an Ogg page
MOST_CHUNKS = 64  # before the samples; a damaged file may have many that are empty


@dataclass(frozen=True, slots=True)
class _Chunks:
    """How a format strings its chunks together.

    Attributes:
        start: Where the first one begins, in bytes.
        header: Its identifier and its size, for `struct`.
        samples: The identifier of the one that holds the samples.
        alignment: Each begins at a multiple of so many bytes from its forerunner.
        headed: Whether the size counts the header too.
    """

    start: int
    header: str
    samples: bytes
    alignment: int = 2
    headed: bool = False


_WAVE64_GUID = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_CHUNKS = {
    b"RIFF": _Chunks(12, "<4sI", b"data"),
    b"RIFX": _Chunks(12, ">4sI", b"data"),
    b"RF64": _Chunks(12, "<4sI", b"data"),
    b"FORM": _Chunks(12, ">4sI", b"SSND"),
    b"caff": _Chunks(8, ">4sq", b"data", alignment=1),
    b"riff": _Chunks(40, "<16sq", b"data" + _WAVE64_GUID, alignment=8, headed=True),
}


def is_truncated(source: str | os.PathLike[str] | bytes, frames_declared: int, frames_read: int | None) -> bool:
    """Whether a file ends before its own headers say so.

    The lengths tell of FLAC and MP3. For the others libsndfile adapts the declared one to the file; they are told by
    the size of their samples in bytes (WAV, RF64, AIFF, CAF, AU, Wave64) or by their last page (Ogg).

    Args:
        source: A path, or the bytes of a file.
        frames_declared: Length that the decoder took from the headers, in frames.
        frames_read: Length that could be decoded, in frames; None if it cannot be compared.
    """
    if frames_read is not None and frames_read < frames_declared:
        return True
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        magic = file.read(4)
        if magic == b"OggS":
            return not _ends_an_ogg_stream(file, size)
        if magic == b".snd":
            offset, length = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
            return not _is_streamed(length) and offset + length > size
        return magic in _CHUNKS and _samples_end(file, _CHUNKS[magic], size) > size


def _is_streamed(length: int) -> bool:
    return any(length in sizes for sizes in STREAMED_SIZES)


def _samples_end(file: BinaryIO, chunks: _Chunks, size: int) -> int:
    """Where the samples end by their header, in bytes; 0 if no header tells."""
    header = struct.Struct(chunks.header)
    position, long_length = chunks.start, 0
    for _ in range(MOST_CHUNKS):
        if position + header.size > size:  # a damaged size may lie beyond what a file can be sought for
            break
        file.seek(position)
        name, length = header.unpack(file.read(header.size))
        position += header.size
        if chunks.headed:
            length -= header.size
        if length < 0:
            break
        if name == chunks.samples:
            length = long_length or length
            return 0 if _is_streamed(length) else position + length
        if name == b"ds64":
            # Of RF64: the sizes of the whole file and of the samples, where 32 bits do not hold them (EBU Tech 3306).
            long_length = int.from_bytes(file.read(16)[8:], "little")
        position += length
        position += -position % chunks.alignment
    return 0


def _ends_an_ogg_stream(file: BinaryIO, size: int) -> bool:
    """Whether a page with the end-of-stream flag is among the last ones, and is whole."""
    return any(_has_last_page(file, size, tail) for tail in (USUAL_OGG_PAGE, 2 * LONGEST_OGG_PAGE))


def _has_last_page(file: BinaryIO, size: int, length: int) -> bool:
    file.seek(max(0, size - length))
    tail = file.read()
    at = tail.rfind(b"OggS")
    while at >= 0:
        header = tail[at : at + 27]
        if len(header) == 27 and header[5] & END_OF_STREAM:
            segments = tail[at + 27 : at + 27 + header[26]]
            return len(segments) == header[26] and at + 27 + header[26] + sum(segments) <= len(tail)
        at = tail.rfind(b"OggS", 0, at)
    return False
