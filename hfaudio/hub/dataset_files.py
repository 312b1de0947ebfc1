"""The Parquet files of a data set: each recording as it is encoded, with what is known of it."""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import xxhash
from datasets.arrow_writer import ParquetWriter
from datasets.data_files import SPLIT_KEYWORDS

from hfaudio.data import Listing, PreparedAudio, Recording
from hfaudio.hub.pushed_files import PushError

__all__ = ["ContentOfRow", "DatasetFiles", "content_of", "write_dataset_files"]

SHARD_BYTES = 500_000_000  # as datasets has it
ROW_GROUP_BYTES = 32 << 20  # held in memory while a file is written, and a few times that
LARGEST_RECORDING = 1 << 30  # bytes; Parquet's columns of bytes hold 2 GiB at a time

PART_OF = {keyword: str(part) for part, keywords in SPLIT_KEYWORDS.items() for keyword in keywords}
"""What the Hub calls a part, by the names that its folder or its fold can have."""
TRAIN = str(datasets.Split.TRAIN)


class ContentOfRow(NamedTuple):
    """What has to come back from the Hub of a recording.

    Attributes:
        digest: Of the encoded bytes.
        labels: Its classes.
        fold: Its fold, or else its part.
        group: Its source.
        start: Where it begins in the file, in seconds.
        end: Where it ends.
    """

    digest: str
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
        parts: For each part, in the order of the Hub, what its rows hold.
        encoded_bytes: For each part, how many bytes its recordings have.
    """

    paths: dict[str, Path]
    features: datasets.Features
    parts: dict[str, list[ContentOfRow]]
    encoded_bytes: dict[str, int]


def write_dataset_files(listing: Listing, audio: PreparedAudio, folder: Path) -> DatasetFiles:
    """Writes the recordings that can be learned from, one after another, each as its file or table has it.

    Folds that are named like parts (`train`, `val`, `test` and the like) become `train`, `validation` and `test`; other
    ones stay a column, and all is `train`. Names lose what would tell of the machine: of an absolute path the last
    part stays, and no path leads upwards.

    Args:
        listing: The recordings.
        audio: What `prepare_listing` made of it.
        folder: Where the files go.

    Raises:
        PushError: The disk is full, a recording has more than 1 GiB, or its file is gone.
    """
    by_name = {recording.file_name: recording for recording in listing.recordings}
    recordings = [by_name[name] for name in audio.dataset["file_name"]]
    names = parts_of(recordings)
    features = _features(audio, recordings, folds=set(names) == {TRAIN})
    files = DatasetFiles({}, features, {}, {})
    rows = list(zip(recordings, audio.dataset["label"][:], names, strict=True))
    # A stream mixes the rows that stand near each other: those of one class must not come together.
    rows.sort(key=lambda row: xxhash.xxh64_intdigest(row[0].file_name.encode()))
    with datasets.utils.tqdm(total=len(rows), desc="Writing", unit=" recordings") as progress:
        for part in sorted(set(names), key=list(PART_OF.values()).index):
            files.parts[part], files.encoded_bytes[part] = [], 0

            def encoded_rows(part: str = part) -> Iterator[dict[str, Any]]:
                for recording, label, own_part in rows:
                    if own_part == part:
                        encoded = _encoded(recording)
                        files.parts[part].append(content_of(recording, encoded, recording.fold or part))
                        files.encoded_bytes[part] += len(encoded)
                        progress.update()
                        yield _row(recording, encoded, label, features)

            shards = _write_shards(encoded_rows(), features, folder, part)
            for index, path in enumerate(shards):
                files.paths[f"data/{part}-{index:05d}-of-{len(shards):05d}.parquet"] = path
    return files
