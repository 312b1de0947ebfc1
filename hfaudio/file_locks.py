"""Locks on open files and folders, which the system lets go of when their process ends, however it ends."""

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["HAS_LOCKS", "is_at", "let_go", "take_lock"]

HAS_LOCKS = fcntl is not None
"""Whether the system knows such locks. Where it does not, nobody is kept out."""


def take_lock(descriptor: int, shared: bool = False, wait: bool = False) -> None:
    """Locks what is open; does nothing where the system knows no locks.

    Args:
        descriptor: Of a file or a folder.
        shared: With others who lock it so, rather than alone.
        wait: Until it is free.

    Raises:
        BlockingIOError: Another process has locked it.
        OSError: The file system has no locks, as some of networks.
    """
    if fcntl is not None:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)


def let_go(descriptor: int) -> None:
    """Lets go of a lock, for forked processes too, which have the same open file.

    Raises:
        OSError: The file system has no locks.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_at(descriptor: int, path: Path) -> bool:
    """Whether what is open still lies at a path, and was not removed or exchanged before it could be locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
