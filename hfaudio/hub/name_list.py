"""Names of files in a message."""

from collections.abc import Sequence

from hfaudio.command_line import printable
from hfaudio.data.errors import named

__all__ = ["name_list"]


def name_list(names: Sequence[str]) -> str:
    r"""The first five names, and how many more there are; what a terminal would obey, such as a newline, is escaped.

    Args:
        names: In their order.

    Example:
        >>> print(name_list(["a", "b\n", "c", "d", "e", "f"]))
        a, b\n, c, d, e, and 1 more
    """
    return named(map(printable, names))
