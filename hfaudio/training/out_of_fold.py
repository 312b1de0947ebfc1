"""The table of what each recording was predicted to be by the run that held its fold out."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from hfaudio.data import DataError
from hfaudio.data.errors import named
from hfaudio.evaluation import Interpretation

__all__ = ["OutOfFold", "read_out_of_fold", "write_out_of_fold"]

PROBABILITY = "probability_"  # and the name of the class
SURE = 1e-15  # sums and probabilities closer to 0 or 1 than this are rounded


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What the table says.

    Attributes:
        class_names: In the order of the scores.
        labels: `(recordings,)` class indices, or in multi-label data `(recordings, num_labels)` of bool.
        logits: `(recordings, num_labels)`; softmax, or sigmoid if multi-label, gives the probabilities of the table.
        folds: Of each recording.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray
    folds: tuple[str, ...]

    @property
    def multi_label(self) -> bool:
        """Whether a recording can have any number of classes."""
        return self.labels.ndim == 2


def write_out_of_fold(pooled: Interpretation, folds: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Writes one row a recording: `file_name`, `fold`, `labels`, `predicted`, and a column of each probability.

    Args:
        pooled: The predictions for all folds.
        folds: The fold of each recording.
        path: Ends in `.parquet`.
    """
    names = np.array(pooled.class_names, object)

    def names_of(classes: np.ndarray) -> list[list[str]]:
        return [names[own if pooled.multi_label else [own]].tolist() for own in classes]

    columns: dict[str, Any] = {
        "file_name": list(pooled.file_names),
        "fold": list(folds),
        "labels": names_of(pooled.labels),
        "predicted": names_of(pooled.predicted),
    }
    columns |= {PROBABILITY + name: pooled.probabilities[:, index] for index, name in enumerate(pooled.class_names)}
    pyarrow.parquet.write_table(pa.table(columns), path)


def read_out_of_fold(path: str | os.PathLike[str]) -> OutOfFold:
    """Reads what `write_out_of_fold` wrote.

    Args:
        path: Of the table.

    Raises:
        hfaudio.data.DataError: There is none, or it holds something else.
    """
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"Expected the out_of_fold.parquet of a cross-validation at {path}, found none that can be read: {error}"
        ) from error
    columns = [name for name in table.column_names if name.startswith(PROBABILITY)]
    if not columns or not {"fold", "labels"} <= set(table.column_names) or not len(table):
        raise DataError(
            f"Expected the columns fold, labels and {PROBABILITY}... and some rows in {path}, found "
            f"{', '.join(table.column_names)} and {len(table)} rows; give the out_of_fold.parquet of a "
            "cross-validation."
        )
    class_names = tuple(name.removeprefix(PROBABILITY) for name in columns)
    probabilities = np.stack([table[name].to_numpy() for name in columns], axis=1)
    if probabilities.dtype.kind != "f" or not ((probabilities >= 0.0) & (probabilities <= 1.0)).all():
        raise DataError(
            f"Expected probabilities from 0 to 1 in {path}, found others, or NaN; give the out_of_fold.parquet of a "
            "cross-validation that did not diverge."
        )
    probabilities = probabilities.clip(SURE, 1.0)
    known = {name: index for index, name in enumerate(class_names)}
    try:
        labels = [[known[name] for name in own] for own in table["labels"].to_pylist()]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"Expected in {path} labels among {named(class_names)}, found {error}; give the out_of_fold.parquet "
            "of a cross-validation as it was written."
        ) from error
    folds = tuple(table["fold"].to_pylist())
    if all(len(own) == 1 for own in labels) and np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-6):
        return OutOfFold(class_names, np.array([own[0] for own in labels]), np.log(probabilities), folds)
    present = np.zeros(probabilities.shape, bool)
    for row, own in zip(present, labels, strict=True):
        row[own] = True
    return OutOfFold(class_names, present, np.log(probabilities) - np.log1p(-probabilities.clip(max=1 - SURE)), folds)
