"""Recordings that can be learned from, but that somebody should look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np

__all__ = ["SUSPICION_KINDS", "Suspicion", "find_suspicions"]

SUSPICION_KINDS = ("truncated", "clipped", "mostly silent", "very short", "very long", "duplicate")

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

    Args:
        dataset: Of a `PreparedAudio`.
    """
    columns = ["file_name", "truncated", "clipped", "silence", "seconds", "content_hash", "label"]
    table = dataset.select_columns(columns)[:]
    return [*_oddities(table), *_duplicates(table)]


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
            same = "" if table["label"][original] == table["label"][index] else ", but labelled otherwise"
            yield Suspicion(table["file_name"][index], "duplicate", f"of {table['file_name'][original]}{same}")
