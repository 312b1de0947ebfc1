"""Finding labelled recordings: class folders, or AudioFolder metadata."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from hfaudio.data.errors import DataError

__all__ = ["AUDIO_EXTENSIONS", "Recording", "list_recordings"]

READABLE_EXTENSIONS = (".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav")
OTHER_EXTENSIONS = (".aac", ".amr", ".m4a", ".mka", ".mp4", ".webm", ".wma")
AUDIO_EXTENSIONS = frozenset(READABLE_EXTENSIONS + OTHER_EXTENSIONS)
"""Endings of recordings. Those that libsndfile cannot read are listed too, so that they are left out by name."""

SPLIT_NAMES = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"})

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
            f"audio files end in {', '.join(READABLE_EXTENSIONS)}."
        )
    return recordings


def _walk_class_folders(folder: Path) -> Iterator[Recording]:
    class_folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if class_folders and {path.name.lower() for path in class_folders} <= SPLIT_NAMES:
        found = ", ".join(path.name for path in class_folders)
        raise DataError(
            f"Expected one sub-folder for each class in {folder}, found the parts of a split: {found}; "
            f"write a {METADATA_FILE} with a fold column instead."
        )
    for class_folder in class_folders:
        recordings = [
            Recording(str(path), path.relative_to(folder).as_posix(), label=class_folder.name)
            for path in sorted(class_folder.rglob("*"))
            if path.suffix.lower() in AUDIO_EXTENSIONS and path.is_file() and not path.name.startswith(".")
        ]
        if not recordings:
            raise DataError(
                f"Expected recordings in every sub-folder of {folder}, found none in {class_folder.name}; audio files "
                f"end in {', '.join(READABLE_EXTENSIONS)}. Add some, or move the folder elsewhere."
            )
        yield from recordings


def _read_metadata(
    metadata: Path, label_column: str, fold_column: str | None, group_column: str | None
) -> list[Recording]:
    columns, rows = _read_csv(metadata)
    file_column = next((name for name in FILE_COLUMNS if name in columns), FILE_COLUMNS[0])
    wanted = (("", file_column), ("label", label_column), ("fold", fold_column), ("group", group_column))
    for flag, column in wanted:
        if column is not None and column not in columns:
            advice = f"name yours with --{flag}_column." if flag else "add it: one path a row, below the folder."
            raise DataError(
                f"Expected a column {column!r} in {metadata}, found {', '.join(columns) or 'no columns'}; {advice}"
            )
    if not rows:
        raise DataError(f"Expected recordings in {metadata}, found no rows; add one line for each file.")
    recordings: dict[str, Recording] = {}
    missing = []
    for line, row in rows:
        file_name = Path(row[file_column]).as_posix()
        for flag, column in wanted:
            if column is not None and not row[column]:
                raise DataError(
                    f"Expected a {flag or 'file name'} in column {column!r} of {metadata}, found none in line {line} "
                    f"({file_name}); fill it in or remove the line."
                )
        if file_name in recordings:
            raise DataError(
                f"Expected every file once in {metadata}, found {file_name} again in line {line}; remove a line."
            )
        path = os.path.join(metadata.parent, file_name)
        if not os.path.isfile(path):
            missing.append(f"{file_name} (line {line})")
        fold = None if fold_column is None else row[fold_column]
        group = None if group_column is None else row[group_column]
        recordings[file_name] = Recording(path, file_name, row[label_column], fold, group)
    if missing:
        raise DataError(
            f"Expected every file named in {metadata} to exist, found {len(missing)} of {len(rows)} missing, "
            f"the first {missing[0]}; add the files or remove their lines."
        )
    return list(recordings.values())


def _read_csv(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns and, with its line number, each row; all without surrounding blanks, short rows filled up."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            columns = [name.strip() for name in next(reader, [])]
            rows = [
                (reader.line_num, dict(zip_longest(columns, map(str.strip, cells[: len(columns)]), fillvalue="")))
                for cells in reader
                if cells
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Expected comma-separated UTF-8 text in {path}, found {error}; save it as such.") from error
    return columns, rows
