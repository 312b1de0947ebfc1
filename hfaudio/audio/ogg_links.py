"""The links of a chained Ogg file: several streams one after another, of which libsndfile reads the first."""

import os
import struct
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

from hfaudio.audio.ogg_packets import Packets
from hfaudio.audio.pieces import Layout, Part

__all__ = ["ogg_layout"]

READ_AT_ONCE = 1 << 18  # bytes
LONGEST_PAGE = 65_307
CAPTURE = b"OggS"
HEADER = struct.Struct("<4sxBqI4xI")  # capture, flags, granule position, serial number, checksum: RFC 3533, section 6
SEGMENTS_AT = 26
BEGIN_OF_STREAM = 0x02
CODECS = (
    b"\x01vorbis",
    b"OpusHead",
    b"\x7fFLAC",
    b"Speex   ",
)  # what the first packet of a stream of sound begins with
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
ENDLESS = 1 << 40  # frames, a year and more


@dataclass
class _Link:
    """Streams that begin together.

    Attributes:
        begin: Where it begins, in bytes.
        serial: Of the first stream of sound.
        last_page: Where the last page of that stream lies.
        last: The position that this page tells, in frames.
        largest: The largest that any tells.
        sounding: Whether pages came behind those with which streams begin.
        packets: Of that stream.
    """

    begin: int
    serial: int | None = None
    last_page: range = range(0)
    last: int = 0
    largest: int = 0
    sounding: bool = False
    packets: Packets = field(default_factory=Packets)


def ogg_layout(file: BinaryIO) -> Layout:
    """How an Ogg file is to be read, so that all its links are.

    Args:
        file: It begins with `OggS`, and is sought in.
    """
    size = file.seek(0, os.SEEK_END)
    links = _find_links(file, size)
    if not links:
        return Layout()
    ends = [link.begin for link in links[1:]] + [size]
    parts = tuple(_part(file, link, end) for link, end in zip(links, ends, strict=True))
    if len(parts) == 1 and parts[0].pieces == (range(size),):
        return Layout()
    return Layout(parts)


def _find_links(file: BinaryIO, size: int) -> list[_Link]:
    links: list[_Link] = []
    position, begin, buffer = 0, 0, b""
    while position < size:
        if position - begin + LONGEST_PAGE + len(CAPTURE) > len(buffer) and begin + len(buffer) < size:
            file.seek(position)
            buffer, begin = file.read(READ_AT_ONCE), position
        at = position - begin
        if buffer[at : at + 4] != CAPTURE:  # damage, or something between two files
            found = buffer.find(CAPTURE, at)
            position = begin + found if found >= 0 else begin + max(at + 1, len(buffer) - 3)
            continue
        if at + 27 > len(buffer):
            break
        _, flags, granule, serial, _ = HEADER.unpack_from(buffer, at)
        count = buffer[at + SEGMENTS_AT]
        body = at + 27 + count
        length = 27 + count + sum(buffer[at + 27 : body])
        if not buffer.startswith(CAPTURE, at + length) and position + length != size:
            # Not whole, or the last of several files: what comes next begins within it, or anywhere behind it.
            found = buffer.find(CAPTURE, at + 27, at + length)
            if found >= 0 or position + length > size:
                position = begin + found if found >= 0 else size
                continue
        if flags & BEGIN_OF_STREAM:
            if not links or links[-1].sounding:
                links.append(_Link(position))
            if links[-1].serial is None and buffer.startswith(CODECS, body):
                links[-1].serial = serial
        elif links:
            links[-1].sounding = True
        if links and serial == links[-1].serial:
            links[-1].last_page, links[-1].last = range(position, position + length), granule
            links[-1].largest = max(links[-1].largest, granule)
            links[-1].packets.add_page(flags, buffer[at + 27 : body], buffer[body : at + length])
        position += length
    return links


def _part(file: BinaryIO, link: _Link, end: int) -> Part:
    held, spared = link.packets.frames()
    told_all = link.last == link.largest and link.last > 0 and link.last + spared >= held
    if link.serial is None or not link.sounding or told_all:
        return Part((range(link.begin, end),))
    # The last page tells less than there is, of which libsndfile would read no more.
    file.seek(link.last_page.start)
    page = bytearray(file.read(len(link.last_page)))
    # Of Opus, the end of a single page tells where it begins, too.
    page[6:14] = (held if link.packets.is_opus and link.largest <= held else ENDLESS).to_bytes(8, "little")
    page[22:26] = bytes(4)
    page[22:26] = _checksum(page).to_bytes(4, "little")
    pieces = (range(link.begin, link.last_page.start), bytes(page), range(link.last_page.stop, end))
    return Part(pieces, length_known=False)


def _checksum(page: bytes | bytearray) -> int:
    """The checksum of a page: the usual polynomial, but over bits in the other order, and nothing inverted."""
    value = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2)
