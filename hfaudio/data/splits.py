"""Dividing recordings into training and evaluation."""

from collections.abc import Sequence

import datasets
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

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
        test_size: The share to hold out, in (0, 0.5]; one part in `round(1 / test_size)` is taken.
        seed: Of the shuffling.

    Returns:
        The parts `train` and `test`; no group stands in both.

    Raises:
        DataError: There are too few groups, or a class is missing from what is left to train on.
    """
    labels, groups = np.array(dataset["label"]), np.array(dataset["group"])
    parts = round(1 / test_size)
    if len(set(groups)) < parts:
        raise DataError(
            f"Expected at least {parts} groups to hold out one part in {parts}, found {len(set(groups))}; "
            "raise --test_size or choose another --group_column."
        )
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(labels, labels, groups)
    train, test = next(iter(folds))
    return _divide(dataset, train, test)


def split_randomly(dataset: datasets.Dataset, test_size: float, seed: int) -> datasets.DatasetDict:
    """Holds out recordings at random, with the classes in proportion.

    Recordings cut from the same source may then stand on both sides and flatter the score: where the sources are
    known, take `split_by_groups`.

    Args:
        dataset: What `load_audio_dataset` prepared.
        test_size: The share to hold out, in (0, 0.5].
        seed: Of the shuffling.

    Returns:
        The parts `train` and `test`.

    Raises:
        DataError: A class has a single recording, or there are too few recordings to hold out one of each class.
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
    held_out = max(round(test_size * len(labels)), len(names))
    if len(labels) - held_out < len(names):
        raise DataError(
            f"Expected enough recordings to hold out {test_size:.0%} and train on every class, "
            f"found {len(labels)} of {len(names)} classes; add recordings or lower --test_size."
        )
    train, test = train_test_split(np.arange(len(labels)), test_size=held_out, random_state=seed, stratify=labels)
    return _divide(dataset, np.sort(train), np.sort(test))


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
