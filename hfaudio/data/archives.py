"""Unpacking archives of recordings, which may come from anyone, into a cache folder."""

import contextlib
import errno
import gzip
import hashlib
import logging
import math
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from hfaudio.data.archive_cache import claim, make_room, release, temporary_name
from hfaudio.data.errors import DataError
from hfaudio.data.sealed_file import folder_digest

__all__ = ["ARCHIVE_ENDINGS", "is_archive", "unpack_archive"]

logger = logging.getLogger(__name__)

ARCHIVE_ENDINGS = (".zip", ".tar.gz", ".tgz")

# What is both larger than this and many times as large as its archive fills disks; only digital silence packs so well.
_LARGE_BYTES = 2**30
_LARGE_RATIO = 20

_BLOCK_BYTES = 2**18
_MAX_HEADER_BYTES = 2**20
# Removing a tree takes an open file and a stack frame for each level of it.
_MAX_DEPTH = 100
_UNSAFE_NAME = re.compile(
    r"""^/                # an absolute path
    | (^|/)\.\.(/|$)      # a way out
    | (^|/)[A-Za-z]:      # a drive of Windows
    | [\\]                # the separator of Windows
    | [\0\ud800-\udfff]   # not text in UTF-8, which tables of file names are written in
    """,
    re.VERBOSE,
)
# What the standard library raises on bytes that make no sense to it.
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError, ValueError)


class _Entry(NamedTuple):
    name: str
    size: int  # What the header says.
    is_plain: bool  # A file or a folder.
    source: IO[bytes] | None  # The bytes of a file.


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Tells from its ending, in any case, whether a path is that of an archive."""
    return os.fspath(path).lower().endswith(ARCHIVE_ENDINGS)


def unpack_archive(
    path: str | os.PathLike[str],
    into: str | os.PathLike[str],
    max_bytes: int = 64 * 2**30,
    max_files: int = 2_000_000,
    allow_large_archives: bool = False,
) -> Path:
    """Unpacks a zip or gzipped tar archive, once: a second call with the same content returns the same folder.

    That folder appears all at once or not at all, and several processes may unpack the same archive at the same time.
    If files in it are missing or have changed since, it is made anew, which is said.
    The cache is bounded, see `make_room`; the folder stays in it at least as long as this process lives. What macOS
    adds (`__MACOSX`, `.DS_Store`, `._*`) is left out, permissions are not taken over, archives within the archive are
    not unpacked, and an archive that could write anything but new files and folders below its own folder is refused.

    Args:
        path: The archive. Its content, not its ending, says of which kind it is.
        into: Cache folder, in which each archive gets a sub-folder named by the SHA-256 of its content.
        max_bytes: Most bytes that the files may come to, as they are written.
        max_files: Most entries of the archive, with the folders that they imply. Neither limit is for a folder that
            is there already.
        allow_large_archives: Also unpack more than a GiB that is more than 20 times the size of its archive.

    Returns:
        The folder in which the data lie: where there is nothing but one folder, that one, at any depth.

    Raises:
        DataError: There is no such archive, it is broken, encrypted, unsafe or too large, or the disk is full.
    """
    path, into = Path(path), Path(into)
    if not path.is_file():
        found = "a folder" if path.exists() else "nothing"
        raise DataError(f"Expected an archive at {path}, found {found}; check --dataset.")
    with path.open("rb") as archive:
        target = into / hashlib.file_digest(archive, "sha256").hexdigest()
        seal = target.with_suffix(".contents")
        large = math.inf if allow_large_archives else max(_LARGE_BYTES, _LARGE_RATIO * path.stat().st_size)
        if claim(target) and not _is_whole(target, seal):
            logger.warning("Unpacking %s anew: files in %s are missing or have changed", path.name, target)
            release(target)
            _remove(target)
        while not claim(target):
            unfinished = into / temporary_name(target.name)
            unfinished.mkdir(parents=True)
            if not claim(unfinished):  # another process took it for a dead one's
                continue
            make_room(into)
            try:
                _unpack(archive, unfinished, max_bytes, max_files, large)
                partial = unfinished.with_suffix(".contents")
                partial.write_text(folder_digest(unfinished), encoding="ascii")
                os.replace(partial, seal)
                os.replace(unfinished, target)
            except OSError:
                # Another process may have put the same files in place meanwhile; a folder with files is not replaced.
                if not target.is_dir():
                    raise
            finally:
                release(unfinished)
                shutil.rmtree(unfinished, ignore_errors=True)
            if claim(target):
                make_room(into)
    return _data_folder(target)


def _is_whole(folder: Path, seal: Path) -> bool:
    """Whether an unpacked archive is as it was; what cleans up caches removes single files."""
    try:
        return seal.read_text(encoding="ascii", errors="replace") == folder_digest(folder)
    except OSError:
        return False


def _remove(folder: Path) -> None:
    """Removes a folder so that nobody finds half of it."""
    gone = folder.with_name(temporary_name(folder.name))
    with contextlib.suppress(FileNotFoundError):  # another process has removed it
        os.replace(folder, gone)
    shutil.rmtree(gone, ignore_errors=True)


def _data_folder(folder: Path) -> Path:
    while True:
        # The Finder leaves its files in the cache, too.
        children = [child for child in folder.iterdir() if not _is_junk(child.name)]
        if len(children) != 1 or not children[0].is_dir():
            return folder
        folder = children[0]


def _is_junk(name: str) -> bool:
    return name in ("__MACOSX", ".DS_Store") or name.startswith("._")


def _unpack(archive: BinaryIO, folder: Path, max_bytes: int, max_files: int, large: float) -> None:
    byte_count = file_count = 0
    try:
        for entry in _read_entries(archive):
            parts = _checked_parts(entry, archive.name)
            junk = any(map(_is_junk, parts))
            target = folder.joinpath(*parts)
            try:
                implied = [] if junk else list(takewhile(lambda parent: not parent.is_dir(), target.parents))
                file_count += 1 + len(implied)
                if file_count > max_files:
                    raise _too_large(archive.name, f"{max_files:,} files and folders")
                for parent in reversed(implied):
                    parent.mkdir()
                if entry.source is not None:
                    # Junk is read as well: what is skipped in a tar archive takes as long, and may be a bomb.
                    with entry.source, open(os.devnull, "wb") if junk else open(target, "xb") as file:
                        while block := entry.source.read(_BLOCK_BYTES):
                            byte_count += len(block)
                            if byte_count > max_bytes:
                                raise _too_large(archive.name, f"{max_bytes:,} bytes")
                            if byte_count > large:
                                raise DataError(
                                    f"Expected {archive.name} to unpack to at most {_LARGE_RATIO} times its size or "
                                    f"{_LARGE_BYTES:,} bytes, found more, as in archives made to fill a disk; if you "
                                    "trust it (digital silence packs so well), give --allow_large_archives."
                                )
                            file.write(block)
                elif not junk:
                    target.mkdir(exist_ok=True)
            except OSError as error:
                _explain(error, entry, archive, folder.parent)
                raise
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(
            f"Expected a whole zip or gzipped tar archive at {archive.name}, found one that cannot be read "
            f"({str(error) or 'it ends too soon'}); download it or pack the files again."
        ) from error


def _checked_parts(entry: _Entry, archive: str) -> list[str]:
    parts = entry.name.split("/")
    if _UNSAFE_NAME.search(entry.name) or len(parts) > _MAX_DEPTH:
        raise DataError(
            f"Expected paths below one folder in {archive}, in UTF-8, with forward slashes and at most {_MAX_DEPTH} "
            f"levels, found {entry.name[:200]!r}; pack the files again."
        )
    if not entry.is_plain:
        raise DataError(
            f"Expected only files and folders in {archive}, found {entry.name[:200]!r}, which is a link, a device or "
            "a file with holes; pack the files themselves."
        )
    return parts


def _too_large(archive: str, limit: str) -> DataError:
    return DataError(
        f"Expected {archive} to unpack to at most {limit}, found more; if you trust it, unpack it yourself and give "
        "the folder."
    )


def _explain(error: OSError, entry: _Entry, archive: BinaryIO, cache: Path) -> None:
    """Raises a DataError where the user can do something about an entry that could not be written."""
    if error.errno in (errno.EEXIST, errno.ENAMETOOLONG):
        raise DataError(
            f"Expected every entry of {archive.name} to have a name of its own that the disk allows, found "
            f"{entry.name[:200]!r} ({error.strerror}); rename it and pack the files again."
        ) from error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = sum(entry.size for entry in _read_entries(archive))
        raise DataError(
            f"Expected room for the {needed:,} bytes of {archive.name} in {cache}, found the disk full; free some or "
            "move the cache elsewhere."
        ) from error


def _read_entries(archive: BinaryIO) -> Iterator[_Entry]:
    archive.seek(0)
    is_gzip = archive.read(2) == b"\x1f\x8b"
    archive.seek(0)
    return _read_tar(archive) if is_gzip else _read_zip(archive)


def _read_zip(archive: BinaryIO) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            name = _zip_name(info)
            if info.flag_bits & 0x1:
                raise DataError(
                    f"Expected {archive.name} to need no password, found {name[:200]!r} encrypted; pack the files "
                    "again without one."
                )
            # The other methods that `zipfile` knows unpack a whole block at a time, of whatever size.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(
                    f"Expected files that are stored or deflated in {archive.name}, found {name[:200]!r} compressed "
                    f"by method {info.compress_type}; pack the files again with the usual settings."
                )
            if info.header_offset < 0:
                raise zipfile.BadZipFile("Its start is missing")
            # Zero where the archive was made by a system without these types.
            file_type = stat.S_IFMT(info.external_attr >> 16)
            is_folder = name.endswith("/") or file_type == stat.S_IFDIR
            is_plain = file_type in (0, stat.S_IFREG, stat.S_IFDIR)
            yield _Entry(name, info.file_size, is_plain, None if is_folder else file.open(info))


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name of an entry; macOS writes UTF-8 without the flag for it, and `zipfile` takes that for code page 437."""
    if not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            return info.filename.encode("cp437").decode("utf-8")
    return info.filename


def _read_tar(archive: BinaryIO) -> Iterator[_Entry]:
    with (
        _BoundedGzip(fileobj=archive) as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictHeader, encoding="utf-8") as file,
    ):
        while (member := file.next()) is not None:
            file.members.clear()  # type: ignore[attr-defined]  # They would pile up: a million take a gigabyte.
            is_file = member.isreg() and not member.issparse()
            stream.left = _MAX_HEADER_BYTES + (member.size if is_file else 0)
            source = file.extractfile(member) if is_file else None
            yield _Entry(member.name, member.size, is_file or member.isdir(), source)
        # The checksum comes at the end of the stream, after the padding of the tar archive.
        while stream.read(_BLOCK_BYTES):
            pass


class _BoundedGzip(gzip.GzipFile):
    """A stream that ends in an error after `left` bytes: `tarfile` reads a header whole, however long it may be.

    `tarfile` also reads gzip, but checks no checksum and takes one that was cut for complete.
    """

    left = _MAX_HEADER_BYTES

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.left -= len(data)
        if self.left < 0:
            raise tarfile.ReadError(f"more than {_MAX_HEADER_BYTES:,} bytes of headers")
        return data


class _StrictHeader(tarfile.TarInfo):
    """A header that `tarfile` does not take for the end of the archive when it is damaged or missing."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_StrictHeader":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise
            raise tarfile.ReadError(str(error)) from error
