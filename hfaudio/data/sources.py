"""Listing the recordings of any source."""

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import datasets

from hfaudio.audio import READABLE_EXTENSIONS
from hfaudio.data.archives import is_archive, unpack_archive
from hfaudio.data.class_folders import find_files, list_class_folders, list_loose_files, split_parts
from hfaudio.data.errors import DataError
from hfaudio.data.manifest import NO_COLUMN, find_manifest, list_manifest
from hfaudio.data.ready_datasets import holds_audio, is_hub_id, list_dataset, list_hub_dataset, list_parquet
from hfaudio.data.recordings import Columns, Listing
from hfaudio.data.table_files import TABLE_ENDINGS

__all__ = ["Source", "list_recordings"]

Source: TypeAlias = str | os.PathLike[str] | datasets.Dataset | datasets.DatasetDict
"""A folder, a table, an archive, a Hub id, or a data set in memory."""

USUAL_COLUMNS = Columns()


class NoTableError(DataError):
    """Columns were named, and there is no table that could have them."""


@contextmanager
def _disk_sentences() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"Expected access to all that the data set needs, found {error.strerror or error} "
            f"({error.filename or 'while it was listed'}); allow it, or check --dataset and HF_DATASETS_CACHE."
        ) from error


@_disk_sentences()
def list_recordings(source: Source | Sequence[Source], columns: Columns = USUAL_COLUMNS) -> Listing:
    """Lists the recordings of one source, or of several together, in a fixed order.

    A source is one of these:

    - a folder with a table `metadata.csv`, `.tsv`, `.jsonl` or `.parquet` (one row a file), as `AudioFolder` has it,
      or with one table in a folder `meta`;
    - a folder with one sub-folder a class;
    - a folder with sub-folders `train`, `test` and the like, each one of these two;
    - a folder of Parquet files with an audio column, as the Hub has them;
    - such a table itself, or a `.zip` or `.tar.gz` of any of these;
    - the id of a Hub data set, `owner/name` or `owner/name@revision`;
    - a `datasets.Dataset` or `DatasetDict`.

    Classes of several sources are matched by name. Named columns are those of the tables among them.

    Args:
        source: One, or a list of several.
        columns: Which columns mean what.

    Raises:
        DataError: There is no such source, or nothing in it that can be listed.
    """
    if isinstance(source, str | os.PathLike | datasets.Dataset | datasets.DatasetDict):
        listing = _list_one(source, columns)
    else:
        listings = _list_all([partial(_list_one, one) for one in source], columns)
        listing = _join(listings, [_name(one) for one in source])
    if not listing.recordings:
        raise DataError("Expected at least one recording, found none; check --dataset.")
    return listing if columns.group_pattern is None else _group_by_pattern(listing, columns.group_pattern)


def _list_one(source: Source, columns: Columns) -> Listing:
    if isinstance(source, datasets.Dataset | datasets.DatasetDict):
        return list_dataset(source, columns)
    path = Path(source)
    if path.is_dir():
        return _list_folder(path, columns, confined_to=None)
    if path.is_file() and is_archive(path):
        folder = unpack_archive(path, Path(datasets.config.HF_DATASETS_CACHE) / "hfaudio" / "archives")
        return _list_folder(folder, columns, confined_to=folder)
    if path.is_file() and path.suffix.lower() in TABLE_ENDINGS:
        return _list_table(path, columns, confined_to=None)
    if not path.exists() and is_hub_id(str(source)):
        return list_hub_dataset(str(source), columns)
    raise DataError(
        f"Expected a folder, a table ({', '.join(TABLE_ENDINGS)}), a .zip, a .tar.gz or the id of a Hub data set "
        f"(owner/name) at {source}, found {'a file of another kind' if path.exists() else 'nothing'}; check --dataset."
    )


def _list_folder(folder: Path, columns: Columns, confined_to: Path | None) -> Listing:
    manifest = find_manifest(folder)
    if manifest is not None:
        return _list_table(manifest, columns, confined_to)
    parts = split_parts(folder)
    if any(find_manifest(part) is not None for part in parts):
        return _list_parts(parts, columns, confined_to)
    if find_files(folder, (".parquet",)):
        return list_parquet(folder, columns, confined_to)
    for flag in ("file", "label", "fold", "group", "start", "end"):
        column = getattr(columns, flag)
        if column is not None and column != NO_COLUMN:
            raise NoTableError(
                f"--{flag}_column {column} needs a table such as metadata.csv in {folder}, found none; "
                "write one, or leave the flag out to take the sub-folders as classes."
            )
    recordings = list_class_folders(folder)
    if not recordings:
        raise DataError(
            f"Expected a metadata.csv or one sub-folder of recordings for each class in {folder}, found neither; "
            f"audio files end in {', '.join(READABLE_EXTENSIONS)}."
        )
    return Listing(recordings, left_out=list_loose_files(folder))


def _list_table(path: Path, columns: Columns, confined_to: Path | None) -> Listing:
    if path.suffix.lower() == ".parquet" and holds_audio(path):
        return list_parquet(path, columns, confined_to)
    return list_manifest(path, columns, confined_to)


def _list_parts(parts: Sequence[Path], columns: Columns, confined_to: Path | None) -> Listing:
    """Folders such as `train` and `test`, each with a table of its own; they are the folds where it names none."""
    listers = [partial(_list_folder, part, confined_to=confined_to) for part in parts]
    listings = []
    for part, listing in zip(parts, _list_all(listers, columns), strict=True):
        recordings = [dataclasses.replace(one, fold=one.fold or part.name) for one in listing.recordings]
        listings.append(dataclasses.replace(listing, recordings=recordings))
    return _join(listings, [part.name for part in parts])


def _list_all(listers: Sequence[Callable[[Columns], Listing]], columns: Columns) -> list[Listing]:
    """Lists class folders beside tables without the columns that are named, if any table has them."""
    listings, without_table = [], []
    for lister in listers:
        try:
            listings.append(lister(columns))
        except NoTableError as error:
            without_table.append(error)
            listings.append(lister(USUAL_COLUMNS))
    if without_table and len(without_table) == len(listers):
        raise without_table[0]
    return listings


def _join(listings: Sequence[Listing], names: Sequence[str]) -> Listing:
    """Several sources as one; each file is named after its source, and numbered ones keep apart."""
    prefixes = [name if names.count(name) == 1 else f"{name}-{index}" for index, name in enumerate(names, start=1)]
    return Listing(
        [
            dataclasses.replace(recording, file_name=f"{prefix}/{recording.file_name}")
            for prefix, listing in zip(prefixes, listings, strict=True)
            for recording in listing.recordings
        ],
        any(listing.multi_label for listing in listings),
        [
            dataclasses.replace(missing, file_name=f"{prefix}/{missing.file_name}")
            for prefix, listing in zip(prefixes, listings, strict=True)
            for missing in listing.left_out
        ],
        frozenset().union(*(listing.left_out_labels for listing in listings)),
    )


def _name(source: Source) -> str:
    if isinstance(source, datasets.Dataset | datasets.DatasetDict):
        return "dataset"
    return Path(source).resolve().name


def _group_by_pattern(listing: Listing, pattern: str) -> Listing:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DataError(f"Expected a regular expression as --group_pattern, found {pattern!r}: {error}.") from error
    recordings = []
    for recording in listing.recordings:
        # A pattern without a slash is about the file, wherever it lies.
        name = recording.file_name if "/" in pattern else recording.file_name.rpartition("/")[2]
        match = expression.search(name)
        if match is None or not match.group(min(1, expression.groups)):
            raise DataError(
                f"Expected --group_pattern {pattern} to match every file name, found {recording.file_name} without a "
                "match; mend the pattern or rename the file."
            )
        group = match.group(min(1, expression.groups))
        recordings.append(dataclasses.replace(recording, group=group))
    return dataclasses.replace(listing, recordings=recordings)
