"""Names of files in a message."""

from collections.abc import Sequence

__all__ = ["NAMED", "name_list"]

NAMED = 5


def name_list(names: Sequence[str]) -> str:
    r"""The first five names, and how many more there are; what a terminal would obey, such as a newline, is escaped.

    Args:
        names: In their order.

    Example:
        >>> print(name_list(["a", "b\n", "c", "d", "e", "f"]))
        a, b\n, c, d, e and 1 more
    """
    more = len(names) - NAMED
    return ", ".join(map(_one_line, names[:NAMED])) + (f" and {more:,} more" if more > 0 else "")


def _one_line(name: str) -> str:
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)
