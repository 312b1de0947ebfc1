"""The Parquet files of a data set: each recording as it is encoded, with what is known of it."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import xxhash
from datasets.arrow_writer import ParquetWriter
from datasets.data_files import SPLIT_KEYWORDS

from hfaudio.data import Listing, PreparedAudio, Recording
from hfaudio.data.table_cells import name_of_span
from hfaudio.hub.pushed_files import PushError
from hfaudio.regular_files import only_regular

__all__ = ["DatasetFiles", "RowContent", "encoded_bytes", "public_name", "row_content", "write_dataset_files"]

SHARD_BYTES = 500_000_000  # as datasets has it
ROW_GROUP_BYTES = 32 << 20  # of which memory holds a few times as much while a file is written
LARGEST_RECORDING = 1 << 30  # bytes; a row group holds at most 2 GiB

PART_OF = {keyword: str(part) for part, keywords in SPLIT_KEYWORDS.items() for keyword in keywords}
"""What datasets calls a part, by the names that its folder can have; in the order in which parts are shown."""
TRAIN = str(datasets.Split.TRAIN)


class RowContent(NamedTuple):
    """What has to come back from the Hub of a recording.

    Attributes:
        digest: Of the encoded bytes.
        size: How many bytes these are.
        labels: Its classes.
        fold: Its fold, or else its part.
        group: Its source.
        start: Where it begins in the file, in seconds.
        end: Where it ends.
    """

    digest: str
    size: int
    labels: frozenset[str]
    fold: str | None
    group: str | None
    start: float | None
    end: float | None


@dataclass(frozen=True)
class DatasetFiles:
    """A data set as Parquet.

    Attributes:
        paths: For each path in the repository the file.
        features: The columns.
        parts: For each part what its rows hold, in their order.
    """

    paths: dict[str, Path]
    features: datasets.Features
    parts: dict[str, list[RowContent]]


def write_dataset_files(listing: Listing, audio: PreparedAudio, folder: Path) -> DatasetFiles:
    """Writes the recordings that can be learned from, one after another, each with the bytes of its file.

    Folds that are named like parts (`train`, `val`, `test` and the like) become the parts `train`, `validation` and
    `test`. Other folds are a column, and all rows are of the part `train`.

    Args:
        listing: The recordings.
        audio: What `hfaudio.data.prepare_listing` made of it.
        folder: Where the files go.

    Raises:
        PushError: The disk is full, or a recording is too large or gone.
    """
    by_name = {recording.file_name: recording for recording in listing.recordings}
    recordings = _with_public_groups([by_name[name] for name in audio.dataset["file_name"]])
    rows = list(zip(recordings, audio.dataset["label"][:], _parts(recordings), strict=True))
    # A stream shuffles rows that stand near each other: those of a class must not come together.
    rows.sort(key=lambda row: xxhash.xxh64_intdigest(row[0].file_name.encode()))
    files = DatasetFiles({}, _features(audio, recordings), {})
    with _room_in(folder), datasets.utils.tqdm(total=len(rows), desc="Writing", unit=" recordings") as progress:
        for part in dict.fromkeys(PART_OF.values()):
            own_rows = [(recording, label) for recording, label, own_part in rows if own_part == part]
            if not own_rows:
                continue
            files.parts[part] = []
            with _PartWriter(files.features, folder, part) as writer:
                for recording, label in own_rows:
                    encoded = encoded_bytes(recording)
                    fold = recording.fold if "fold" in files.features else None
                    files.parts[part].append(row_content(recording, encoded, fold or part))
                    writer.add(_row(recording, encoded, label), len(encoded))
                    progress.update()
            count = len(writer.paths)
            for index, path in enumerate(writer.paths):
                files.paths[f"data/{part}-{index:05d}-of-{count:05d}.parquet"] = path
    return files


def row_content(recording: Recording, encoded: bytes, fold: str | None) -> RowContent:
    """What a row holds of a recording.

    Args:
        recording: Which.
        encoded: Its bytes.
        fold: Its fold, or else its part.
    """
    digest = xxhash.xxh3_128_hexdigest(encoded)
    labels = frozenset(recording.labels)
    return RowContent(digest, len(encoded), labels, fold, recording.group, recording.start, recording.end)


def encoded_bytes(recording: Recording) -> bytes:
    """The bytes of the file of a recording.

    Raises:
        PushError: They are too many, or cannot be read.
    """
    encoded = recording.encoded()
    if isinstance(encoded, str):
        try:
            with open(encoded, "rb", opener=only_regular) as file:
                encoded = file.read()
        except OSError as error:
            raise PushError(
                f"Expected {recording.file_name} to stay as it is, found that it cannot be opened any more "
                f"({error.strerror}); run the same command again."
            ) from error
    if len(encoded) > LARGEST_RECORDING:
        raise PushError(
            f"Expected recordings of at most {LARGEST_RECORDING / 1e9:.2g} GB, found {len(encoded) / 1e9:.2g} GB in "
            f"{recording.file_name}; cut it, or compress it as FLAC."
        )
    return encoded


def public_name(file_name: str) -> str:
    """The name of a file without what tells how a machine is laid out: of an absolute path its last part alone.

    Nor does it lead upwards, wherever somebody may write a file of that name.
    """
    path = Path(os.path.normpath(file_name))
    return path.name if path.is_absolute() else "/".join(part for part in path.parts if part != "..")


def _with_public_groups(recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings with groups that tell no absolute path, and are as different as before."""
    groups = {recording.group for recording in recordings if recording.group is not None}
    paths = [group for group in groups if os.path.isabs(group)]
    shared = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    public = {path: os.path.relpath(path, shared) for path in paths}
    return [replace(recording, group=public.get(recording.group or "", recording.group)) for recording in recordings]


def _parts(recordings: Sequence[Recording]) -> list[str]:
    """The part of each recording."""
    if not _folds_are_parts(recordings):
        return [TRAIN] * len(recordings)
    return [PART_OF[(recording.fold or TRAIN).lower()] for recording in recordings]


def _folds_are_parts(recordings: Sequence[Recording]) -> bool:
    return all(recording.fold is None or recording.fold.lower() in PART_OF for recording in recordings)


def _features(audio: PreparedAudio, recordings: Sequence[Recording]) -> datasets.Features:
    text, seconds = datasets.Value("string"), datasets.Value("float64")
    features = {"audio": datasets.Audio(), "label": audio.dataset.features["label"], "file_name": text}
    if not _folds_are_parts(recordings):
        features["fold"] = text
    if any(recording.group is not None for recording in recordings):
        features["group"] = text
    if any(recording.start is not None or recording.end is not None for recording in recordings):
        features |= {"span_start": seconds, "span_end": seconds}
    return datasets.Features(features)


def _row(recording: Recording, encoded: bytes, label: int | list[int]) -> dict[str, Any]:
    """A value for every column that there can be."""
    file_name = public_name(recording.file_name.removesuffix(name_of_span("", recording.start, recording.end)))
    return {
        "audio": {"bytes": encoded, "path": Path(file_name).name},
        "label": label,
        "file_name": file_name,
        "fold": recording.fold,
        "group": recording.group,
        "span_start": recording.start,
        "span_end": recording.end,
    }


class _PartWriter:
    """Writes rows into Parquet files, the next one when one is large enough.

    Attributes:
        paths: The files.
    """

    def __init__(self, features: datasets.Features, folder: Path, part: str) -> None:
        self.paths: list[Path] = []
        self._features, self._folder, self._part = features, folder, part
        self._writer: ParquetWriter | None = None
        self._held: list[dict[str, Any]] = []
        self._held_bytes = self._shard_bytes = 0

    def add(self, row: dict[str, Any], size: int) -> None:
        """Takes a row, whose recording has so many bytes."""
        self._held.append(row)
        self._held_bytes += size
        if self._held_bytes >= ROW_GROUP_BYTES:
            self._write_held()
        if self._shard_bytes >= SHARD_BYTES:
            self._end_shard()

    def __enter__(self) -> "_PartWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._end_shard()
        elif self._writer is not None:
            self._writer.close()

    def _write_held(self) -> None:
        if self._writer is None:
            self.paths.append(self._folder / f"{self._part}-{len(self.paths):05d}.parquet")
            self._writer = ParquetWriter(features=self._features, path=str(self.paths[-1]))
        table = pa.Table.from_pylist(self._held, schema=self._features.arrow_schema)
        self._writer.write_table(table, len(self._held))
        self._shard_bytes += self._held_bytes
        self._held, self._held_bytes = [], 0

    def _end_shard(self) -> None:
        if self._held:
            self._write_held()
        if self._writer is not None:
            self._writer.finalize()
        self._writer, self._shard_bytes = None, 0


@contextmanager
def _room_in(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PushError(
                f"Expected room for a copy of all recordings in {folder.parent}, found the disk full; free some, or "
                "set HF_DATASETS_CACHE to a larger disk."
            ) from error
        raise
