"""Labels and logits as they come, from a data set or from a `Trainer`, as checked arrays."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import scipy.special

__all__ = ["check_at_least_one", "check_lengths", "label_array", "logit_array", "probability_array"]


def check_at_least_one(name: str, value: int) -> None:
    """Refuses a number below 1 with a sentence that names it."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, found {value!r}.")


def check_lengths(parts: Mapping[str, Any], recordings: int) -> None:
    """Refuses parts that are not as many as the rows of the logits, with a sentence that names the first."""
    for name, part in parts.items():
        if len(part) != recordings:
            raise ValueError(
                f"{name} must be as many as the {recordings} rows of logits, found {len(part)}; give those of the "
                "same recordings in the same order."
            )


def logit_array(logits: Any, num_labels: int) -> np.ndarray:
    """Checks logits and brings them to float64.

    Args:
        logits: `(recordings, num_labels)`.
        num_labels: Number of classes.

    Raises:
        ValueError: The shape is another one, there is no recording, or a value is not finite.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or 0 in logits.shape or logits.shape[1] != num_labels:
        raise ValueError(
            f"logits must have the shape (recordings, {num_labels}), a column for each of class_names and at least "
            f"one recording, found {logits.shape}."
        )
    bad = ~np.isfinite(logits).all(axis=1)
    if bad.any():
        raise ValueError(
            f"logits must be finite, found NaN or infinity for {bad.sum()} of {len(bad)} recordings, the first "
            f"recording {bad.argmax()}; a training that diverged needs a lower learning rate."
        )
    return logits


def probability_array(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """The probabilities of logits `(recordings, num_labels)`: a softmax, or a sigmoid a class if multi-label."""
    return np.asarray(scipy.special.expit(logits) if multi_label else scipy.special.softmax(logits, axis=1))


def label_array(labels: Any, num_labels: int) -> np.ndarray:
    """Brings labels into one of two forms, which tell single-label data from multi-label data.

    An array of two dimensions is a table of 0 and 1; anything else that holds sequences has lists of class indices.

    Args:
        labels: A class index for each recording, or a list of them for each, or `(recordings, num_labels)` of 0 and 1.
        num_labels: Number of classes.

    Returns:
        `(recordings,)` indices in int64, or `(recordings, num_labels)` in bool.

    Raises:
        ValueError: They are none of these; the sentence names the first recording that is wrong.
    """
    if getattr(labels, "ndim", 1) == 2:
        return _table(np.asarray(labels), num_labels)
    listed = list(labels)
    if any(_is_listed(label) for label in listed):
        return _table_of_lists(listed, num_labels)
    for row, label in enumerate(listed):
        _check_index(label, row, num_labels)
    return np.array(listed, dtype=np.int64)


def _table(table: np.ndarray, num_labels: int) -> np.ndarray:
    if table.shape[1] != num_labels:
        raise ValueError(
            f"A table of labels must have one column for each of the {num_labels} classes, found the shape "
            f"{table.shape}; give the labels in the order of class_names."
        )
    wrong = ~np.isin(table, (0, 1))
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        raise ValueError(
            f"A table of labels must hold 0 and 1 only, found {table[row][wrong[row]][0]} for recording {row}; "
            "round probabilities first."
        )
    return table.astype(bool)


def _table_of_lists(labels: list[Any], num_labels: int) -> np.ndarray:
    table = np.zeros((len(labels), num_labels), dtype=bool)
    for row, own in enumerate(labels):
        if not _is_listed(own):
            raise ValueError(
                f"Labels must all be class indices or all be lists of them, found {own!r} for recording {row} among "
                "lists; write [] where a recording has no class."
            )
        for label in own:
            _check_index(label, row, num_labels)
            if table[row, label]:
                raise ValueError(
                    f"A list of class indices must name a class once, found {label} twice for recording {row}; give "
                    "labels of 0 and 1 as an array (recordings, num_labels)."
                )
            table[row, label] = True
    return table


def _is_listed(label: Any) -> bool:
    return isinstance(label, Iterable) and not isinstance(label, str) and getattr(label, "ndim", 1) > 0


def _check_index(label: Any, row: int, num_labels: int) -> None:
    whole = isinstance(label, (int, np.integer)) or (
        hasattr(label, "ndim") and label.ndim == 0 and label == int(label)
    )
    if not whole or not 0 <= label < num_labels:
        raise ValueError(
            f"A label must be a class index from 0 to {num_labels - 1}, found {label!r} for recording {row}; give "
            "class_names in the order of the indices."
        )
