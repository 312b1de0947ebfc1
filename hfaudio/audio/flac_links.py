"""The streams of a joined FLAC file, and their true lengths, of which libsndfile reads what the first header tells."""

import os
from functools import lru_cache
from typing import BinaryIO

import numpy as np

from hfaudio.audio.pieces import Layout, Part

__all__ = ["flac_layout"]

READ_AT_ONCE = 1 << 18  # bytes
MARKS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")  # with the header of STREAMINFO, which comes first
TOTAL_AT = 18  # the low 36 bits of the eight bytes from here are the number of frames: RFC 9639, section 8.2
TAIL = 1 << 17  # bytes at the end of a stream, in which its last two blocks are sought
NUMBERED, COUNTED = b"\xff\xf8", b"\xff\xf9"  # beginnings of blocks that tell their number, or their first frame
BLOCK_SIZES = {1: 192, **{code: 144 << code for code in range(2, 6)}, **{code: 1 << code for code in range(8, 16)}}


def flac_layout(file: BinaryIO) -> Layout:
    """How a FLAC file is to be read, so that all its streams are to their ends.

    Args:
        file: It is sought in.
    """
    size = file.seek(0, os.SEEK_END)
    starts = _find_starts(file, size)
    parts = tuple(
        _part(file, start, end, joined=len(starts) > 1)
        for start, end in zip(starts, [*starts[1:], size], strict=False)
    )
    return Layout() if not parts or (starts == [0] and len(parts[0].pieces) == 1) else Layout(parts)


def _find_starts(file: BinaryIO, size: int) -> list[int]:
    starts: list[int] = []
    position = 0
    while position < size:
        file.seek(position)
        block = file.read(READ_AT_ONCE)
        if not block:
            break
        # Several times as fast as `bytes.find`, of the first two letters.
        letters = np.frombuffer(block, np.uint8)
        places = np.flatnonzero((letters[:-1] == MARKS[0][0]) & (letters[1:] == MARKS[0][1])).tolist()
        starts += [position + at for at in places if block.startswith(MARKS, at)]
        if position + len(block) >= size:
            break
        position += len(block) - 7  # the mark may lie across two blocks
    return starts


def _part(file: BinaryIO, start: int, end: int, joined: bool) -> Part:
    file.seek(start)
    field = int.from_bytes(file.read(26)[TOTAL_AT:], "big")
    told = field & ((1 << 36) - 1)
    # A stream that does not tell its length, as encoders write it to a pipe, is read to its end if it stands alone.
    if told == 0 and not joined:
        return Part((range(start, end),))
    tail = max(start + 42, end - TAIL)
    file.seek(tail)
    found = _last_frame(file.read(end - tail))
    if found is None or found <= told:
        return Part((range(start, end),))
    total = (field >> 36 << 36 | found).to_bytes(8, "big")
    return Part((range(start, start + TOTAL_AT), total, range(start + TOTAL_AT + 8, end)))


def _last_frame(tail: bytes) -> int | None:
    """How many frames of sound a stream has, by its last block; None if there are no two blocks in a row."""
    for mark in (NUMBERED, COUNTED):
        later: list[tuple[int, int]] = []
        at = len(tail)
        while (at := tail.rfind(mark, 0, at)) >= 0:
            block = _parse_block(tail[at : at + 16])
            if block is None:
                continue
            place, frames = block
            # Two of them, because what looks like the header of a block may be none.
            for later_place, later_frames in later:
                if later_place == place + (1 if mark == NUMBERED else frames):
                    return (later_place * frames if mark == NUMBERED else later_place) + later_frames
            later.append(block)
        if len(later) == 1 and later[0][0] == 0:
            return later[0][1]
    return None


def _parse_block(header: bytes) -> tuple[int, int] | None:
    """Reads the header of a block: RFC 9639, section 9.1.

    Returns:
        Its number or its first frame, and how many frames it has; None if it is no header.
    """
    header = header.ljust(16, b"\0")
    size_code, rate_code = header[2] >> 4, header[2] & 0x0F
    if size_code == 0 or rate_code == 15 or header[3] >> 4 > 10 or header[3] & 0x01 or header[3] >> 1 & 7 == 3:
        return None
    # The place is coded as UTF-8 codes characters, in up to seven bytes.
    ones = 8 - (~header[4] & 0xFF).bit_length()
    if ones in (1, 8):
        return None
    at = 4 + max(1, ones)
    place = header[4] & (0x7F >> ones)
    for byte in header[5:at]:
        if byte >> 6 != 2:
            return None
        place = place << 6 | byte & 0x3F
    if size_code in (6, 7):  # the size is written out, in one byte or two
        width = size_code - 5
        frames = 1 + int.from_bytes(header[at : at + width], "big")
        at += width
    else:
        frames = BLOCK_SIZES[size_code]
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if at >= len(header) or _checksum(header[:at]) != header[at]:
        return None
    return place, frames


@lru_cache(maxsize=1)
def _checksum_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
        table.append(value)
    return table


def _checksum(header: bytes) -> int:
    table, value = _checksum_table(), 0
    for byte in header:
        value = table[value ^ byte]
    return value
