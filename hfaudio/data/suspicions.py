"""Recordings that can be learned from, but that somebody should look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np

from hfaudio.data.class_names import ClassDoubt, doubtful_classes

__all__ = ["SUSPICION_KINDS", "Suspicion", "class_doubts", "find_suspicions"]

SUSPICION_KINDS = (
    "doubtful class",
    "truncated",
    "clipped",
    "mostly silent",
    "very short",
    "very long",
    "contradictory copy",
    "duplicate",
)

CLIPPED_SHARE = 1e-3
SILENT_SHARE = 0.9
SHORT_SECONDS = 0.1
OUTLIER_FACTOR = 10.0  # shorter or longer than the median by this


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What is odd about a recording.

    Attributes:
        file_name: The recording.
        kind: One of `SUSPICION_KINDS`.
        detail: A few words with the number that was measured.
    """

    file_name: str
    kind: str
    detail: str


def find_suspicions(dataset: datasets.Dataset) -> list[Suspicion]:
    """Finds recordings that are truncated, clipped, mostly silent, very short, very long, or the same as another.

    Of a class whose name is doubtful, the first recording stands for all.

    Args:
        dataset: Of a `PreparedAudio`.
    """
    columns = ["file_name", "truncated", "clipped", "silence", "seconds", "content_hash", "label"]
    table = dataset.select_columns(columns)[:]
    return [*_of_doubtful_classes(table, class_doubts(dataset)), *_oddities(table), *_duplicates(table)]


def class_doubts(dataset: datasets.Dataset) -> list[ClassDoubt]:
    """The classes whose names look like other classes, or like several; see `doubtful_classes`."""
    feature = dataset.features["label"]
    return doubtful_classes(getattr(feature, "feature", feature).names)


def _of_doubtful_classes(table: dict[str, list[Any]], doubts: Sequence[ClassDoubt]) -> Iterator[Suspicion]:
    for doubt in doubts:
        own = [
            name
            for name, label in zip(table["file_name"], table["label"], strict=True)
            if doubt.index in (label if isinstance(label, list) else [label])
        ]
        if own:
            yield Suspicion(own[0], "doubtful class", f"{doubt}; recordings of this class: {len(own):,}")


def _oddities(table: dict[str, list[Any]]) -> Iterator[Suspicion]:
    median = float(np.median(table["seconds"]))
    shortest, longest = max(SHORT_SECONDS, median / OUTLIER_FACTOR), median * OUTLIER_FACTOR
    for name, truncated, clipped, silence, seconds in zip(
        *(table[column] for column in ("file_name", "truncated", "clipped", "silence", "seconds")), strict=True
    ):
        if truncated:
            yield Suspicion(name, "truncated", f"read up to {seconds:.2f} s; its headers tell another length")
        if clipped > CLIPPED_SHARE:
            yield Suspicion(name, "clipped", f"{clipped:.1%} of it stands at full scale")
        if silence > SILENT_SHARE:
            yield Suspicion(name, "mostly silent", f"{silence:.0%} of it lies below -60 dB")
        if seconds < shortest:
            yield Suspicion(name, "very short", f"{seconds:.3f} s, where the median is {median:.2f} s")
        if seconds > longest:
            yield Suspicion(name, "very long", f"{seconds:.1f} s, where the median is {median:.2f} s")


def _duplicates(table: dict[str, list[Any]]) -> Iterator[Suspicion]:
    first: dict[str, int] = {}
    for index, content in enumerate(table["content_hash"]):
        original = first.setdefault(content, index)
        if original != index:
            same = table["label"][original] == table["label"][index]
            yield Suspicion(
                table["file_name"][index],
                "duplicate" if same else "contradictory copy",
                f"of {table['file_name'][original]}{'' if same else ', but labelled otherwise'}",
            )
