"""Counting the frames in the packets of a Vorbis or Opus stream, whatever its pages tell."""

from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["Packets"]

CONTINUED = 0x01  # in the flags of a page: it begins within a packet
VORBIS, OPUS = b"\x01vorbis", b"OpusHead"
HEADERS = {VORBIS: 3, OPUS: 2}  # packets before the sound
OPUS_RATE = 48  # frames a millisecond
OPUS_MILLISECONDS = (*(10, 20, 40, 60) * 3, *(10, 20) * 2, *(2.5, 5, 10, 20) * 4)  # RFC 6716, section 3.1
LONGEST_OPUS = 120 * OPUS_RATE


@dataclass
class Packets:
    """The packets of one stream, from page to page.

    Attributes:
        headers: Those before the sound, of which the last may not be there to its end.
        beginnings: The first two bytes of each other, or what a page has of them.
    """

    headers: list[bytes] = field(default_factory=list)
    beginnings: list[bytes] = field(default_factory=list)
    _open: bool = False  # whether the last packet goes on with the next page
    _sounding: bool = False  # whether the headers are over

    def add_page(self, flags: int, lengths: bytes, body: bytes) -> None:
        """Takes in a page.

        Args:
            flags: Of its header.
            lengths: Of its segments; one below 255 ends a packet.
            body: What is behind them.
        """
        at, begins = 0, not (self._open and flags & CONTINUED)
        for length in lengths:
            if self._sounding or (begins and self._has_all_headers()):
                self._sounding = True
                if begins:
                    self.beginnings.append(body[at : at + 2])
            elif begins:
                self.headers.append(body[at : at + length])
            else:
                self.headers[-1] += body[at : at + length]
            at += length
            begins = length < 255
        self._open = not begins

    def _has_all_headers(self) -> bool:
        head = self.headers[0] if self.headers else b""
        return len(self.headers) == next((count for mark, count in HEADERS.items() if head.startswith(mark)), 1)

    @property
    def is_opus(self) -> bool:
        """Whether the first header is that of Opus."""
        return bool(self.headers) and self.headers[0].startswith(OPUS)

    def frames(self) -> tuple[int, int]:
        """How many frames the packets have, and how many of those the last page may leave out in good faith.

        Opus counts its frames at 48 kHz. Of what is neither Opus nor Vorbis there are none.
        """
        if self.is_opus:
            skipped = int.from_bytes(self.headers[0][10:12], "little")
            return sum(map(_opus_frames, self.beginnings)), skipped + LONGEST_OPUS
        sizes = _block_sizes(self.headers)
        if not sizes:
            return 0, 0
        # The first bit says that a packet is of sound; so many follow as the number of a mode takes.
        mask = (1 << (len(sizes) - 1).bit_length()) - 1
        modes = [one[0] >> 1 & mask for one in self.beginnings if one and not one[0] & 1]
        blocks = [sizes[mode] for mode in modes if mode < len(sizes)]
        # Half of each block overlaps with its neighbour.
        return sum(a + b for a, b in pairwise(blocks)) // 4, 2 * max(sizes)


def _opus_frames(beginning: bytes) -> int:
    if not beginning:
        return 0
    count = {0: 1, 3: beginning[1] & 0x3F if len(beginning) > 1 else 0}.get(beginning[0] & 3, 2)
    return int(count * OPUS_MILLISECONDS[beginning[0] >> 3] * OPUS_RATE)


def _block_sizes(headers: list[bytes]) -> list[int]:
    """The size of a block of each mode, in frames; none where they cannot be found.

    The modes are the last that the last header has. To come to them from its beginning, all of it must be understood;
    from its end, each is 41 bits: a mapping, 32 zeros and which of the two sizes (Vorbis I specification, 4.2.4).
    """
    if len(headers) < HEADERS[VORBIS] or len(headers[0]) < 29 or not headers[0].startswith(VORBIS):
        return []
    sizes = 1 << (headers[0][28] & 0x0F), 1 << (headers[0][28] >> 4)
    bits = int.from_bytes(headers[2][-512:], "little")  # 64 modes at most
    end = bits.bit_length() - 1  # the highest one only ends the header
    modes: list[int] = []
    found: list[int] = []
    while end >= 47 and len(modes) < 64:
        end -= 41
        mode = bits >> end & ((1 << 41) - 1)
        if mode >> 33 > 63 or mode >> 1 & 0xFFFFFFFF:
            break
        modes.insert(0, sizes[mode & 1])
        if (bits >> (end - 6) & 63) + 1 == len(modes):  # before them stands how many there are
            found = list(modes)
    return found
