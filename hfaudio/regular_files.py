"""Opening files and nothing else: a pipe would be waited for without end, and a device read without end."""

import errno
import os
import stat

__all__ = ["NotRegularError", "only_regular"]

KINDS = {
    stat.S_IFIFO: "is a named pipe (FIFO), no file",
    stat.S_IFSOCK: "is a socket, no file",
    stat.S_IFCHR: "is a device, no file",
    stat.S_IFBLK: "is a device, no file",
}


class NotRegularError(OSError):
    """What a path leads to is neither a file nor a folder; `strerror` says what it is."""

    def __str__(self) -> str:
        return str(self.strerror)


def only_regular(path: str | bytes | os.PathLike[str], flags: int) -> int:
    """Opens a regular file, for `open(path, ..., opener=only_regular)`; what is none is not opened at all.

    Args:
        path: Of the file; links are followed.
        flags: Of `os.open`.

    Returns:
        The file descriptor.

    Raises:
        NotRegularError: It is a pipe, a socket or a device.
        OSError: It cannot be opened; a folder, as `open` has it.
    """
    _check(os.stat(path).st_mode, path)
    # Should it have become a pipe meanwhile, opening it does not wait for whoever writes.
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    try:
        _check(os.fstat(descriptor).st_mode, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check(mode: int, path: str | bytes | os.PathLike[str]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise NotRegularError(errno.EINVAL, KINDS.get(stat.S_IFMT(mode), "is no regular file"), path)
