"""Telling a recording that was cut off, as by an interrupted copy, from a whole one; and headers without a length."""

import io
import os
import struct
from dataclasses import dataclass
from typing import BinaryIO, cast

from hfaudio.audio.pieces import Layout, Part, Pieces

__all__ = ["is_truncated", "uncompressed_layout"]

STREAMED_SIZES = (range(0x7FFFF000, 1 << 32), range(1 << 62, 1 << 64))
"""What headers give as the size of samples that were written to a pipe, in bytes. SoX puts the first of these, FFmpeg
the largest of 32 or 63 bits; others put 0 or -1."""

USUAL_OGG_PAGE = 8_192  # bytes; what settles it for nearly every file
LONGEST_OGG_PAGE = 65_307
END_OF_STREAM = 0x04  # in the flags of an Ogg page
SHORTEST_REST = 16  # bytes behind the samples that count; some writers leave one sample there
READ_AT_ONCE = 1 << 16  # bytes
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


def is_truncated(
    source: str | os.PathLike[str] | bytes | BinaryIO, frames_declared: int, frames_read: int | None
) -> bool:
    """Whether a file ends before its own headers say so, or goes on where they say that it ends.

    The lengths tell of FLAC and MP3. For the others libsndfile adapts the declared one to the file; they are told by
    the size of their samples in bytes (WAV, RF64, AIFF, CAF, AU, Wave64) or by their last page (Ogg).

    Args:
        source: A path, the bytes of a file, or an open one, which is sought in.
        frames_declared: Length that the decoder took from the headers, in frames.
        frames_read: Length that could be decoded, in frames; None if it cannot be compared.
    """
    if frames_read is not None and frames_read < frames_declared:
        return True
    if isinstance(source, bytes):
        return _ends_early(io.BytesIO(source))
    if isinstance(source, str | os.PathLike):
        with open(source, "rb", buffering=0) as file:
            return _ends_early(file)
    return _ends_early(source)


def _ends_early(file: BinaryIO) -> bool:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(4)
    if magic == b"OggS":
        return not _ends_an_ogg_stream(file, size)
    if magic == b".snd":
        offset, length = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
        return not _is_streamed(length) and offset + length > size
    samples = _find_samples(file, _CHUNKS[magic], size) if magic in _CHUNKS else None
    if samples is None or _is_streamed(samples.length):
        return False
    end = samples.begin + samples.length
    return end > size or (samples.length > 0 and _holds_more(file, _CHUNKS[magic], end, size))


def uncompressed_layout(file: BinaryIO) -> Layout:
    """How a file of uncompressed samples is to be read whose header tells no length, or a wrong one.

    Args:
        file: WAV, CAF or AU, and is sought in; others are read as they are.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(4)
    if magic == b".snd":
        offset, length = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
        # Nothing may come behind the samples, so what is there is some of them.
        if offset + length < size and offset >= 24:
            return Layout((Part((range(8), b"\xff\xff\xff\xff", range(12, size))),))
    if magic in (b"RIFF", b"RIFX"):
        return _wave_layout(file, _CHUNKS[magic], size)
    samples = _find_samples(file, _CHUNKS[magic], size) if magic == b"caff" else None
    if samples is None:
        return Layout()
    # The first four bytes count the edits of the samples, and are none of them.
    empty = samples.length in (0, 4) and _holds_more(file, _CHUNKS[magic], samples.begin + samples.length, size)
    if not (empty or samples.length < 0 or samples.begin + samples.length > size):
        return Layout()
    length = struct.pack(">q", size - samples.begin)
    part = Part((range(samples.begin - 8), length, range(samples.begin, size)))
    return Layout((part,), incomplete=samples.length > 0 and not empty)


def _wave_layout(file: BinaryIO, chunks: "_Chunks", size: int) -> Layout:
    samples = _find_samples(file, chunks, size)
    if samples is None or _is_streamed(samples.length):
        return Layout()
    end = samples.begin + samples.length
    if samples.length == 0:
        if not _holds_more(file, chunks, end, size):
            return Layout()
        length = struct.pack(chunks.header[0] + "I", min(size - samples.begin, 0xFFFFFFFF))
        return Layout((Part((range(samples.begin - 4), length, range(samples.begin, size))),))
    if end >= size or not _holds_more(file, chunks, end, size):
        return Layout()
    # libsndfile takes what comes behind for chunks, and gives up if it is another file, or more samples.
    file.seek(end + end % 2)
    joined = file.read(12)
    if joined[:4] in (b"RIFF", b"RIFX") and joined[8:] == b"WAVE":
        later = cast(BinaryIO, Pieces(file, [range(end + end % 2, size)]))
        layout = _wave_layout(later, _CHUNKS[joined[:4]], size - end - end % 2)
        shifted = tuple(_shifted(part, end + end % 2, size) for part in layout.parts)
        return Layout((Part((range(end),)), *shifted), layout.incomplete)
    return Layout((Part((range(end),)),), incomplete=True)


def _shifted(part: Part, offset: int, size: int) -> Part:
    """A part of what lies behind a place in a file, as a part of the file."""
    pieces = part.pieces or (range(size - offset),)
    return Part(
        tuple(
            piece if isinstance(piece, bytes) else range(piece.start + offset, piece.stop + offset) for piece in pieces
        )
    )


def _is_streamed(length: int) -> bool:
    return any(length in sizes for sizes in STREAMED_SIZES)


@dataclass(frozen=True, slots=True)
class _Samples:
    """Where the samples lie by their header, in bytes.

    Attributes:
        begin: Where they begin.
        length: How much they take; below 0 where the header says that it does not know.
    """

    begin: int
    length: int


def _find_samples(file: BinaryIO, chunks: "_Chunks", size: int) -> _Samples | None:
    """Finds the samples; None if no header tells."""
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
        if name == chunks.samples:
            return _Samples(position, long_length or length)
        if length < 0:
            break
        if name == b"ds64":
            # Of RF64: the sizes of the whole file and of the samples, where 32 bits do not hold them (EBU Tech 3306).
            long_length = int.from_bytes(file.read(16)[8:], "little")
        position += length
        position += -position % chunks.alignment
    return None


def _holds_more(file: BinaryIO, chunks: "_Chunks", position: int, size: int) -> bool:
    """Whether there is more behind the samples than chunks, tags and padding."""
    header = struct.Struct(chunks.header)
    position += -position % chunks.alignment
    for _ in range(MOST_CHUNKS):
        if position + SHORTEST_REST > size:
            return False
        file.seek(position)
        head = file.read(max(header.size, SHORTEST_REST))
        if head.startswith((b"TAG", b"ID3", b"APETAGEX")):
            return False
        name, length = header.unpack_from(head)
        if not any(name):
            return _sounds(file, position)
        if chunks.headed:
            length -= header.size
        is_chunk = all(0x20 <= byte < 0x7F for byte in name[:4]) and 0 <= length <= size - position - header.size + 1
        if not is_chunk or name == chunks.samples or name in (b"RIFF", b"RIFX"):
            return True
        position += header.size + length
        position += -position % chunks.alignment
    return False


def _sounds(file: BinaryIO, position: int) -> bool:
    """Whether there is anything but zeros from a place on."""
    file.seek(position)
    while block := file.read(READ_AT_ONCE):
        if any(block):
            return True
    return False


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
