"""The cache of unpacked archives: bounded, and shared by processes that must not lose what they use."""

import contextlib
import logging
import os
import re
import shutil
import uuid
from pathlib import Path

from hfaudio.data.errors import DataError
from hfaudio.file_locks import HAS_LOCKS, is_at, take_lock

__all__ = ["BOUND_VARIABLE", "claim", "make_room", "release", "temporary_name"]

logger = logging.getLogger(__name__)

CACHE_BYTES = 64 * 2**30
BOUND_VARIABLE = "HFAUDIO_ARCHIVE_CACHE_BYTES"
"""An environment variable with another bound."""
_FOLDER = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = re.compile(r"\.[0-9a-f]{64}-[0-9a-f]{32}")

_claimed: dict[str, int] = {}  # open descriptors of locked folders, which stay open as long as this process lives


def temporary_name(name: str) -> str:
    """A name for a folder of the cache that is not finished, or about to be removed."""
    return f".{name}-{uuid.uuid4().hex}"


def claim(folder: Path) -> bool:
    """Keeps a folder from being removed for as long as this process lives, and notes that it was used.

    Returns:
        Whether it is there.
    """
    if not HAS_LOCKS:
        return folder.is_dir()
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    # Without locks no folders are removed, either.
    with contextlib.suppress(OSError):
        take_lock(descriptor, shared=True, wait=True)
    if not is_at(descriptor, folder):  # it was removed before it could be locked
        os.close(descriptor)
        return False
    with contextlib.suppress(PermissionError):  # somebody else's cache may be read
        os.utime(folder)
    earlier = _claimed.pop(str(folder), None)
    _claimed[str(folder)] = descriptor
    if earlier is not None:
        os.close(earlier)
    return True


def release(folder: Path) -> None:
    """Ends a claim."""
    descriptor = _claimed.pop(str(folder), None)
    if descriptor is not None:
        os.close(descriptor)


def make_room(cache: Path) -> None:
    """Removes the folders that were used least recently, until the rest is within the bound, and says so.

    What killed processes left unfinished goes as well. A folder that any process has claimed stays.

    Args:
        cache: The folder of the folders.

    Raises:
        DataError: `HFAUDIO_ARCHIVE_CACHE_BYTES` is no number.
    """
    bound = _bound()
    folders = []
    for entry in os.scandir(cache):
        if _TEMPORARY.fullmatch(entry.name):
            _remove_unclaimed(Path(entry.path))
        elif _FOLDER.fullmatch(entry.name):
            folders.append(Path(entry.path))
    kept = 0
    for folder in sorted(folders, key=_last_use, reverse=True):
        size = _size(folder)
        kept += size
        if kept > bound and _remove_unclaimed(folder):
            kept -= size
            logger.warning(
                "Removed an unpacked archive of %.3g GiB, used least recently, from %s, which may hold %.3g GiB (%s)",
                size / 2**30,
                cache,
                bound / 2**30,
                BOUND_VARIABLE,
            )


def _bound() -> int:
    text = os.environ.get(BOUND_VARIABLE, str(CACHE_BYTES))
    if not text.isdecimal():
        raise DataError(f"Expected a number of bytes in {BOUND_VARIABLE}, found {text!r}; change or unset it.")
    return int(text)


def _remove_unclaimed(folder: Path) -> bool:
    if not HAS_LOCKS:
        return False
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # another process has removed it, or it is another user's
        return False
    try:
        take_lock(descriptor)
        doomed = folder
        if is_at(descriptor, folder):
            name = folder.name if _FOLDER.fullmatch(folder.name) else folder.name[1:65]
            doomed = folder.with_name(temporary_name(name))
            os.replace(folder, doomed)  # at once, so that nobody finds it half removed
            shutil.rmtree(doomed, ignore_errors=True)
    except OSError:  # claimed by a process, or another user's
        return False
    finally:
        os.close(descriptor)
    return not doomed.exists()


def _last_use(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(folder: Path) -> int:
    """Bytes of all files, however long headers said that they are."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # another process removes the folder
                total += os.lstat(os.path.join(directory, name)).st_size
    return total
