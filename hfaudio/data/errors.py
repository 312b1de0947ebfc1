"""What is raised when the user's data cannot be used, and how a message names many things."""

from collections.abc import Iterable

__all__ = ["NAMED_AT_MOST", "DataError", "named"]

NAMED_AT_MOST = 5  # files, classes or columns in a message


class DataError(ValueError):
    """A mistake in the user's data: one sentence that says what was expected, what was found and what to do."""


def named(names: Iterable[object]) -> str:
    """The first five of some names for a message, and how many more there are.

    Example:
        >>> named("abcdefg")
        'a, b, c, d, e, and 2 more'
    """
    texts = [str(name) for name in names]
    more = len(texts) - NAMED_AT_MOST
    return ", ".join(texts[:NAMED_AT_MOST]) + (f", and {more:,} more" if more > 0 else "")
