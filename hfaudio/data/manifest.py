"""Manifests: a CSV, TSV, JSONL or Parquet table with one row a recording."""

import dataclasses
import os
from pathlib import Path

from hfaudio.audio import AUDIO_EXTENSIONS
from hfaudio.data.errors import DataError, named
from hfaudio.data.named_files import URL, AmbiguousNameError, NamedFiles
from hfaudio.data.parts import folds_by_folder, part_kind
from hfaudio.data.recordings import Columns, LeftOut, Listing, Recording
from hfaudio.data.table_cells import as_text, check_label_lists, name_of_span, parse_span, split_labels
from hfaudio.data.table_files import TABLE_ENDINGS, Row, read_table

__all__ = ["METADATA_FOLDERS", "NO_COLUMN", "USUAL_NAMES", "find_manifest", "list_manifest"]

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
    # One that cannot be read, such as a link that leads nowhere, is not passed over: whoever reads it says so.
    found = [path for path in found if os.path.lexists(path) and not path.is_dir()]
    if not found:
        found = sorted(
            path
            for name in METADATA_FOLDERS
            for path in (folder / name).glob("[!.]*")
            if path.suffix.lower() in TABLE_ENDINGS
        )
    if len(found) > 1:
        raise DataError(
            f"Expected one table of recordings in {folder}, found {named(path.name for path in found)}; "
            "name the one to take as --dataset."
        )
    return found[0] if found else None


def list_manifest(manifest: Path, columns: Columns, confined_to: Path | None = None) -> Listing:
    """Lists the recordings that a table names.

    A path is absolute, or is taken from the table's folder, from `audio` or `wavs` in it, or, of a table in a folder
    `meta` or `metadata`, from beside that folder; see `NamedFiles`. Where no column tells any fold, folders named
    like the parts of a split (`train/1.wav`) do.

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
    recordings: list[Recording] = []
    left_out = []
    left_out_labels: set[str] = set()
    seen: dict[object, Recording] = {}
    for line, row in reader.rows:
        recording, exists = reader.recording(line, row)
        # One file may have several names: `a.wav`, `./a.wav`, `sub/../a.wav`.
        key = (os.path.normpath(str(recording.audio)), recording.start, recording.end)
        earlier = seen.setdefault(key, recording)
        if earlier is not recording:
            other = "" if earlier.labels == recording.labels else f", as {named(recording.labels)} and not as "
            raise DataError(
                f"Expected every file once in {manifest}, found {recording.file_name} again in line {line}"
                f"{other and other + named(earlier.labels)}; remove a line"
                f"{other and ', or write several classes into one cell (--label_separator)'}."
            )
        if exists:
            recordings.append(recording)
            continue
        why = "a URL, and nothing is downloaded" if URL.match(recording.file_name) else "no such file"
        left_out.append(LeftOut(recording.file_name, f"{why} (line {line} of {manifest.name})"))
        left_out_labels.update(recording.labels)
    if not seen:
        raise DataError(f"Expected recordings in {manifest}, found no rows; add one line for each file.")
    if not recordings:
        first = left_out[0]
        raise DataError(
            f"Expected the files named in {manifest} to exist, found none of {len(left_out)}, the first "
            f"{first.file_name}: {first.reason}; put the table where its paths start, or name the column with "
            "--file_column."
        )
    return Listing(reader.with_folds(recordings), reader.multi_label, left_out, frozenset(left_out_labels))


class _ManifestReader:
    def __init__(self, manifest: Path, columns: Columns, confined_to: Path | None) -> None:
        self.manifest = manifest
        self.confined_to = confined_to
        folders = [manifest.parent]
        if part_kind(manifest.stem):  # of train.csv the files may lie in train
            folders.insert(0, manifest.with_suffix(""))
        if manifest.parent.name.lower() in METADATA_FOLDERS:
            folders.append(manifest.parent.parent)
        self.root = folders[-1]
        self.files = NamedFiles(folders)
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
        check_label_lists(
            [row.get(self.label_column or "") for _, row in self.rows],
            self.separator,
            f"column {self.label_column!r} of {manifest}",
        )
        self.may_infer_folds = columns.fold != NO_COLUMN

    def recording(self, line: int, row: Row) -> tuple[Recording, bool]:
        """The recording of a row, and whether its file exists."""
        cell = self._text(line, row, self.file_column, "file name", required=True)
        start, end = parse_span(
            self._text(line, row, self.start_column, "start", self.start_column in self.asked_for),
            self._text(line, row, self.end_column, "end", self.end_column in self.asked_for),
            f"line {line} of {self.manifest}",
        )
        path, name = self._find(cell, line)
        recording = Recording(
            name_of_span(name, start, end),
            self._labels(line, row),
            path or cell,
            self._text(line, row, self.fold_column, "fold", self.fold_column in self.asked_for) or None,
            self._text(line, row, self.group_column, "group", self.group_column in self.asked_for) or None,
            start,
            end,
        )
        return recording, path is not None

    def with_folds(self, recordings: list[Recording]) -> list[Recording]:
        """The recordings with the folds that their folders tell, where no column tells any."""
        if not self.may_infer_folds or any(recording.fold for recording in recordings):
            return recordings
        paths = [os.path.abspath(str(recording.audio)) for recording in recordings]
        root = os.path.abspath(self.root)
        if all(Path(path).is_relative_to(root) for path in paths):
            paths = [os.path.relpath(path, root) for path in paths]
        folds = folds_by_folder(paths, [recording.labels for recording in recordings])
        return [dataclasses.replace(recording, fold=fold) for recording, fold in zip(recordings, folds, strict=True)]

    def _column(self, meaning: str, asked_for: str | None) -> str | None:
        if asked_for == NO_COLUMN:
            return None
        usual = USUAL_NAMES.get(meaning, ())
        name = asked_for or next((name for name in usual if name in self.names), None)
        required = asked_for is not None or meaning in ("file", "label")
        if name not in self.names and required:
            headless = any(os.path.splitext(found)[1].lower() in AUDIO_EXTENSIONS for found in self.names)
            raise DataError(
                f"Expected a column {name or usual[0]!r} in {self.manifest}, found "
                f"{named(self.names) or 'no columns'}; "
                + ("write the names of the columns into" if headless else "name yours with ")
                + (" the first line." if headless else f"--{meaning}_column.")
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

    def _find(self, cell: str, line: int) -> tuple[str | None, str]:
        """The path of a file, if it is there, and its name with forward slashes."""
        try:
            path = self.files.find(cell)
        except AmbiguousNameError as error:
            raise DataError(
                f"Expected one file {cell} (line {line} of {self.manifest}), found {error}; write their paths into "
                "the table."
            ) from error
        if path is None:
            return None, cell if URL.match(cell) else Path(cell).as_posix()
        if self.confined_to is not None and not Path(path).resolve().is_relative_to(self.confined_to.resolve()):
            raise DataError(
                f"Expected the files named in {self.manifest.name} within the data set, found {cell} in line {line}; "
                "remove the line, if you trust the rest."
            )
        written = cell if os.path.basename(path) == os.path.basename(cell) else cell.replace("\\", "/")
        return path, Path(written).as_posix()
