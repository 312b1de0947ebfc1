"""Manifests: a CSV, TSV, JSONL or Parquet table with one row a recording."""

import os
from functools import cached_property
from pathlib import Path

from hfaudio.data.class_folders import find_files
from hfaudio.data.errors import DataError
from hfaudio.data.recordings import Columns, LeftOut, Listing, Recording
from hfaudio.data.table_cells import as_text, name_of_span, parse_span, split_labels
from hfaudio.data.table_files import TABLE_ENDINGS, Row, read_table

__all__ = ["NO_COLUMN", "USUAL_NAMES", "find_manifest", "list_manifest"]

METADATA_STEM = "metadata"
METADATA_FOLDERS = ("meta", "metadata")
NO_COLUMN = "none"

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "file": ("file_name", "path", "filename"),
    "label": ("label", "labels"),
    "fold": ("fold", "split"),
    "group": ("group", "source_id", "speaker_id", "client_id", "subject_id", "patient_id", "session_id"),
    "start": ("span_start",),
    "end": ("span_end",),
}
"""What a column is called where no flag names it."""


def find_manifest(folder: Path) -> Path | None:
    """Finds the table that describes a folder: `metadata.*` in it, or the one table in its `meta` folder.

    Args:
        folder: The data set.

    Raises:
        DataError: There are several.
    """
    found = sorted(folder / f"{METADATA_STEM}{ending}" for ending in TABLE_ENDINGS)
    found = [path for path in found if path.is_file()]
    if not found:
        found = sorted(
            path
            for name in METADATA_FOLDERS
            for path in (folder / name).glob("[!.]*")
            if path.suffix.lower() in TABLE_ENDINGS
        )
    if len(found) > 1:
        raise DataError(
            f"Expected one table of recordings in {folder}, found {', '.join(path.name for path in found)}; "
            "name the one to take as --dataset."
        )
    return found[0] if found else None


def list_manifest(manifest: Path, columns: Columns, confined_to: Path | None = None) -> Listing:
    """Lists the recordings that a table names.

    A path is absolute, or is taken from the table's folder; from a table in a folder `meta` or `metadata`, also from
    beside that folder. For a bare name, the one audio file of that name below is taken.

    Args:
        manifest: A CSV, TSV, JSONL or Parquet file.
        columns: Which columns mean what.
        confined_to: A folder that no path may leave, for tables from archives and from the Hub.

    Returns:
        The recordings in the order of the rows; files that do not exist are left out by name.

    Raises:
        DataError: A column is missing, a cell is empty or no number, a file stands twice, or no file exists.
    """
    reader = _ManifestReader(manifest, columns, confined_to)
    recordings: dict[str, Recording] = {}
    left_out = []
    for line, row in reader.rows:
        recording, exists = reader.recording(line, row)
        if recording.file_name in recordings:
            raise DataError(
                f"Expected every file once in {manifest}, found {recording.file_name} again in line {line}; "
                "remove a line."
            )
        recordings[recording.file_name] = recording
        if not exists:
            left_out.append(LeftOut(recording.file_name, f"no such file (line {line} of {manifest.name})"))
    if not recordings:
        raise DataError(f"Expected recordings in {manifest}, found no rows; add one line for each file.")
    if len(left_out) == len(recordings):
        raise DataError(
            f"Expected the files named in {manifest} to exist, found none of {len(recordings)}, the first "
            f"{left_out[0].file_name}; put the table where its paths start, or name the column with --file_column."
        )
    left_out_labels = {label for missing in left_out for label in recordings.pop(missing.file_name).labels}
    return Listing(list(recordings.values()), reader.multi_label, left_out, frozenset(left_out_labels))


class _ManifestReader:
    def __init__(self, manifest: Path, columns: Columns, confined_to: Path | None) -> None:
        self.manifest = manifest
        self.confined_to = confined_to
        self.folders = [manifest.parent]
        if manifest.parent.name.lower() in METADATA_FOLDERS:
            self.folders.append(manifest.parent.parent)
        self.separator = columns.label_separator
        self.names, self.rows = read_table(manifest)
        self.file_column = self._column("file", columns.file)
        self.label_column = self._column("label", columns.label)
        self.fold_column = self._column("fold", columns.fold)
        self.group_column = self._column("group", columns.group)
        self.start_column = self._column("start", columns.start)
        self.end_column = self._column("end", columns.end)
        # A column that was asked for has no empty cells; one that was found by its usual name may have.
        self.asked_for = {name for name in vars(columns).values() if name is not None}
        self.multi_label = self.separator is not None or any(
            isinstance(row.get(self.label_column or ""), list) for _, row in self.rows
        )

    def recording(self, line: int, row: Row) -> tuple[Recording, bool]:
        """The recording of a row, and whether its file exists."""
        cell = self._text(line, row, self.file_column, "file name", required=True)
        start, end = parse_span(
            self._text(line, row, self.start_column, "start", self.start_column in self.asked_for),
            self._text(line, row, self.end_column, "end", self.end_column in self.asked_for),
            f"line {line} of {self.manifest}",
        )
        path = self._find(cell, line)
        recording = Recording(
            name_of_span(Path(cell).as_posix(), start, end),
            self._labels(line, row),
            path or cell,
            self._text(line, row, self.fold_column, "fold", self.fold_column in self.asked_for) or None,
            self._text(line, row, self.group_column, "group", self.group_column in self.asked_for) or None,
            start,
            end,
        )
        return recording, path is not None

    def _column(self, meaning: str, asked_for: str | None) -> str | None:
        if asked_for == NO_COLUMN:
            return None
        usual = USUAL_NAMES.get(meaning, ())
        name = asked_for or next((name for name in usual if name in self.names), None)
        required = asked_for is not None or meaning in ("file", "label")
        if name not in self.names and required:
            raise DataError(
                f"Expected a column {name or usual[0]!r} in {self.manifest}, found "
                f"{', '.join(self.names) or 'no columns'}; name yours with --{meaning}_column."
            )
        return name

    def _text(self, line: int, row: Row, column: str | None, meaning: str, required: bool) -> str:
        text = "" if column is None else as_text(row.get(column))
        if required and not text:
            file_name = as_text(row.get(self.file_column or ""))
            raise DataError(
                f"Expected a {meaning} in column {column!r} of {self.manifest}, found none in line {line} "
                f"({file_name}); fill it in or remove the line."
            )
        return text

    def _labels(self, line: int, row: Row) -> tuple[str, ...]:
        value = row.get(self.label_column or "")
        if not self.multi_label:
            return (self._text(line, row, self.label_column, "label", required=True),)
        return split_labels(value, self.separator)

    def _find(self, cell: str, line: int) -> str | None:
        candidates = [path for folder in self.folders if os.path.isfile(path := os.path.join(folder, cell))][:1]
        # A name alone may be that of a file in any folder below. For a path all folders would be searched in vain.
        if not candidates and not os.path.dirname(cell):
            candidates = self._files_by_name.get(cell, [])
        if not candidates:
            return None
        if len(candidates) > 1:
            raise DataError(
                f"Expected one file {cell} (line {line} of {self.manifest}), found {len(candidates)}: "
                f"{candidates[0]}, {candidates[1]}; write their paths into the table."
            )
        path = candidates[0]
        if self.confined_to is not None and not Path(path).resolve().is_relative_to(self.confined_to.resolve()):
            raise DataError(
                f"Expected the files named in {self.manifest.name} within the data set, found {cell} in line {line}; "
                "remove the line, if you trust the rest."
            )
        return path

    @cached_property
    def _files_by_name(self) -> dict[str, list[str]]:
        by_name: dict[str, list[str]] = {}
        for path in find_files(self.folders[-1]):
            by_name.setdefault(os.path.basename(path), []).append(path)
        return by_name
