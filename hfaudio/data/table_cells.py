"""What the cells of a table say, whichever kind of file it came from."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import datasets

from hfaudio.data.errors import DataError, named

__all__ = [
    "as_text",
    "check_label_lists",
    "class_label_names",
    "is_class_label",
    "name_of_span",
    "parse_span",
    "split_labels",
]

ZERO_OR_ONE = frozenset({"0", "1"})


def as_text(value: Any) -> str:
    """The text of a cell: none for None and NaN, and whole numbers without decimals."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace").strip()
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


def check_label_lists(cells: Iterable[Any], separator: str | None, place: str, names: Sequence[str] = ()) -> None:
    """Makes sure that lists of labels name classes, and are neither places for each class nor shares of classes.

    Lists of 0 and 1 that are all of the same length have one place for each class (multi-hot). Which class has which
    place they do not say, and taken for names they would be two classes, `0` and `1`, of every recording. Lists of
    indices of declared classes are such places where they are as long as there are classes and one index repeats.

    Args:
        cells: Of the column of labels.
        separator: What separates several classes in text.
        place: Where they stand, for the message.
        names: The classes, where the cells hold indices of declared ones.

    Raises:
        DataError: They name no classes.
    """
    lengths: set[int] = set()
    values: set[str] = set()
    repeats = booleans = False
    for cell in cells:
        if isinstance(cell, dict) or (isinstance(cell, list) and any(isinstance(one, list | dict) for one in cell)):
            raise DataError(
                f"Expected a name or a list of names in {place}, found {str(cell)[:80]}; write the names of "
                "the classes."
            )
        if isinstance(cell, list):
            if any(isinstance(one, float) and not math.isnan(one) and not one.is_integer() for one in cell):
                raise DataError(
                    f"Expected names of classes in {place}, found numbers such as {str(cell)[:80]}; write the names "
                    "of the classes that each recording has."
                )
            booleans |= any(isinstance(one, bool) for one in cell)
            texts = [str(int(one)) if isinstance(one, bool) else as_text(one) for one in cell]
        elif text := as_text(cell):
            texts = [one.strip() for one in text.split(separator)] if separator and separator in text else []
        else:
            continue
        lengths.add(len(texts))
        repeats |= len(set(texts)) < len(texts)
        values.update(texts)
    values.discard("")
    length = max(lengths, default=0)
    places = len(lengths) == 1 and length > 1 and values <= ZERO_OR_ONE and bool(values)
    if booleans or (places and (not names or (repeats and length == len(names)))):
        raise DataError(
            f"Expected the names of classes in {place}, found lists of "
            f"{'true and false' if booleans else 'zeros and ones'}, one for each class; write the names in their "
            "place, such as [name for name, one in zip(names, row) if one]."
        )


def is_class_label(feature: object) -> bool:
    """Whether a column of a data set holds indices of classes, or lists of them."""
    return isinstance(getattr(feature, "feature", feature), datasets.ClassLabel)


def class_label_names(feature: Any, value: Any) -> Any:
    """The names of the classes whose indices a cell holds; none for -1, which the Hub writes where none is known."""
    if isinstance(value, list):
        return [class_label_names(feature.feature, one) for one in value]
    if value is not None and value >= feature.num_classes:
        raise DataError(
            f"Expected indices of the {feature.num_classes} declared classes ({named(feature.names)}), found {value}; "
            "declare them all."
        )
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
