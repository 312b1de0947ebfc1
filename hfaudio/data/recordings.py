"""What a source of recordings is turned into, before anything is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import datasets

__all__ = [
    "Columns",
    "EmbeddedAudio",
    "LeftOut",
    "Listing",
    "Recording",
]


@dataclass(frozen=True, slots=True)
class EmbeddedAudio:
    """The place of an encoded recording in a table.

    Attributes:
        table: Its column `audio` holds `bytes` and `path`.
        row: The index in it.
    """

    table: datasets.Dataset
    row: int

    def read(self) -> bytes | str:
        """The encoded bytes, or the path of the file where the table has no bytes."""
        audio: Mapping[str, Any] = self.table[self.row]["audio"] or {}
        return audio.get("bytes") or audio.get("path") or b""


@dataclass(frozen=True, slots=True)
class Recording:
    """One labelled recording.

    Attributes:
        file_name: Its name for people and tables, with forward slashes; unique in a listing.
        labels: Its classes: one, or any number in a multi-label data set.
        audio: The path of the file, or the place in a table.
        fold: The fold or part it was assigned to by whoever made the data set, if any.
        group: What must not be split between training and evaluation (a source, a speaker), if known.
        start: Where it begins in the file, in seconds; None for the file's beginning.
        end: Where it ends in the file, in seconds; None for the file's end.
    """

    file_name: str
    labels: tuple[str, ...]
    audio: str | EmbeddedAudio
    fold: str | None = None
    group: str | None = None
    start: float | None = None
    end: float | None = None

    def encoded(self) -> bytes | str:
        """The bytes of the file, or its path."""
        return self.audio.read() if isinstance(self.audio, EmbeddedAudio) else self.audio


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A recording that nothing can be learned from, and why."""

    file_name: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The recordings of a source, in a fixed order.

    Attributes:
        recordings: Those that exist.
        multi_label: Whether a recording can have any number of classes.
        left_out: Those that the source names but does not have.
        left_out_labels: The classes of these.
    """

    recordings: list[Recording]
    multi_label: bool = False
    left_out: list[LeftOut] = field(default_factory=list)
    left_out_labels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what; None takes the usual names.

    Attributes:
        file: The path of the file.
        label: The class, or the classes.
        fold: The given fold.
        group: The source or speaker.
        start: Where the recording begins in its file, in seconds.
        end: Where it ends, in seconds.
        label_separator: What separates several classes in one cell; given, the data set is multi-label.
        group_pattern: A regular expression over the file name, whose first group (or whole match) is the source.
    """

    file: str | None = None
    label: str | None = None
    fold: str | None = None
    group: str | None = None
    start: str | None = None
    end: str | None = None
    label_separator: str | None = None
    group_pattern: str | None = None
