"""What recordings have in common: copies, near-duplicates and sources, and whether folds share them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import datasets
import numpy as np

from hfaudio.data.fingerprints import fingerprints_of
from hfaudio.data.near_duplicates import near_duplicate_pairs

__all__ = ["Copies", "FoldPair", "NearDuplicate", "Overlaps", "Place", "SharedGroup", "find_overlaps", "natural_order"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recording stands.

    Attributes:
        file_name: The recording.
        labels: Its classes.
        fold: Its given fold, if any.
        group: Its source or speaker, if known.
    """

    file_name: str
    labels: tuple[str, ...]
    fold: str | None
    group: str | None


@dataclass(frozen=True, slots=True)
class Copies:
    """Recordings with the same waveform.

    Attributes:
        recordings: At least two.
        labels_differ: Not all have the same classes.
        folds_differ: They stand in different folds.
    """

    recordings: tuple[Place, ...]
    labels_differ: bool
    folds_differ: bool


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two different waveforms that sound the same.

    Attributes:
        one: The first recording.
        other: The second.
        similarity: The cosine of their fingerprints, at most 1.
        labels_differ: They have different classes.
        folds_differ: They stand in different folds.
        groups_differ: They are of different sources, both known.
    """

    one: Place
    other: Place
    similarity: float
    labels_differ: bool
    folds_differ: bool
    groups_differ: bool


@dataclass(frozen=True, slots=True)
class SharedGroup:
    """A source that stands in several folds.

    Attributes:
        group: The source.
        folds: How many of its recordings each fold holds.
    """

    group: str
    folds: dict[str, int]


@dataclass(frozen=True, slots=True)
class FoldPair:
    """What two folds share.

    Attributes:
        one: The first fold.
        other: The second.
        groups: Sources that stand in both.
        copies: Waveforms that stand in both.
        near_duplicates: Pairs of waveforms, one in each, that sound the same.
    """

    one: str
    other: str
    groups: int
    copies: int
    near_duplicates: int


@dataclass(frozen=True, slots=True)
class Overlaps:
    """What the recordings of a data set have in common.

    Attributes:
        folds: Recordings in each given fold, in natural order; empty where none are given.
        groups: Number of known sources.
        with_siblings: Share of the recordings whose source has another recording, from 0 to 1: those of which a random
            split can put the source on both sides.
        copies: Sets of recordings with the same waveform, those first that are labelled differently or stand in
            different folds.
        near_duplicates: Pairs, those that matter most first: labelled differently, in different folds, of different
            sources; copies count once.
        shared_groups: Sources that stand in several folds.
        fold_pairs: The folds that share anything.
    """

    folds: dict[str, int]
    groups: int
    with_siblings: float
    copies: tuple[Copies, ...]
    near_duplicates: tuple[NearDuplicate, ...]
    shared_groups: tuple[SharedGroup, ...]
    fold_pairs: tuple[FoldPair, ...]

    @property
    def folds_leak(self) -> bool:
        """Whether a source or a copy stands in two folds, which a split by folds refuses."""
        return any(pair.groups or pair.copies for pair in self.fold_pairs)


def find_overlaps(dataset: datasets.Dataset) -> Overlaps:
    """Finds what recordings share with each other.

    Args:
        dataset: Of a `PreparedAudio`.
    """
    places = list(_places(dataset))
    contents: dict[str, list[int]] = defaultdict(list)
    for index, content in enumerate(dataset["content_hash"][:]):
        contents[content].append(index)
    # Copies would multiply the pairs, and say nothing that their first does not.
    alike = list(contents.values())
    fingerprints = fingerprints_of(dataset)[[own[0] for own in alike]]
    pairs = near_duplicate_pairs(fingerprints)
    siblings = Counter(place.group for place in places if place.group is not None)
    folds = Counter(place.fold for place in places if place.fold is not None)
    shared = _shared_groups(places)
    return Overlaps(
        folds={fold: folds[fold] for fold in sorted(folds, key=natural_order)},
        groups=len(siblings),
        with_siblings=sum(count for count in siblings.values() if count > 1) / len(places),
        copies=_copies(places, alike),
        near_duplicates=_near_duplicates(places, alike, pairs, fingerprints),
        shared_groups=shared,
        fold_pairs=tuple(_fold_pairs(places, alike, pairs, shared)),
    )


def natural_order(text: str) -> tuple[bool, int, str]:
    """A key that sorts numbers by their value, before words."""
    number = text.isdecimal()
    return not number, int(text) if number else 0, text


def _places(dataset: datasets.Dataset) -> Iterator[Place]:
    feature = dataset.features["label"]
    single = isinstance(feature, datasets.ClassLabel)
    names = feature.names if single else feature.feature.names
    table = dataset.select_columns(["file_name", "label", "fold", "group"])[:]
    for file_name, label, fold, group in zip(*table.values(), strict=True):
        yield Place(file_name, tuple(names[index] for index in ([label] if single else label)), fold, group)


def _copies(places: Sequence[Place], alike: Iterable[Sequence[int]]) -> tuple[Copies, ...]:
    found = [
        Copies(
            tuple(places[index] for index in own),
            labels_differ=len({frozenset(places[index].labels) for index in own}) > 1,
            folds_differ=len({places[index].fold for index in own} - {None}) > 1,
        )
        for own in alike
        if len(own) > 1
    ]
    return tuple(sorted(found, key=lambda own: (not own.labels_differ, not own.folds_differ)))


def _near_duplicates(
    places: Sequence[Place], alike: Sequence[Sequence[int]], pairs: np.ndarray, fingerprints: np.ndarray
) -> tuple[NearDuplicate, ...]:
    found = []
    for row, column in pairs.tolist():
        one, other = places[alike[row][0]], places[alike[column][0]]
        similarity = float(fingerprints[row].astype(np.float32) @ fingerprints[column].astype(np.float32))
        found.append(
            NearDuplicate(
                one,
                other,
                min(1.0, round(similarity, 3)),
                labels_differ=set(one.labels) != set(other.labels),
                folds_differ=None not in (one.fold, other.fold) and one.fold != other.fold,
                groups_differ=None not in (one.group, other.group) and one.group != other.group,
            )
        )
    found.sort(
        key=lambda pair: (not pair.labels_differ, not pair.folds_differ, not pair.groups_differ, -pair.similarity)
    )
    return tuple(found)


def _shared_groups(places: Iterable[Place]) -> tuple[SharedGroup, ...]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for place in places:
        if place.group is not None and place.fold is not None:
            counts[place.group][place.fold] += 1
    return tuple(
        SharedGroup(group, {fold: folds[fold] for fold in sorted(folds, key=natural_order)})
        for group, folds in counts.items()
        if len(folds) > 1
    )


def _fold_pairs(
    places: Sequence[Place],
    alike: Sequence[Sequence[int]],
    pairs: np.ndarray,
    shared: Iterable[SharedGroup],
) -> Iterator[FoldPair]:
    folds_of = [{fold for index in own if (fold := places[index].fold) is not None} for own in alike]
    groups = Counter(pair for group in shared for pair in _fold_combinations(group.folds))
    copies = Counter(pair for folds in folds_of for pair in _fold_combinations(folds))
    near_duplicates: Counter[tuple[str, str]] = Counter()
    for row, column in pairs.tolist():
        across = {frozenset((one, other)) for one in folds_of[row] for other in folds_of[column] if one != other}
        near_duplicates.update(pair for folds in across for pair in _fold_combinations(folds))
    for one, other in sorted({*groups, *copies, *near_duplicates}, key=lambda pair: [*map(natural_order, pair)]):
        pair = (one, other)
        yield FoldPair(one, other, groups[pair], copies[pair], near_duplicates[pair])


def _fold_combinations(folds: Iterable[str]) -> Iterator[tuple[str, str]]:
    return combinations(sorted(folds, key=natural_order), 2)
