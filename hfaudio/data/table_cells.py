"""What the cells of a table say, whichever kind of file it came from."""

import math
from typing import Any

import datasets

from hfaudio.data.errors import DataError

__all__ = ["as_text", "class_label_names", "is_class_label", "name_of_span", "parse_span", "split_labels"]


def as_text(value: Any) -> str:
    """The text of a cell: none for None and NaN, and whole numbers without decimals."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # whole numbers of a column with gaps
    return str(value).strip()


def split_labels(value: Any, separator: str | None) -> tuple[str, ...]:
    """The classes in a cell: a list, or text with a separator; each once, without empty ones."""
    if isinstance(value, list):
        texts = [as_text(one) for one in value]
    else:
        texts = [part.strip() for part in as_text(value).split(separator)] if separator else [as_text(value)]
    return tuple(dict.fromkeys(text for text in texts if text))


def is_class_label(feature: object) -> bool:
    """Whether a column of a data set holds indices of classes, or lists of them."""
    return isinstance(getattr(feature, "feature", feature), datasets.ClassLabel)


def class_label_names(feature: Any, value: Any) -> Any:
    """The names of the classes whose indices a cell holds; none for -1, which the Hub writes where none is known."""
    if isinstance(value, list):
        return [class_label_names(feature.feature, one) for one in value]
    return None if value is None or value < 0 else feature.int2str(value)


def parse_span(start: str, end: str, place: str) -> tuple[float | None, float | None]:
    """Reads where a recording begins and ends in its file, in seconds; None where the text is empty.

    Args:
        start: A number, or nothing.
        end: A number, or nothing.
        place: Where they stand, for messages.

    Raises:
        DataError: One is no number of at least 0, or the end is not after the start.
    """
    first, past = (_parse_seconds(text, place) for text in (start, end))
    if past is not None and past <= (first or 0.0):
        raise DataError(f"Expected the end after the start in {place}, found {first or 0:g} s to {past:g} s; mend it.")
    return first, past


def _parse_seconds(text: str, place: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < math.inf:
        raise DataError(f"Expected seconds of at least 0 in {place}, found {text!r}; mend it.")
    return seconds


def name_of_span(file_name: str, start: float | None, end: float | None) -> str:
    """The name of a part of a file, as `a.wav#1.5-3`; of the whole, that of the file."""
    if start is None and end is None:
        return file_name
    return f"{file_name}#{start or 0:.10g}-{'' if end is None else format(end, '.10g')}"
