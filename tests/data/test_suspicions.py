from collections.abc import Sequence
from typing import Any

import datasets
import pytest

from hfaudio.data.suspicions import SUSPICION_KINDS, Suspicion, find_suspicions

FINE = {"truncated": False, "clipped": 0.0, "silence": 0.2, "seconds": 2.0, "label": 0}


def table(*rows: dict[str, object], names: Sequence[str] = ("cat", "dog")) -> datasets.Dataset:
    dataset = datasets.Dataset.from_list(
        [{**FINE, "file_name": f"{index}.wav", "content_hash": str(index), **row} for index, row in enumerate(rows)]
    )
    label: Any = datasets.ClassLabel(names=list(names))
    several = isinstance(dataset.features["label"], datasets.List)
    return dataset.cast_column("label", datasets.List(label) if several else label)


@pytest.mark.parametrize(
    ("row", "kind", "detail"),
    [
        ({"truncated": True}, "truncated", "read up to 2.00 s; its headers tell another length"),
        ({"clipped": 0.012}, "clipped", "1.2% of it stands at full scale"),
        ({"silence": 0.95}, "mostly silent", "95% of it lies below -60 dB"),
        ({"seconds": 0.05}, "very short", "0.050 s, where the median is 2.00 s"),
        ({"seconds": 0.19}, "very short", "0.190 s, where the median is 2.00 s"),
        ({"seconds": 20.1}, "very long", "20.1 s, where the median is 2.00 s"),
        ({"content_hash": "0"}, "duplicate", "of 0.wav"),
        ({"content_hash": "0", "label": 1}, "contradictory copy", "of 0.wav, but labelled otherwise"),
    ],
)
def test_what_is_odd_is_named(row: dict[str, object], kind: str, detail: str) -> None:
    assert kind in SUSPICION_KINDS
    assert find_suspicions(table({}, {}, row, {})) == [Suspicion("2.wav", kind, detail)]


@pytest.mark.parametrize("row", [{"clipped": 1e-3}, {"silence": 0.9}, {"seconds": 0.2}, {"seconds": 20.0}])
def test_what_is_within_bounds_is_not(row: dict[str, object]) -> None:
    assert find_suspicions(table({}, row, {})) == []


def test_very_short_ones_are_odd_even_where_all_are() -> None:
    suspicions = find_suspicions(table({"seconds": 0.05}, {"seconds": 0.05}, {"seconds": 0.3}))
    assert [(one.file_name, one.kind) for one in suspicions] == [("0.wav", "very short"), ("1.wav", "very short")]


def test_all_copies_are_of_the_first_one() -> None:
    suspicions = find_suspicions(table(*[{"content_hash": "same"}] * 3))
    assert [(one.file_name, one.detail) for one in suspicions] == [("1.wav", "of 0.wav"), ("2.wav", "of 0.wav")]


def test_labels_of_copies_may_be_lists() -> None:
    rows = [{"content_hash": "same", "label": label} for label in ([0, 1], [0, 1], [1])]
    assert [one.detail for one in find_suspicions(table(*rows))] == ["of 0.wav", "of 0.wav, but labelled otherwise"]


def test_one_recording_can_be_odd_in_several_ways() -> None:
    suspicions = find_suspicions(table({}, {}, {"truncated": True, "clipped": 0.5, "seconds": 0.01}))
    assert [one.kind for one in suspicions] == ["truncated", "clipped", "very short"]


def test_the_first_recording_stands_for_a_doubtful_class() -> None:
    rows = [{"label": label} for label in (0, 1, 1, 2)]
    assert find_suspicions(table(*rows, names=["Dog", "cat", "dog"])) == [
        Suspicion("3.wav", "doubtful class", "'dog' differs from 'Dog' in spelling alone; recordings of this class: 1")
    ]
    rows = [{"label": label} for label in ([0, 1], [2], [1, 2])]
    assert [one.file_name for one in find_suspicions(table(*rows, names=["a", "a|b", "b"]))] == ["0.wav"]
    assert find_suspicions(table({}, {}, names=["cat", "dog", "Dog"])) == []
