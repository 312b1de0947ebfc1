"""Hashes of files and folders of the cache, so that damage shows when one is opened."""

import io
import os
from pathlib import Path

import pyarrow as pa
import xxhash

from hfaudio.regular_files import only_regular

__all__ = ["SealedFile", "folder_digest", "is_sealed"]

WRITTEN_AT_ONCE = 1 << 18  # bytes
READ_AT_ONCE = 1 << 20  # bytes
SEAL_BYTES = 16

_sealed: dict[Path, tuple[int, ...]] = {}  # what this process has found whole, and as it was then


class SealedFile(io.FileIO):
    """A file that is written in pieces, and hashed meanwhile.

    For a long write Linux takes large pages. A virtual machine may have given those back to its host, which takes time
    to fetch them again; for pieces it has small ones at hand.

    Arrow reads a stream up to its own end, and so does not see the seal behind it.
    """

    def write(self, data: "bytes | memoryview | pa.Buffer") -> int:
        """Writes all of the data."""
        if not hasattr(self, "_digest"):
            self._digest = xxhash.xxh3_128()
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):
            piece = view[written : written + WRITTEN_AT_ONCE]
            count = super().write(piece)
            self._digest.update(piece[:count])
            written += count
        return written

    def seal(self) -> None:
        """Writes the hash of everything before it: the file is whole."""
        super().write(self._digest.digest())


def is_sealed(path: Path) -> bool:
    """Whether a file is there and is what a `SealedFile` wrote to its end.

    It is read once in each process, and again when it has changed since.

    Args:
        path: Of the file.
    """
    try:
        state = _state(path)
        if _sealed.get(path) == state:
            return True
        digest, held = xxhash.xxh3_128(), b""
        with open(path, "rb", buffering=0, opener=only_regular) as file:
            left = os.fstat(file.fileno()).st_size - SEAL_BYTES
            buffer = memoryview(bytearray(READ_AT_ONCE))
            while left > 0 and (count := file.readinto(buffer[: min(left, READ_AT_ONCE)])):
                digest.update(buffer[:count])
                left -= count
            held = file.read(SEAL_BYTES)
    except OSError:
        return False
    if left or held != digest.digest():
        return False
    _sealed[path] = state
    return True


def folder_digest(folder: Path) -> str:
    """A hash of the names and contents of all files below a folder, in which nothing hidden counts."""
    digest = xxhash.xxh3_128()
    for directory, sub_folders, names in os.walk(folder):
        sub_folders[:] = sorted(name for name in sub_folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(directory, name)
            content = xxhash.xxh3_128()
            with path.open("rb") as file:
                while block := file.read(READ_AT_ONCE):
                    content.update(block)
            digest.update(f"{path.relative_to(folder)}\0{content.hexdigest()}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _state(path: Path) -> tuple[int, ...]:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
