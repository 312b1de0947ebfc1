"""Training on a Hub data set, or a folder of Parquet files, that is read from afar as it is needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import datasets
import fsspec
import numpy as np
import torch
from datasets.distributed import split_dataset_by_node

from hfaudio.audio import UnreadableAudioError, decode_audio
from hfaudio.data.crops import Augmentation, CropRule, as_targets
from hfaudio.data.errors import DataError, named
from hfaudio.data.left_out_log import LeftOutLog
from hfaudio.data.prepared_cache import DecodingSettings
from hfaudio.data.ready_datasets import audio_and_label_columns, is_hub_id, list_dataset, load_parts, span_columns
from hfaudio.data.recordings import Columns, Listing
from hfaudio.data.silence import trim_silence
from hfaudio.data.splits import given_test_parts
from hfaudio.data.table_cells import as_text, is_class_label, name_of_span, parse_span

__all__ = ["StreamedTable", "TableStream", "is_table_source", "open_table_stream"]

ENCODED_AUDIO = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}  # what `datasets.Audio` stores
WAITING_ROWS = 500  # still encoded, from which the next example is drawn


def is_table_source(source: str) -> bool:
    """Whether a source is a Hub data set, or a folder of Parquet files as the Hub has it."""
    path = Path(source)
    if path.is_dir():
        return any(path.rglob("*.parquet")) and not any(path.glob("metadata.*"))
    return not path.exists() and is_hub_id(source)


@dataclass(frozen=True)
class TableStream:
    """A data set whose part to train on is read as it is needed.

    Attributes:
        rows: The part to train on, with the columns `audio` (encoded), `label`, and `start` and `end` where they are
            known.
        held_out: The recordings to evaluate on, which are downloaded.
        held_out_parts: The names of their parts.
        class_names: In the order of their indices.
    """

    rows: datasets.IterableDataset
    held_out: Listing
    held_out_parts: list[str]
    class_names: list[str]


def open_table_stream(source: str, columns: Columns, held_out_parts: Sequence[str] = ()) -> TableStream:
    """Opens a data set with a part to train on and parts to hold out.

    Args:
        source: A Hub id, or a folder of Parquet files.
        columns: Which columns mean what.
        held_out_parts: The parts to hold out; none takes what is named like a test part.

    Raises:
        DataError: It cannot be opened, has no such parts, or does not declare its classes.
    """
    streams = load_parts(source, streaming=True)
    held_out = list(held_out_parts) or given_test_parts(datasets.Dataset.from_dict({"fold": list(streams)}))
    trained = [part for part in streams if part not in held_out]
    if not held_out or not set(held_out) < set(streams) or len(trained) != 1:
        raise DataError(
            f"Expected for --streaming one part of {source} to train on and others to hold out, found "
            f"{named(streams)}; name those to hold out with --eval_folds, or leave --streaming out."
        )
    rows = streams[trained[0]]
    features = rows.features or {}
    audio_column, label_column = audio_and_label_columns(features, columns)
    label = features[label_column]
    if not is_class_label(label):
        raise DataError(
            f"Expected the classes of {source} to be declared for --streaming, found a column {label_column!r} of "
            "another type than ClassLabel; leave --streaming out, and they are collected first."
        )
    names = getattr(label, "feature", label).names
    # Whatever comes before this cast would have datasets decode every row, by torchcodec, and whatever comes after one
    # to `Audio(decode=False)` encode it.
    rows = rows.cast_column(audio_column, ENCODED_AUDIO)
    start_column, end_column = span_columns(features, columns)
    taken = {"audio": audio_column, "label": label_column, "start": start_column, "end": end_column}
    rows = rows.select_columns([old for old in taken.values() if old is not None])
    for new, old in taken.items():
        rows = rows if old in (None, new) else rows.rename_column(old, new)
    listing = list_dataset(load_parts(source, parts=held_out), columns)
    return TableStream(rows, listing, held_out, names)


class StreamedTable(torch.utils.data.IterableDataset[dict[str, Any]]):
    """Training examples from rows that pass by, without end: epoch follows on epoch, each in another order.

    Rows are shared out among processes and workers. Order, crops and augmentation follow from the seed, the process
    and the worker, so that the same command gives the same examples. A recording that nothing can be learned from is
    left out.

    Args:
        rows: With `audio` (encoded), `label`, and perhaps `start` and `end` in seconds.
        settings: How to decode.
        crop: How training crops are cut; None where there are none.
        augmentation: Maps a float32 waveform `(samples,)` and a seed to a waveform of the same length.
        seed: Of everything that is random.
        process: The index of this process.
        processes: How many there are.
        left_out: Where to note what is left out; None warns of it alone.
    """

    def __init__(
        self,
        rows: datasets.IterableDataset,
        settings: DecodingSettings,
        crop: CropRule | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        process: int = 0,
        processes: int = 1,
        left_out: LeftOutLog | None = None,
    ) -> None:
        self.settings = settings
        self.crop = crop
        self.augmentation = augmentation
        self.seed = seed
        self.process = process
        self._label = rows.features["label"]
        self._rows = split_dataset_by_node(rows.shuffle(seed=seed, buffer_size=WAITING_ROWS), process, processes)
        self._left_out = left_out or LeftOutLog()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yields training examples, as `AudioCrops` has them.

        How long the training is, a stream does not know: `progress` is always 1.

        Raises:
            DataError: No row can be learned from.
        """
        if self.crop is None:
            raise TypeError("Training examples need a CropRule, found none.")
        worker = torch.utils.data.get_worker_info()
        for epoch in count():
            self._rows.set_epoch(epoch)
            rng = np.random.default_rng([self.seed, epoch, self.process, 0 if worker is None else worker.id])
            passed = read = 0
            for row in self._rows:
                passed += 1
                waveform = self._decode(row)
                if waveform is None:
                    continue
                read += 1
                seed = int(rng.integers(2**32))
                crop = self.crop.draw(waveform, np.random.default_rng(seed))
                if self.augmentation is not None:
                    crop = self.augmentation(crop, seed)
                target = as_targets([row["label"]], self._label)[0]
                yield {
                    "waveform": crop,
                    "labels": target,
                    "seed": seed,
                    "progress": 1.0,
                    "crop_samples": self.crop.samples,
                }
            if passed == 0:
                return  # there are fewer files than workers
            if read == 0:
                raise DataError(f"Expected recordings that can be read, found none among {passed} rows.")

    def waveforms(self) -> Iterator[np.ndarray]:
        """The whole recordings, once, in the order of the table."""
        for row in self._rows:
            waveform = self._decode(row)
            if waveform is not None:
                yield waveform

    def _decode(self, row: dict[str, Any]) -> np.ndarray | None:
        path, content = row["audio"].get("path") or "", row["audio"].get("bytes")
        start, end = parse_span(as_text(row.get("start")), as_text(row.get("end")), f"a row ({path})")
        try:
            if content is None:
                with fsspec.open(path, "rb") as file:
                    content = file.read()
            waveform = decode_audio(content, self.settings.sampling_rate, self.settings.decoder, start, end)
        except (UnreadableAudioError, FileNotFoundError) as error:
            self._left_out.add(name_of_span(path or "a row", start, end), str(error))
            return None
        return trim_silence(waveform, self.settings.sampling_rate, self.settings.trim_silence)
