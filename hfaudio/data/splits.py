"""Dividing recordings into training and evaluation."""

from collections.abc import Sequence
from fractions import Fraction

import datasets
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from hfaudio.data.errors import DataError

__all__ = ["split_by_folds", "split_by_groups", "split_randomly"]


def split_by_folds(dataset: datasets.Dataset, eval_folds: Sequence[str]) -> datasets.DatasetDict:
    """Holds out the recordings of given folds.

    Args:
        dataset: What `load_audio_dataset` prepared, with its folds known.
        eval_folds: The folds to evaluate on.

    Returns:
        The parts `train` and `test`.

    Raises:
        DataError: A fold does not exist, or a class is missing from what is left to train on.
    """
    folds = np.array([str(fold) for fold in dataset["fold"]])
    known = sorted(set(folds))
    unknown = [fold for fold in eval_folds if fold not in known]
    if unknown:
        raise DataError(f"Expected --eval_folds among {', '.join(known)}, found {', '.join(unknown)}.")
    held_out = np.isin(folds, list(eval_folds))
    return _divide(dataset, np.flatnonzero(~held_out), np.flatnonzero(held_out))


def split_by_groups(dataset: datasets.Dataset, test_size: float, seed: int) -> datasets.DatasetDict:
    """Holds out whole groups, with the classes in proportion.

    Args:
        dataset: What `load_audio_dataset` prepared, with its groups known.
        test_size: The share to hold out, in (0, 0.5], met to the nearest fraction with a denominator up to ten.
        seed: Of the shuffling.

    Returns:
        The parts `train` and `test`; no group stands in both.

    Raises:
        DataError: There are too few groups, or a class is missing from what is left to train on.
    """
    labels, groups = np.array(dataset["label"]), np.array(dataset["group"])
    share = max(Fraction(test_size).limit_denominator(10), Fraction(1, 10))
    parts = share.denominator
    if min(len(set(groups)), np.bincount(labels).max()) < parts:
        raise DataError(
            f"Expected at least {parts} groups, and {parts} recordings of some class, to hold out {share} of them, "
            f"found {len(set(groups))} groups of {len(labels)} recordings; change --test_size or --group_column."
        )
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(labels, labels, groups)
    test = np.sort(np.concatenate([held_out for _, held_out in folds][: share.numerator]))
    return _divide(dataset, np.setdiff1d(np.arange(len(labels)), test), test)


def split_randomly(dataset: datasets.Dataset, test_size: float, seed: int) -> datasets.DatasetDict:
    """Holds out recordings at random, with the classes in proportion and at least one of each.

    Recordings cut from the same source may then stand on both sides and flatter the score: where the sources are
    known, take `split_by_groups`.

    Args:
        dataset: What `load_audio_dataset` prepared.
        test_size: The share to hold out, in (0, 0.5].
        seed: Of the shuffling.

    Returns:
        The parts `train` and `test`.

    Raises:
        DataError: A class has a single recording.
    """
    labels = np.array(dataset["label"])
    names = dataset.features["label"].names
    counts = np.bincount(labels, minlength=len(names))
    single = [name for name, count in zip(names, counts, strict=True) if count < 2]
    if single:
        raise DataError(
            f"Expected at least two recordings of every class, one to train and one to evaluate on, "
            f"found one of {', '.join(single)}; add recordings or remove the class."
        )
    rng = np.random.default_rng(seed)
    held_out = [
        rng.permutation(np.flatnonzero(labels == label))[: max(1, round(test_size * count))]
        for label, count in enumerate(counts)
    ]
    test = np.sort(np.concatenate(held_out))
    return _divide(dataset, np.setdiff1d(np.arange(len(labels)), test), test)


def _divide(dataset: datasets.Dataset, train: np.ndarray, test: np.ndarray) -> datasets.DatasetDict:
    labels = np.array(dataset["label"])
    names = dataset.features["label"].names
    missing = sorted(set(range(len(names))) - set(labels[train].tolist()))
    if missing:
        raise DataError(
            f"Expected every class in the part to train on, found no {', '.join(names[i] for i in missing)}; "
            "hold out less or add recordings."
        )
    if len(test) == 0:
        raise DataError("Expected recordings to evaluate on, found none; hold out more or add recordings.")
    return datasets.DatasetDict({"train": dataset.select(train), "test": dataset.select(test)})
