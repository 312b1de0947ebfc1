"""What recordings have in common: copies, near-duplicates and sources, and whether folds share them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import datasets
import numpy as np

from hfaudio.data.fingerprints import alike_groups_of, fingerprints_of

__all__ = [
    "Copies",
    "FoldPair",
    "NearDuplicates",
    "Overlaps",
    "Place",
    "SharedGroup",
    "find_overlaps",
    "natural_order",
]

COMPARED_AT_MOST = 500  # recordings of a group, to find how similar the most similar two are
FOLDS_AT_MOST = 50  # whose pairs are listed; of more there would be too many


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
class NearDuplicates:
    """Different waveforms that sound the same, directly or through others of the group.

    Attributes:
        recordings: At least two; copies count once.
        similarity: The highest cosine of two of their fingerprints, at most 1; of many the first are compared.
        labels_differ: Not all have the same classes.
        folds_differ: They stand in different folds.
        groups_differ: They are of different sources, as far as these are known.
    """

    recordings: tuple[Place, ...]
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
        near_duplicates: Groups of waveforms that sound the same, with some in each.
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
        near_duplicates: Groups, those that matter most first: labelled differently, in different folds, of different
            sources.
        shared_groups: Sources that stand in several folds.
        fold_pairs: The folds that share anything; where there are more than `FOLDS_AT_MOST`, those that share most.
    """

    folds: dict[str, int]
    groups: int
    with_siblings: float
    copies: tuple[Copies, ...]
    near_duplicates: tuple[NearDuplicates, ...]
    shared_groups: tuple[SharedGroup, ...]
    fold_pairs: tuple[FoldPair, ...]

    @property
    def folds_leak(self) -> bool:
        """Whether a source or a copy stands in two folds, which a split by folds refuses."""
        return bool(self.shared_groups) or any(own.folds_differ for own in self.copies)

    @property
    def folds_share(self) -> bool:
        """Whether a source, a copy or a near-duplicate stands in two folds."""
        return self.folds_leak or any(own.folds_differ for own in self.near_duplicates)


def find_overlaps(dataset: datasets.Dataset) -> Overlaps:
    """Finds what recordings share with each other.

    Args:
        dataset: Of a `PreparedAudio`.
    """
    places = list(_places(dataset))
    contents: dict[str, list[int]] = defaultdict(list)
    for index, content in enumerate(dataset["content_hash"][:]):
        contents[content].append(index)
    copies = list(contents.values())
    alike = _alike(alike_groups_of(dataset), copies)
    siblings = Counter(place.group for place in places if place.group is not None)
    folds = Counter(place.fold for place in places if place.fold is not None)
    shared = _shared_groups(places)
    return Overlaps(
        folds={fold: folds[fold] for fold in sorted(folds, key=natural_order)},
        groups=len(siblings),
        with_siblings=sum(count for count in siblings.values() if count > 1) / len(places),
        copies=_copies(places, copies),
        near_duplicates=_near_duplicates(places, alike, fingerprints_of(dataset)),
        shared_groups=shared,
        fold_pairs=tuple(_fold_pairs(places, copies, alike, shared)),
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


def _alike(groups: np.ndarray, copies: Iterable[Sequence[int]]) -> list[list[list[int]]]:
    """The groups of several waveforms that sound alike; of each waveform all copies, as indices of recordings."""
    found: dict[int, list[list[int]]] = defaultdict(list)
    for own in copies:
        found[int(groups[own[0]])].append(list(own))
    return [waveforms for waveforms in found.values() if len(waveforms) > 1]


def _near_duplicates(
    places: Sequence[Place], alike: Iterable[Sequence[Sequence[int]]], fingerprints: np.ndarray
) -> tuple[NearDuplicates, ...]:
    found = []
    for waveforms in alike:
        firsts = [own[0] for own in waveforms]
        recordings = [places[index] for index in firsts]
        compared = fingerprints[firsts[:COMPARED_AT_MOST]].astype(np.float32)
        similarity = float(np.triu(compared @ compared.T, 1).max())
        found.append(
            NearDuplicates(
                tuple(recordings),
                min(1.0, round(similarity, 3)),
                labels_differ=len({frozenset(place.labels) for place in recordings}) > 1,
                folds_differ=len({place.fold for place in recordings} - {None}) > 1,
                groups_differ=len({place.group for place in recordings} - {None}) > 1,
            )
        )
    found.sort(key=lambda own: (not own.labels_differ, not own.folds_differ, not own.groups_differ, -own.similarity))
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
    copies: Iterable[Sequence[int]],
    alike: Iterable[Sequence[Sequence[int]]],
    shared: Iterable[SharedGroup],
) -> Iterator[FoldPair]:
    of_copies = [folds for own in copies if len(folds := _folds(places, own)) > 1]
    # Of each group the waveforms that each fold holds.
    of_alike = []
    for waveforms in alike:
        holding: dict[str, set[int]] = defaultdict(set)
        for waveform, own in enumerate(waveforms):
            for fold in _folds(places, own):
                holding[fold].add(waveform)
        of_alike.append(holding)
    sharing = Counter(fold for group in shared for fold in group.folds)
    sharing.update(fold for folds in of_copies for fold in folds)
    sharing.update(fold for holding in of_alike if len(holding) > 1 for fold in holding)
    listed = {fold for fold, _ in sharing.most_common(FOLDS_AT_MOST)}

    def pairs(folds: Iterable[str]) -> Iterator[tuple[str, str]]:
        return combinations(sorted(listed.intersection(folds), key=natural_order), 2)

    groups = Counter(pair for group in shared for pair in pairs(group.folds))
    copied = Counter(pair for folds in of_copies for pair in pairs(folds))
    near_duplicates = Counter(
        (one, other)
        for holding in of_alike
        for one, other in pairs(holding)
        if len(holding[one] | holding[other]) > 1  # else both hold copies of one
    )
    for one, other in sorted({*groups, *copied, *near_duplicates}, key=lambda pair: [*map(natural_order, pair)]):
        pair = (one, other)
        yield FoldPair(one, other, groups[pair], copied[pair], near_duplicates[pair])


def _folds(places: Sequence[Place], recordings: Iterable[int]) -> set[str]:
    return {fold for index in recordings if (fold := places[index].fold) is not None}
