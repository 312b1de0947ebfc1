"""A lock on a table, so that two runs do not write it at once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hfaudio.file_locks import is_at, take_lock
from hfaudio.inference.prediction_journal import JournalError

__all__ = ["only_run"]


@contextmanager
def only_run(path: Path, process: int = 0) -> Iterator[None]:
    """Holds a lock on a table; the system lets go of it when the process ends, however it ends.

    Args:
        path: Of the table.
        process: The index of this process in its run: each has a lock of its own.

    Raises:
        JournalError: Another run holds it, or nothing can be written there.
    """
    lock = path.with_name(f".{path.name}.lock-{process}")
    descriptor = _acquire(lock, path)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(lock: Path, path: Path) -> int:
    while True:
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        except OSError as error:
            raise JournalError(
                f"Expected to write {path}, found its folder unwritable ({error.strerror}); give another --output."
            ) from error
        try:
            take_lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise JournalError(
                    f"Expected no other run that writes {path}, found one at work; wait for it, or give another "
                    "--output."
                ) from error
            raise JournalError(
                f"Expected a file system that locks files for {path}, found none ({error.strerror}); give an --output "
                "on another."
            ) from error
        if is_at(descriptor, lock):
            return descriptor
        os.close(descriptor)  # whoever held it has removed the file meanwhile
