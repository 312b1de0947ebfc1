"""What libsndfile is given in place of a file whose headers are wrong, or which is several files in one."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

__all__ = ["Layout", "Part", "Pieces"]


@dataclass(frozen=True, slots=True)
class Part:
    """A stream that libsndfile reads to its end.

    Attributes:
        pieces: Bytes, and ranges of bytes of the file, one after another; none for the file as it is.
        length_known: Whether its headers tell its length.
    """

    pieces: tuple[bytes | range, ...] = ()
    length_known: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is to be read.

    Attributes:
        parts: One after another.
        incomplete: Whether something is missing at the end of the file, or of a part.
    """

    parts: tuple[Part, ...] = (Part(),)
    incomplete: bool = False


class Pieces(io.RawIOBase):
    """A file made of bytes and of ranges of another file, which stays open and is sought in.

    Args:
        file: The other file.
        pieces: Bytes, and ranges of bytes of the file, one after another.
    """

    def __init__(self, file: BinaryIO, pieces: Sequence[bytes | range]) -> None:
        super().__init__()
        self._file = file
        self._pieces = [piece for piece in pieces if len(piece)]
        self._ends = list(accumulate(map(len, self._pieces)))
        self._position = 0

    def readable(self) -> bool:
        """Returns that it can be read."""
        return True

    def seekable(self) -> bool:
        """Returns that it can be sought in."""
        return True

    def tell(self) -> int:
        """Returns the position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a position and returns it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ends[-1] if self._ends else 0}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fills a buffer, across pieces, and returns how many bytes there were."""
        view = memoryview(buffer).cast("B")
        filled = 0
        index = bisect_right(self._ends, self._position)
        while filled < len(view) and index < len(self._pieces):
            piece = self._pieces[index]
            first = self._position - (self._ends[index] - len(piece))
            wanted = piece[first : first + len(view) - filled]
            if isinstance(wanted, bytes):
                content = wanted
            else:
                self._file.seek(wanted.start)
                content = self._file.read(len(wanted))
                if not content:
                    break
            view[filled : filled + len(content)] = content
            filled += len(content)
            self._position += len(content)
            index = bisect_right(self._ends, self._position)
        return filled
