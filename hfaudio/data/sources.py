"""Finding labelled recordings: class folders, or AudioFolder metadata."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hfaudio.data.errors import DataError

__all__ = ["AUDIO_EXTENSIONS", "Recording", "list_recordings"]

AUDIO_EXTENSIONS = frozenset(
    {".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"}
)
"""Endings of the files that libsndfile reads."""

METADATA_FILE = "metadata.csv"
FILE_COLUMNS = ("file_name", "path")


@dataclass(frozen=True, slots=True)
class Recording:
    """One labelled file.

    Attributes:
        path: Where it lies.
        file_name: Its name for people and tables: the path below the data set's folder, with forward slashes.
        label: Its class.
        fold: The fold it was assigned to by whoever made the data set, if any.
        group: What must not be split between training and evaluation (a source, a speaker), if known.
    """

    path: str
    file_name: str
    label: str
    fold: str | None = None
    group: str | None = None


def list_recordings(
    folder: str | os.PathLike[str],
    label_column: str | None = None,
    fold_column: str | None = None,
    group_column: str | None = None,
) -> list[Recording]:
    """Lists the recordings of a folder, in a fixed order.

    A `metadata.csv` in the folder wins: one row a file, with a `file_name` (or `path`) column relative to the folder.
    Without one, each sub-folder is a class and its audio files, at any depth, are that class's recordings.

    Args:
        folder: The data set.
        label_column: Column of the labels in `metadata.csv`; `label` if it is not given.
        fold_column: Column of given folds.
        group_column: Column of sources or speakers.

    Raises:
        DataError: There is no such folder, nothing in it, a column or a file is missing, or a label is empty.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"Expected a folder of recordings at {folder}, found {found}; check --dataset.")
    metadata = folder / METADATA_FILE
    if metadata.is_file():
        return _read_metadata(metadata, label_column or "label", fold_column, group_column)
    for flag, column in (("label", label_column), ("fold", fold_column), ("group", group_column)):
        if column is not None:
            raise DataError(
                f"--{flag}_column {column} needs a {METADATA_FILE} in {folder}, found none; "
                "write one, or leave the flag out to take the sub-folders as classes."
            )
    recordings = list(_walk_class_folders(folder))
    if not recordings:
        raise DataError(
            f"Expected a {METADATA_FILE} or one sub-folder of recordings for each class in {folder}, found neither; "
            f"audio files end in {', '.join(sorted(AUDIO_EXTENSIONS))}."
        )
    return recordings


def _walk_class_folders(folder: Path) -> Iterator[Recording]:
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(class_folder.rglob("*")):
            if path.suffix.lower() in AUDIO_EXTENSIONS and path.is_file() and not path.name.startswith("."):
                yield Recording(str(path), path.relative_to(folder).as_posix(), label=class_folder.name)


def _read_metadata(
    metadata: Path, label_column: str, fold_column: str | None, group_column: str | None
) -> list[Recording]:
    try:
        with metadata.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"Expected comma-separated UTF-8 text in {metadata}, found {error}; save it as such."
        ) from error
    file_column = next((name for name in FILE_COLUMNS if name in columns), FILE_COLUMNS[0])
    for flag, column in (
        ("", file_column),
        ("label", label_column),
        ("fold", fold_column),
        ("group", group_column),
    ):
        if column is not None and column not in columns:
            advice = f"name yours with --{flag}_column." if flag else "add it: one path a row, below the folder."
            raise DataError(
                f"Expected a column {column!r} in {metadata}, found {', '.join(columns) or 'no columns'}; {advice}"
            )
    recordings = []
    missing = []
    for line, row in enumerate(rows, start=2):
        label = (row[label_column] or "").strip()
        if not label:
            raise DataError(
                f"Expected a label in column {label_column!r} of {metadata}, found none in line {line} "
                f"({row[file_column]}); fill it in or remove the line."
            )
        path = metadata.parent / (row[file_column] or "")
        if not path.is_file():
            missing.append(f"{row[file_column]} (line {line})")
        recordings.append(
            Recording(
                str(path),
                Path(row[file_column] or "").as_posix(),
                label,
                fold=None if fold_column is None else (row[fold_column] or "").strip(),
                group=None if group_column is None else (row[group_column] or "").strip(),
            )
        )
    if missing:
        raise DataError(
            f"Expected every file named in {metadata} to exist, found {len(missing)} of {len(rows)} missing, "
            f"the first {missing[0]}; add the files or remove their lines."
        )
    if not recordings:
        raise DataError(f"Expected recordings in {metadata}, found no rows; add one line for each file.")
    return recordings
