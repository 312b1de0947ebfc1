"""The parts of a data set (training, validation, test, folds), told by the names of folders."""

import os
import re
from collections.abc import Collection, Sequence
from pathlib import PurePath

__all__ = ["folds_by_folder", "part_kind"]

PART_NAME = re.compile(
    r"((?P<train>train|training)|(?P<validation>val|valid|validation|dev)|(?P<test>test|testing|eval|evaluation))"
    r"([ _-]?(set|data|split))?"
    r"|(?P<fold>(fold|split)[ _-]?\d+)",
    re.IGNORECASE,
)


def part_kind(name: str) -> str | None:
    """What the name of a folder or a split means: `train`, `validation`, `test`, `fold`, or None for anything else.

    Example:
        >>> [part_kind(name) for name in ("Train", "test_set", "fold10", "train 2 Berlin")]
        ['train', 'test', 'fold', None]
    """
    match = PART_NAME.fullmatch(name)
    return next((kind for kind, text in match.groupdict().items() if text), None) if match else None


def folds_by_folder(paths: Sequence[str], labels: Sequence[Collection[str]]) -> list[str | None]:
    """The part of a data set that each file lies in, where its folders are named like parts.

    The name of a file says nothing, and neither does a folder that is named like the class of its files. A single
    part beside other folders is no part either: `train` may be a class beside `car` and `bus`.

    Args:
        paths: Of the files, from where the data set begins; of absolute ones the folder common to all says nothing.
        labels: The classes of each.

    Returns:
        The name of the first folder of each path that is named like a part; all None where they divide nothing.
    """
    if paths and all(map(os.path.isabs, paths)):
        common = os.path.commonpath(list(map(os.path.dirname, paths)))
        paths = [os.path.relpath(path, common) for path in paths]
    folds = [
        next((name for name in PurePath(path).parts[:-1] if part_kind(name) and not _is_class(name, own)), None)
        for path, own in zip(paths, labels, strict=True)
    ]
    named = {fold for fold in folds if fold is not None}
    return folds if len(named) > 1 or None not in folds else [None] * len(folds)


def _is_class(name: str, labels: Collection[str]) -> bool:
    return name.casefold() in (label.casefold() for label in labels)
