"""Finding recordings, one after another."""

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

from hfaudio.audio import READABLE_EXTENSIONS, may_be_recording

__all__ = ["FileListError", "find_audio", "read_file_list"]

SORTED_AT_MOST = 100_000  # names of one folder; of more the order is the folder's own, so that memory stays bounded
NAME_COLUMNS = ("file_name", "file", "path", "filename")


class FileListError(ValueError):
    """There is nothing to predict where it was looked for: one sentence says what to do."""


def find_audio(sources: Sequence[str]) -> Iterator[str]:
    """Gives the recordings that files, folders and patterns stand for.

    Args:
        sources: Each the path of a file, whatever its ending; of a folder, whose recordings at any depth and behind
            links are given, in the order of their names, and with them what may be one (see
            `hfaudio.audio.may_be_recording`); or a pattern such as `sounds/**/*.wav`.

    Yields:
        Paths. They are found as they are asked for.

    Raises:
        FileListError: There is nothing at a source, which is said before the first path, or a folder cannot be read.
    """
    for source in sources:
        if next(_of_source(source), None) is None:
            raise FileListError(
                f"Expected recordings at {source}, found {'none' if os.path.exists(source) else 'nothing'}; their "
                f"names end in {', '.join(READABLE_EXTENSIONS)} and the like."
            )
    for source in sources:
        yield from _of_source(source)


def _of_source(source: str) -> Iterator[str]:
    if os.path.isdir(source):
        yield from _walk(source, set())
    elif os.path.lexists(source):  # what a link leads to may be missing, which is said when it is read
        yield source
    elif glob.has_magic(source):
        yield from (path for path in sorted(glob.iglob(source, recursive=True)) if _is_recording(path))


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    try:
        status, names = os.stat(folder), list(islice(_unsorted(folder), SORTED_AT_MOST + 1))
    except OSError as error:
        raise FileListError(
            f"Expected to read the folder {folder}, found that impossible ({error.strerror}); change its permissions, "
            "or name what else is to be predicted."
        ) from error
    if (status.st_dev, status.st_ino) in seen:  # a link to a folder that holds it would be followed for ever
        return
    seen.add((status.st_dev, status.st_ino))
    for name in sorted(names) if len(names) <= SORTED_AT_MOST else _unsorted(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            yield from _walk(path, seen)
        elif os.path.lexists(path) and may_be_recording(path):  # it may have gone meanwhile
            yield path


def _unsorted(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if not entry.name.startswith("."))


def _is_recording(path: str) -> bool:
    return not os.path.isdir(path) and may_be_recording(path)


def read_file_list(lines: TextIO, name: str, folder: Path) -> Iterator[str]:
    """Gives the paths of a list: one a line, or the column of a table with a header.

    Args:
        lines: The list.
        name: Of the list; a table's ends in `.csv` or `.tsv`.
        folder: What relative paths are relative to.

    Raises:
        FileListError: A table has none of the columns `file_name`, `file`, `path` and `filename`, or there is no path.
    """
    found = False
    try:
        for path in _listed(lines, name):
            if path.strip():
                found = True
                yield _at(folder, path)
    except csv.Error as error:
        raise FileListError(f"Expected a table in {name}, found something else ({error}).") from error
    if not found:
        raise FileListError(f"Expected paths in {name}, found none; give one a line.")


def _at(folder: Path, path: str) -> str:
    """Where a listed path leads; blanks around it are part of it only if there is such a file."""
    exact, stripped = os.path.join(folder, path), os.path.join(folder, path.strip())
    return exact if os.path.lexists(exact) or not os.path.lexists(stripped) else stripped


def _listed(lines: TextIO, name: str) -> Iterator[str]:
    ending = os.path.splitext(name)[1].lower()
    if ending not in (".csv", ".tsv"):
        yield from (line.rstrip("\r\n") for line in lines)
        return
    rows = csv.DictReader(lines, delimiter="\t" if ending == ".tsv" else ",")
    columns = rows.fieldnames or []
    column = next((one for wanted in NAME_COLUMNS for one in columns if one.strip() == wanted), None)
    if column is None:
        raise FileListError(
            f"Expected one of the columns {', '.join(NAME_COLUMNS)} in {name}, found {', '.join(columns) or 'none'}; "
            "rename the one with the paths."
        )
    yield from (row[column] or "" for row in rows)
