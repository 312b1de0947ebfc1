"""Dividing recordings into training and evaluation."""

import logging
from collections.abc import Sequence

import datasets
import numpy as np

from hfaudio.data.errors import DataError, named
from hfaudio.data.fingerprints import alike_groups_of, fingerprints_of
from hfaudio.data.leakage import check_parts, connected_groups, warn_of_near_duplicates
from hfaudio.data.parts import part_kind
from hfaudio.data.stratification import deal_out

__all__ = [
    "divide",
    "given_test_parts",
    "make_folds",
    "split_by_folds",
    "split_by_groups",
    "split_randomly",
    "take_validation_part",
]

logger = logging.getLogger(__name__)


def split_by_folds(
    dataset: datasets.Dataset, eval_folds: Sequence[str], folds: Sequence[str | None] | None = None
) -> datasets.DatasetDict:
    """Holds out the recordings of some folds.

    Args:
        dataset: Of a `PreparedAudio`.
        eval_folds: The folds to evaluate on.
        folds: The fold of each recording, as of `make_folds`; None takes those that the data set gives.

    Returns:
        The parts `train` and `test`.

    Raises:
        DataError: A fold does not exist, a class is missing from what is left to train on, or a recording or a source
            stands on both sides.
    """
    folds = dataset["fold"][:] if folds is None else folds
    known = sorted({fold for fold in folds if fold is not None})
    if not known:
        raise DataError(
            "Expected recordings with a given fold, found none; name its column with --fold_column, or make folds "
            "with --num_folds."
        )
    unknown = [fold for fold in eval_folds if fold not in known]
    if unknown:
        raise DataError(f"Expected --eval_folds among {named(known)}, found {named(unknown)}.")
    return divide(dataset, np.array([fold in eval_folds for fold in folds]))


def given_test_parts(dataset: datasets.Dataset) -> list[str]:
    """The given parts to evaluate on, where the folds are named like `train` and `test`; else none."""
    parts = set(dataset["fold"])
    kinds = {part: part_kind(part) for part in parts if part is not None}
    if not set(kinds.values()) <= {"train", "validation", "test"}:
        return []
    test = {part for part, kind in kinds.items() if kind == "test"}
    test = test or {part for part, kind in kinds.items() if kind == "validation"}
    return sorted(test) if test < parts else []  # of a test part alone, some has to be trained on


def split_by_groups(dataset: datasets.Dataset, test_size: float, seed: int) -> datasets.DatasetDict:
    """Holds out whole groups at random, with the classes in proportion.

    Args:
        dataset: Of a `PreparedAudio`; a recording without a group is one of its own, and copies stay together.
        test_size: The share to hold out, in (0, 0.5].
        seed: Of the shuffling.

    Returns:
        The parts `train` and `test`; no group stands in both.

    Raises:
        DataError: There are too few groups, or a class is missing from what is left to train on.
    """
    groups = connected_groups(dataset["group"], dataset["content_hash"])
    return divide(dataset, _hold_out(_labels(dataset), groups, test_size, seed))


def split_randomly(dataset: datasets.Dataset, test_size: float, seed: int) -> datasets.DatasetDict:
    """Holds out recordings at random, with the classes in proportion; only copies stay together.

    Recordings cut from the same source may then stand on both sides and flatter the score: where the sources are
    known, take `split_by_groups`.

    Args:
        dataset: Of a `PreparedAudio`.
        test_size: The share to hold out, in (0, 0.5].
        seed: Of the shuffling.

    Returns:
        The parts `train` and `test`.

    Raises:
        DataError: A class has a single recording.
    """
    labels = _labels(dataset)
    names = _class_names(dataset)
    counts = np.bincount([label for own in labels for label in own], minlength=len(names))
    single = [name for name, count in zip(names, counts, strict=True) if count < 2]
    if single:
        raise DataError(
            f"Expected at least two recordings of every class, one to train and one to evaluate on, "
            f"found one of {named(single)}; add recordings or remove the class."
        )
    held_out = _hold_out(labels, connected_groups(dataset["content_hash"]), test_size, seed)
    return divide(dataset, held_out, groups_may_meet=True)


def make_folds(dataset: datasets.Dataset, num_folds: int, seed: int) -> list[str]:
    """Gives every recording a fold, `1` to `num_folds`: groups stay whole, classes in proportion.

    Args:
        dataset: Of a `PreparedAudio`; a recording without a group is one of its own, and copies stay together.
        num_folds: At least 2.
        seed: Of the shuffling.

    Returns:
        The fold of each recording, for `split_by_folds`.

    Raises:
        DataError: There are fewer groups than folds.
    """
    groups = connected_groups(dataset["group"], dataset["content_hash"])
    if not 2 <= num_folds <= len(set(groups.tolist())):
        raise DataError(
            f"Expected from 2 folds to as many as there are sources, {len(set(groups.tolist()))}, found {num_folds}; "
            "change --num_folds."
        )
    folds = deal_out(_labels(dataset), groups, [1.0 / num_folds] * num_folds, seed)
    return [str(fold + 1) for fold in folds.tolist()]


def take_validation_part(split: datasets.DatasetDict, size: float, seed: int) -> datasets.DatasetDict:
    """Takes whole groups from the part to train on, to evaluate on while training.

    Args:
        split: The parts `train` and `test`.
        size: The share of `train` to take, in (0, 0.5].
        seed: Of the shuffling.

    Returns:
        The parts `train`, `validation` and `test`.

    Raises:
        DataError: There are too few groups.
    """
    train = split["train"]
    groups = connected_groups(train["group"][:], train["content_hash"][:])
    taken = _hold_out(_labels(train), groups, size, seed)
    if not taken.any():
        raise DataError(
            f"Expected recordings for --validation_size {size:g}, found too few sources of each class; leave it out."
        )
    return datasets.DatasetDict(
        train=train.select(np.flatnonzero(~taken)), validation=train.select(np.flatnonzero(taken)), test=split["test"]
    )


def divide(dataset: datasets.Dataset, held_out: np.ndarray, groups_may_meet: bool = False) -> datasets.DatasetDict:
    """Makes the parts of a split, and makes sure that they do not meet.

    Args:
        dataset: Of a `PreparedAudio`.
        held_out: `(recordings,)`, whether each is to be evaluated on.
        groups_may_meet: Warn of groups on both sides, in place of an error.

    Returns:
        The parts `train` and `test`.

    Raises:
        DataError: One part is empty, a class is missing from what is left to train on, or a recording or a group
            stands on both sides.
    """
    names = _class_names(dataset)
    labels = _labels(dataset)
    trained, evaluated = _classes(labels, ~held_out), _classes(labels, held_out)
    missing = [name for index, name in enumerate(names) if index not in trained]
    if missing:
        raise DataError(
            f"Expected every class in the part to train on, found no {named(missing)}; "
            "hold out less or add recordings."
        )
    if not held_out.any():
        raise DataError(
            "Expected recordings to evaluate on, found none: they may all be of one source; hold out more or add "
            "recordings."
        )
    unseen = [name for index, name in enumerate(names) if index not in evaluated]
    if unseen:
        logger.warning("No recording of %s is held out: they will not be evaluated.", named(unseen))
    train, test = dataset.select(np.flatnonzero(~held_out)), dataset.select(np.flatnonzero(held_out))
    check_parts(train, test, groups_may_meet)
    if "waveform" in dataset.column_names:  # streamed recordings have none before they are needed
        alike = alike_groups_of(dataset)
        warn_of_near_duplicates(dataset["file_name"][:], fingerprints_of(dataset), alike, held_out)
    return datasets.DatasetDict({"train": train, "test": test})


def _hold_out(labels: Sequence[Sequence[int]], groups: np.ndarray, test_size: float, seed: int) -> np.ndarray:
    """Whether each recording is to be evaluated on; groups stay whole."""
    held_out: np.ndarray = deal_out(labels, groups, (1.0 - test_size, test_size), seed) == 1
    sizes = np.bincount(groups)
    # A group of several classes may have gone for one of them, and have been the only one of another.
    while lost := _classes(labels, held_out) - _classes(labels, ~held_out):
        label = min(lost)
        owners = [group for own, group in zip(labels, groups.tolist(), strict=True) if label in own]
        held_out &= groups != min(owners, key=lambda group: sizes[group])
    return held_out


def _classes(labels: Sequence[Sequence[int]], chosen: np.ndarray) -> set[int]:
    return {label for own, wanted in zip(labels, chosen.tolist(), strict=True) if wanted for label in own}


def _labels(dataset: datasets.Dataset) -> list[list[int]]:
    multi_label = not isinstance(dataset.features["label"], datasets.ClassLabel)
    return dataset["label"][:] if multi_label else [[label] for label in dataset["label"][:]]


def _class_names(dataset: datasets.Dataset) -> list[str]:
    feature = dataset.features["label"]
    return feature.names if isinstance(feature, datasets.ClassLabel) else feature.feature.names
