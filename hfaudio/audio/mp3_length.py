"""Counting the frames of an MP3 stream: what its header tells of its length may be missing or wrong.

libsndfile takes the length from the Xing or Info frame at the beginning and reads no further. Where there is none, it
takes it from the bit rate of the first frames: of a stream with a variable bit rate, it may leave out two thirds.
"""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO

from hfaudio.audio.pieces import Layout, Part

__all__ = ["after_tags", "mp3_layout"]

READ_AT_ONCE = 1 << 18  # bytes
SOUGHT_WITHIN = 1 << 20  # bytes, for the first frame
LONGEST_FRAME = 2_881  # bytes: layer II, 384 kbit/s at 32 kHz has 1,728; layer III of 160 kbit/s at 8 kHz has 1,440
SURE_FRAMES = 3  # on end, of one kind; an image within a tag has none such
XING_FRAMES, XING_BYTES = 1, 2  # flags of what the frame tells
MARKS = (b"Xing", b"Info")
VBRI_AT = 36  # bytes after the beginning of its frame
VERSION_1, VERSION_2, VERSION_2_5 = 3, 2, 0
RATES = {
    VERSION_1: (44_100, 48_000, 32_000),
    VERSION_2: (22_050, 24_000, 16_000),
    VERSION_2_5: (11_025, 12_000, 8_000),
}
KBITS = {
    # By version 1 or not, and layer.
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}

Kind = tuple[int, int, bool]
"""What all frames of a part have in common: version and layer, sampling rate, and whether they are mono."""


@lru_cache(maxsize=1)
def _frame_lengths() -> dict[int, int]:
    """The length of a frame in bytes, by the second and third byte of its header; without those of free format."""
    lengths = {}
    for second in range(0xE0, 0x100):
        version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
        if version not in RATES or layer == 4:
            continue
        for third in range(0x100):
            index, rate_index, padding = third >> 4, third >> 2 & 3, third >> 1 & 1
            if index in (0, 15) or rate_index == 3:
                continue
            bits = KBITS[version == VERSION_1, layer][index - 1] * 1_000
            rate = RATES[version][rate_index]
            if layer == 1:
                length = 4 * (12 * bits // rate + padding)
            else:
                length = (72 if layer == 3 and version != VERSION_1 else 144) * bits // rate + padding
            lengths[second << 8 | third] = length
    return lengths


@lru_cache(maxsize=64)
def _lengths_of(kind: Kind) -> dict[int, int]:
    return {
        key: length for key, length in _frame_lengths().items() if (key >> 8 & 0x1E, key & 0x0C) == (kind[0], kind[1])
    }


def _kind(header: bytes) -> Kind:
    return header[1] & 0x1E, header[2] & 0x0C, header[3] >> 6 == 3


def _is_layer_3(kind: Kind) -> bool:
    return kind[0] & 0x06 == 0x02


def _side_information(kind: Kind) -> int:
    """Bytes between the header of a frame of layer III and the Xing mark."""
    if kind[0] >> 3 == VERSION_1:
        return 17 if kind[2] else 32
    return 9 if kind[2] else 17


@dataclass
class _Stream:
    """Frames of one kind, with at most one that tells of the others.

    Attributes:
        kind: Of the frames.
        info: The first frame, if it is one that tells of the others.
        frames: How many there are, without that one.
        runs: Where they lie in the file, in bytes.
    """

    kind: Kind
    info: bytes = b""
    frames: int = 0
    runs: list[range] = field(default_factory=list)

    @property
    def told(self) -> int | None:
        """How many frames the first one tells that there are; None if it does not, or not in a way that is read."""
        mark = 4 + _side_information(self.kind)
        if self.info[mark : mark + 4] not in MARKS or not self.info[mark + 7] & XING_FRAMES:
            return None
        return int.from_bytes(self.info[mark + 8 : mark + 12], "big")

    def part(self) -> Part:
        """The stream with its true length at the beginning."""
        if not _is_layer_3(self.kind):  # there is no such frame but for layer III
            return Part(tuple(self.runs))
        count = self.frames.to_bytes(4, "big")
        mark = 4 + _side_information(self.kind)
        if self.told is not None:  # what it tells of the encoder's delay stays
            info = bytearray(self.info)
            info[mark + 8 : mark + 12] = count
            if info[mark + 7] & XING_BYTES:
                info[mark + 12 : mark + 16] = (len(info) + sum(map(len, self.runs))).to_bytes(4, "big")
            return Part((bytes(info), *self.runs))
        # Without a checksum, of 128 or 80 kbit/s.
        header = bytes([0xFF, 0xE0 | self.kind[0] | 0x01, 0x90 | self.kind[1], 0xC0 if self.kind[2] else 0x00])
        length = _frame_lengths()[header[1] << 8 | header[2]]
        xing = bytes(mark - 4) + b"Xing" + XING_FRAMES.to_bytes(4, "big") + count
        return Part(((header + xing).ljust(length, b"\0"), *self.runs))


def mp3_layout(file: BinaryIO) -> Layout | None:
    """How an MP3 file is to be read, so that all its frames are; None if it holds none that can be counted.

    Args:
        file: It is sought in.
    """
    scan = _Scan(file)
    streams = scan.streams()
    if not streams:
        return None
    told = streams[0].told
    # Some encoders count the frame that tells.
    as_told = (told is not None and told - streams[0].frames in (0, 1)) or not _is_layer_3(streams[0].kind)
    missing = any(one.told is not None and one.told > one.frames + 1 for one in streams)
    if as_told and len(streams) == 1 and len(streams[0].runs) == 1 and scan.first in (0, scan.first_tag):
        return Layout(incomplete=missing or scan.cut)
    return Layout(tuple(one.part() for one in streams), missing or scan.cut)


def after_tags(head: bytes) -> int:
    """Where an ID3v2 or APEv2 tag at the beginning of some bytes ends; 0 if there is none."""
    if head[:3] == b"ID3" and len(head) >= 10:
        # The size of the tag is in four times seven bits: id3.org/id3v2.4.0-structure.
        size = sum((byte & 0x7F) << 7 * (3 - index) for index, byte in enumerate(head[6:10]))
        return 10 + size + (10 if head[5] & 0x10 else 0)
    if head[:8] == b"APETAGEX" and len(head) >= 32:
        return 32 + int.from_bytes(head[12:16], "little")
    return 0


class _Scan:
    """Goes through a file from frame to frame.

    Attributes:
        first: Where the first frame lies.
        first_tag: Where a tag at the beginning ends.
        cut: Whether the last frame is not there to its end.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._buffer = b""
        self._begin = 0  # of the buffer, in the file
        self.first = 0
        head = self._at(0, 32)
        self.first_tag = after_tags(head) if head[:3] == b"ID3" else 0  # libsndfile knows no others
        self.cut = False

    def streams(self) -> list[_Stream]:
        """All frames, in streams of one kind each."""
        position = 0
        while length := after_tags(self._at(position, 32)):
            position += length
        if self._sure(position) is None:
            # There may be zeros, or anything, before the first frame, and a tag may tell a wrong size.
            begin = position if position < self._size else 10
            found = self._next_sure(begin, SOUGHT_WITHIN)
            if found is None and begin > 10:
                found = self._next_sure(10, SOUGHT_WITHIN)
            if found is None:
                return []
            position = found
        self.first = position
        found_streams: list[_Stream] = []
        while position < self._size:
            kind = self._sure(position)
            if kind is None:
                after = self._next_sure(position + 1, self._size)
                if after is None:
                    break
                self.cut = False
                position = after
                continue
            if not found_streams or found_streams[-1].kind != kind or self._tells(position, kind):
                found_streams.append(_Stream(kind))
                if self._tells(position, kind):
                    header = self._at(position, 4)
                    length = _frame_lengths()[header[1] << 8 | header[2]]
                    found_streams[-1].info = self._at(position, length)
                    position += length
            frames, past = self._run(position, kind)
            if frames:
                found_streams[-1].frames += frames
                found_streams[-1].runs.append(range(position, past))
            position = past
        return [one for one in found_streams if one.frames]

    def _at(self, position: int, length: int) -> bytes:
        """Some bytes; fewer at the end of the file."""
        first = position - self._begin
        if first < 0 or first + length > len(self._buffer):
            self._file.seek(position)
            self._buffer, self._begin, first = self._file.read(max(READ_AT_ONCE, length)), position, 0
        return self._buffer[first : first + length]

    def _tells(self, position: int, kind: Kind) -> bool:
        """Whether a frame tells of the others, and is none of sound."""
        frame = self._at(position, 64)
        mark = 4 + _side_information(kind)
        return _is_layer_3(kind) and (frame[mark : mark + 4] in MARKS or frame[VBRI_AT : VBRI_AT + 4] == b"VBRI")

    def _sure(self, position: int) -> Kind | None:
        """The kind of the frames that follow on each other from a place on; None if there are not some of one kind."""
        kind = None
        for number in range(SURE_FRAMES):
            header = self._at(position, 4)
            if len(header) < 4:
                return kind if position == self._size else None
            length = _frame_lengths().get(header[1] << 8 | header[2]) if header[0] == 0xFF else None
            if length is None or kind not in (None, _kind(header)):
                # At its end, a stream has fewer; a tag may come behind.
                at_end = number > 0 and header[:3] in (b"TAG", b"APE", b"ID3")
                return kind if at_end else None
            kind = _kind(header)
            position += length
            if position > self._size:
                return kind if number > 0 else None
        return kind

    def _next_sure(self, position: int, within: int) -> int | None:
        """The next place from which frames follow on each other."""
        end = min(self._size, position + within)
        while position < end:
            block = self._at(position, READ_AT_ONCE)
            at = block.find(b"\xff")
            while 0 <= at < len(block) - 2 and position + at < end:
                if (block[at + 1] << 8 | block[at + 2]) in _frame_lengths() and self._sure(position + at) is not None:
                    return position + at
                at = block.find(b"\xff", at + 1)
            if position + len(block) >= self._size:
                return None
            position += max(1, len(block) - 2)
        return None

    def _run(self, position: int, kind: Kind) -> tuple[int, int]:
        """How many frames of a kind follow on each other, up to the next that tells of others; and where they end."""
        lengths = _lengths_of(kind)
        mark = 4 + _side_information(kind)
        is_layer_3 = _is_layer_3(kind)
        mono = kind[2]
        frames = 0
        while True:
            self._at(position, LONGEST_FRAME)
            buffer, index = self._buffer, position - self._begin
            last = len(buffer) - LONGEST_FRAME if self._begin + len(buffer) < self._size else len(buffer) - 4
            while index <= last:
                length = lengths.get(buffer[index + 1] << 8 | buffer[index + 2]) if buffer[index] == 0xFF else None
                if length is None or (buffer[index + 3] >= 0xC0) != mono:
                    return frames, self._begin + index
                if is_layer_3 and (
                    buffer.startswith(MARKS, index + mark) or buffer.startswith(b"VBRI", index + VBRI_AT)
                ):
                    return frames, self._begin + index
                if index + length > len(buffer):
                    self.cut = True
                    return frames, self._begin + index
                frames += 1
                index += length
            position = self._begin + index
            if position + 4 > self._size:
                return frames, position
