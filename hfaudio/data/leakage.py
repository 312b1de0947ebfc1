"""Keeping what belongs together on one side of a split, and finding what does not."""

import logging
from collections.abc import Iterable, Sequence

import datasets
import numpy as np
import scipy.sparse

from hfaudio.data.errors import NAMED_AT_MOST, DataError, named

__all__ = ["check_parts", "connected_groups", "shared_values", "warn_of_near_duplicates"]

logger = logging.getLogger(__name__)

COMPARED_AT_MOST = 1000  # recordings of a side, to name the most alike of them


def connected_groups(*keys: Sequence[str | None]) -> np.ndarray:
    """Joins recordings that share any key, directly or through others.

    Args:
        *keys: Each has one value a recording (a source, a hash); None is shared with nobody.

    Returns:
        `(recordings,)`, the index of each recording's group.
    """
    count = len(keys[0])
    rows, columns, offset = [], [], count
    for values in keys:
        index: dict[str, int] = {}
        for row, value in enumerate(values):
            if value is not None:
                rows.append(row)
                columns.append(offset + index.setdefault(value, len(index)))
        offset += len(index)
    graph = scipy.sparse.coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(offset, offset))
    _, component = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return component[:count]


def shared_values(one: Iterable[str | None], other: Iterable[str | None]) -> set[str]:
    """The values that stand on both sides; None is no value."""
    return {value for value in set(one) & set(other) if value is not None}


def check_parts(train: datasets.Dataset, test: datasets.Dataset, groups_may_meet: bool = False) -> None:
    """Makes sure that what is evaluated on was not trained on.

    Args:
        train: Rows of a `PreparedAudio`.
        test: Other rows of it.
        groups_may_meet: Warn of groups on both sides, in place of an error.

    Raises:
        DataError: A recording, or a group, stands on both sides.
    """
    copies = shared_values(train["content_hash"], test["content_hash"])
    if copies:
        raise DataError(
            f"Expected to evaluate on recordings that are not trained on, found {len(copies)} on both sides: "
            f"{_pairs(train, test, 'content_hash', copies)}; remove the copies or put them into one fold."
        )
    groups = shared_values(train["group"], test["group"])
    if not groups:
        return
    held_out = sum(group in groups for group in test["group"])
    found = (
        f"{len(groups)} sources on both sides of the split, with {held_out} of {len(test)} held-out recordings: "
        f"{_pairs(train, test, 'group', groups)}"
    )
    if not groups_may_meet:
        raise DataError(
            f"Expected to evaluate on other sources than are trained on, found {found}; change the folds, or give "
            "--group_column none if that column is no source."
        )
    logger.warning("The score will flatter: found %s. Without --split random no source is divided.", found)


def warn_of_near_duplicates(
    file_names: Sequence[str], fingerprints: np.ndarray, alike: np.ndarray, held_out: np.ndarray
) -> int:
    """Warns of recordings on both sides that sound the same, such as one re-encoded, louder or shifted.

    Args:
        file_names: Of all recordings.
        fingerprints: `(recordings, FINGERPRINT_SIZE)`, of `fingerprints_of`.
        alike: `(recordings,)`, the groups of `alike_groups_of`.
        held_out: `(recordings,)`, whether each is to be evaluated on.

    Returns:
        How many held-out recordings are in a group with others that are trained on.
    """
    divided = np.intersect1d(alike[held_out], alike[~held_out])
    count = int(np.isin(alike[held_out], divided).sum())
    if count:
        pairs = []
        for group in divided[:NAMED_AT_MOST]:
            train, test = (
                np.flatnonzero((alike == group) & side)[:COMPARED_AT_MOST] for side in (~held_out, held_out)
            )
            similarity = fingerprints[train].astype(np.float32) @ fingerprints[test].astype(np.float32).T
            one, other = np.unravel_index(similarity.argmax(), similarity.shape)
            pairs.append(f"{file_names[train[one]]} and {file_names[test[other]]}")
        logger.warning(
            "The score may flatter: %d of %d held-out recordings sound like one that is trained on: %s%s",
            count,
            held_out.sum(),
            ", ".join(pairs),
            ", and more" if count > len(pairs) else "",
        )
    return count


def _pairs(train: datasets.Dataset, test: datasets.Dataset, column: str, values: set[str]) -> str:
    of_train, of_test = _first_of(train, column), _first_of(test, column)
    pairs = [f"{of_train[value]} and {of_test[value]}" for value in of_test if value in values]
    return named(pairs)


def _first_of(dataset: datasets.Dataset, column: str) -> dict[str, str]:
    first: dict[str, str] = {}
    for value, name in zip(dataset[column], dataset["file_name"], strict=True):
        if value is not None:
            first.setdefault(value, name)
    return first
