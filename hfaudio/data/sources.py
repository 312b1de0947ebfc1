"""Listing the recordings of any source."""

import dataclasses
import logging
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import datasets

from hfaudio.audio import READABLE_EXTENSIONS
from hfaudio.data.archives import is_archive, unpack_archive
from hfaudio.data.class_folders import (
    filled_sub_folders,
    find_files,
    has_table,
    holds_recordings,
    list_beside,
    list_class_folders,
    other_recordings,
    split_parts,
    sub_folders,
)
from hfaudio.data.errors import DataError, named
from hfaudio.data.manifest import METADATA_FOLDERS, NO_COLUMN, find_manifest, list_manifest
from hfaudio.data.parts import part_kind
from hfaudio.data.ready_datasets import holds_audio, is_hub_id, list_dataset, list_hub_dataset, list_parquet
from hfaudio.data.recordings import Columns, LeftOut, Listing
from hfaudio.data.table_files import TABLE_ENDINGS, TEXT_TABLE_ENDINGS

__all__ = ["Source", "list_recordings"]

Source: TypeAlias = str | os.PathLike[str] | datasets.Dataset | datasets.DatasetDict
"""A folder, a table, an archive, a Hub id, or a data set in memory."""

logger = logging.getLogger(__name__)

USUAL_COLUMNS = Columns()
OTHER_TABLE_ENDINGS = (".json", ".ods", ".xls", ".xlsx")


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
def list_recordings(
    source: Source | Sequence[Source], columns: Columns = USUAL_COLUMNS, allow_large_archives: bool = False
) -> Listing:
    """Lists the recordings of one source, or of several together, in a fixed order.

    A source is one of these:

    - a folder with a table `metadata.csv`, `.tsv`, `.jsonl` or `.parquet` (one row a file), as `AudioFolder` has it,
      or with one table in a folder `meta`;
    - a folder with one sub-folder a class;
    - a folder with sub-folders `train`, `test`, `fold1` and the like, each one of these two, or with tables of such
      names;
    - a folder of Parquet files with an audio column, as the Hub has them;
    - such a table itself, or a `.zip` or `.tar.gz` of any of these;
    - the id of a Hub data set, `owner/name` or `owner/name@revision`;
    - a `datasets.Dataset` or `DatasetDict`.

    Classes of several sources are matched by name. Named columns are those of the tables among them.

    Args:
        source: One, or a list of several.
        columns: Which columns mean what.
        allow_large_archives: See `unpack_archive`.

    Raises:
        DataError: There is no such source, or nothing in it that can be listed.
    """
    if isinstance(source, str) or not isinstance(source, Sequence):
        listing = _list_one(source, columns, allow_large_archives)
    else:
        listings = _list_all(
            [partial(_list_one, one, allow_large_archives=allow_large_archives) for one in source], columns
        )
        listing = _join(listings, [_name(one) for one in source])
    if not listing.recordings:
        raise DataError("Expected at least one recording, found none; check --dataset.")
    return listing if columns.group_pattern is None else _group_by_pattern(listing, columns.group_pattern)


def _list_one(source: Source, columns: Columns, allow_large_archives: bool) -> Listing:
    if isinstance(source, datasets.Dataset | datasets.DatasetDict):
        return list_dataset(source, columns)
    if not isinstance(source, str | os.PathLike):
        raise DataError(
            f"Expected a path, the id of a Hub data set, a Dataset or a DatasetDict, found {type(source).__name__}; "
            "convert it."
        )
    path = Path(source)
    if path.is_dir():
        return _list_folder(path, columns, confined_to=None)
    if path.is_file() and is_archive(path):
        cache = Path(datasets.config.HF_DATASETS_CACHE) / "hfaudio" / "archives"
        folder = unpack_archive(path, cache, allow_large_archives=allow_large_archives)
        return _list_folder(folder, columns, confined_to=folder)
    if path.is_file() and path.suffix.lower() in TABLE_ENDINGS:
        return _list_table(path, columns, confined_to=None)
    if not path.exists() and is_hub_id(str(source)):
        return list_hub_dataset(str(source), columns)
    raise DataError(
        f"Expected a folder, a table ({', '.join(TABLE_ENDINGS)}), a .zip, a .tar.gz or the id of a Hub data set "
        f"(owner/name) at {source}, found {'a file of another kind' if path.exists() else 'nothing'}; check --dataset."
    )


def _list_folder(folder: Path, columns: Columns, confined_to: Path | None, may_descend: bool = True) -> Listing:
    manifest = find_manifest(folder)
    if manifest is not None:
        listing = _list_table(manifest, columns, confined_to)
        _warn_of_unnamed(listing, manifest, folder)
        return listing
    parts = split_parts(folder)
    tables = _tables(folder)
    part_tables = [path for path in tables if part_kind(path.stem)]
    if len(part_tables) > 1 and not any(map(filled_sub_folders, parts)):
        return _list_parts(part_tables, columns, confined_to)
    if any(map(has_table, parts)):
        _check_classes(parts)
        return _list_parts(parts, columns, confined_to, beside=list_beside(folder, parts))
    if find_files(folder, (".parquet",)):
        return list_parquet(folder, columns, confined_to)
    unread = _tables(folder, (*TEXT_TABLE_ENDINGS, *OTHER_TABLE_ENDINGS))
    if unread:
        logger.warning(
            "Not read, though they lie in %s: %s; give a table (%s) as the data set if it names the classes.",
            folder,
            named(path.name for path in unread),
            ", ".join(TABLE_ENDINGS),
        )
    _check_classes(parts)
    inner = _only_sub_folder(folder) if may_descend and not parts else None
    if inner is not None:
        logger.warning("The data set is taken from %s, the only folder with recordings in %s.", inner, folder)
        return _join([_list_folder(inner, columns, confined_to)], [inner.name], list_beside(folder, [inner]))
    for flag in ("file", "label", "fold", "group", "start", "end"):
        column = getattr(columns, flag)
        if column is not None and column != NO_COLUMN:
            raise NoTableError(
                f"--{flag}_column {column} needs a table such as metadata.csv in {folder}, found none; "
                "write one, or leave the flag out to take the sub-folders as classes."
            )
    if parts:
        return _list_parts(parts, columns, confined_to, beside=list_beside(folder, parts))
    listing = list_class_folders(folder)
    if not listing.recordings:
        packed = sorted(path.name for path in folder.iterdir() if is_archive(path))
        raise DataError(
            f"Expected a metadata.csv or one sub-folder of recordings for each class in {folder}, found "
            + (f"archives, which are not unpacked within others: {named(packed)}; " if packed else "neither; ")
            + f"audio files end in {', '.join(READABLE_EXTENSIONS)}."
        )
    return listing


def _warn_of_unnamed(listing: Listing, manifest: Path, folder: Path) -> None:
    """Warns of recordings in a folder that its table does not name: it may have been written for fewer of them."""
    places = [one.audio for one in listing.recordings if isinstance(one.audio, str)]
    if len(places) < len(listing.recordings):  # they are in the table itself
        return
    unnamed = other_recordings(folder, places)
    if unnamed:
        logger.warning(
            "Recordings in %s that %s does not name, and that are not taken: %d (%s)",
            folder,
            manifest.name,
            len(unnamed),
            named(unnamed),
        )


def _only_sub_folder(folder: Path) -> Path | None:
    """The only sub-folder with recordings, if a table names them or they lie in several sub-folders of it."""
    filled: list[Path] = []
    for path in sub_folders(folder):
        if find_files(path) or has_table(path):
            filled.append(path)
        if len(filled) > 1:
            return None
    if not filled:
        return None
    (inner,) = filled
    if find_manifest(inner) is not None:
        return inner
    if holds_recordings(inner):
        return None
    return inner if len(filled_sub_folders(inner)) > 1 or _only_sub_folder(inner) is not None else None


def _tables(folder: Path, endings: Collection[str] = TEXT_TABLE_ENDINGS) -> list[Path]:
    """The tables in a folder, by their endings."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in endings and not path.is_dir() and not path.name.startswith(".")
    )


def _list_table(path: Path, columns: Columns, confined_to: Path | None) -> Listing:
    if path.suffix.lower() == ".parquet" and holds_audio(path):
        return list_parquet(path, columns, confined_to)
    return list_manifest(path, columns, confined_to)


def _list_parts(
    parts: Sequence[Path], columns: Columns, confined_to: Path | None, beside: Sequence[LeftOut] = ()
) -> Listing:
    """Folders such as `train` and `test`, or tables of such names; they are the folds where no table names any."""
    name = _shared_sub_folder(parts)
    listers = [partial(_list_part, part, name, confined_to=confined_to) for part in parts]
    listings = []
    for part, listing in zip(parts, _list_all(listers, columns), strict=True):
        names_folds = not part.is_dir() or has_table(part)
        recordings = [
            dataclasses.replace(one, fold=(names_folds and one.fold) or part.stem) for one in listing.recordings
        ]
        listings.append(dataclasses.replace(listing, recordings=recordings))
    return _join(listings, [part.stem for part in parts], beside)


def _list_part(part: Path, name: str | None, columns: Columns, confined_to: Path | None) -> Listing:
    if not part.is_dir():
        return _list_table(part, columns, confined_to)
    if name is None or not (part / name).is_dir():
        return _list_folder(part, columns, confined_to, may_descend=False)
    inner = part / name
    listing = _list_folder(inner, columns, confined_to, may_descend=False)
    return _join([listing], [name], list_beside(part, [inner]))


def _shared_sub_folder(parts: Sequence[Path]) -> str | None:
    """The name of the only sub-folder of all parts, if the classes lie in it."""
    names = set().union(*map(filled_sub_folders, filter(Path.is_dir, parts)))
    if len(names) != 1 or any(map(has_table, parts)):
        return None
    (name,) = names
    inner = [part / name for part in parts if (part / name).is_dir()]
    classes = set().union(*map(filled_sub_folders, inner))
    return name if len(classes) > 1 and not any(map(holds_recordings, inner)) else None


def _check_classes(parts: Sequence[Path]) -> None:
    for part in parts:
        if not has_table(part) and not sub_folders(part):
            raise DataError(
                f"Expected one sub-folder of recordings for each class in {part}, found none; {_advice(part)}."
            )


def _advice(part: Path) -> str:
    """What to do about a part without classes: a table near it may name them."""
    folders = [part.parent, part.parent.parent]
    folders += [folder / name for folder in folders for name in METADATA_FOLDERS]
    tables = [table for folder in folders if folder.is_dir() for table in _tables(folder)]
    if tables:
        return f"give {tables[0]} as the data set, if that table names the classes, with the names of its columns"
    return "make them, write a metadata.csv, or move the folder elsewhere"


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


def _join(listings: Sequence[Listing], names: Sequence[str], beside: Sequence[LeftOut] = ()) -> Listing:
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
        ]
        + list(beside),
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
