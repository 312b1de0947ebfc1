"""The two sides of a run: recordings to train on, cached or streamed, and recordings held out."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import datasets
import numpy as np

from hfaudio.data import (
    AudioCrops,
    CropRule,
    Crops,
    DataError,
    DecodingSettings,
    LeftOut,
    LeftOutLog,
    Recording,
    StreamedCrops,
    StreamedTable,
    describe_listing,
    is_table_source,
    open_table_stream,
    prepare_listing,
    take_validation_part,
)
from hfaudio.data.crops import Augmentation
from hfaudio.training.data_arguments import DataArguments

__all__ = ["TrainingData", "load_training_data"]

logger = logging.getLogger(__name__)

STREAMED_FOR_NORMALIZATION = 1000  # recordings, enough for the mean of a band; all would be decoded once more


@dataclass(frozen=True)
class TrainingData:
    """Recordings to train on and recordings to evaluate on.

    Attributes:
        split: The parts `train`, `test` and perhaps `validation`; a streamed `train` has no waveforms, that of a
            table is not there.
        split_description: How they were chosen, in a few words.
        left_out: The recordings that could not be used, but for those that are found while streaming.
        settings: How they are decoded.
        streamed: What to train on, if it is decoded when it is needed: recordings, or the rows of a table.
    """

    split: datasets.DatasetDict
    split_description: str
    left_out: Sequence[LeftOut]
    settings: DecodingSettings
    streamed: Sequence[Recording] | datasets.IterableDataset | None = None

    @property
    def multi_label(self) -> bool:
        """Whether a recording can have any number of classes."""
        return not isinstance(self.split["test"].features["label"], datasets.ClassLabel)

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of their indices."""
        feature = self.split["test"].features["label"]
        names: list[str] = (feature.feature if self.multi_label else feature).names
        return names

    @property
    def evaluated_while_training(self) -> datasets.Dataset:
        """The validation part, or the held-out one where there is none."""
        return self.split["validation"] if "validation" in self.split else self.split["test"]

    @property
    def training_labels(self) -> list[int]:
        """Every class of every recording of the part `train`.

        Raises:
            DataError: They are read from a table as they are needed.
        """
        if "train" not in self.split:
            raise DataError("--class_weights balanced needs to know all classes first: leave it or --streaming out.")
        labels = self.split["train"]["label"][:]
        return [label for own in labels for label in own] if self.multi_label else labels

    def training_examples(
        self,
        crop: CropRule | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        process: int = 0,
        processes: int = 1,
        left_out: LeftOutLog | None = None,
    ) -> Crops | StreamedTable:
        """The examples to train on; see `AudioCrops`, `StreamedCrops` and `StreamedTable`.

        Args:
            crop: How they are cut; None where only whole recordings are asked for.
            augmentation: Maps a float32 waveform `(samples,)` and a seed to a waveform of the same length.
            seed: Of the order of a streamed table; elsewhere the sampler has it.
            process: The index of this process, for a streamed table.
            processes: How many there are.
            left_out: Where to note what is left out of streamed ones.
        """
        if self.streamed is None:
            return AudioCrops(self.split["train"], crop, augmentation)
        if isinstance(self.streamed, datasets.IterableDataset):
            return StreamedTable(self.streamed, self.settings, crop, augmentation, seed, process, processes, left_out)
        return StreamedCrops(self.streamed, self.split["train"], self.settings, crop, augmentation, left_out)

    def training_waveforms(self, left_out: LeftOutLog | None = None) -> Iterator[np.ndarray]:
        """Whole recordings to measure the features' normalization on: all, or of streamed ones a thousand."""
        examples = self.training_examples(left_out=left_out)
        if isinstance(examples, StreamedTable):
            yield from islice(examples.waveforms(), STREAMED_FOR_NORMALIZATION)
            return
        taken = len(examples) if self.streamed is None else min(len(examples), STREAMED_FOR_NORMALIZATION)
        for index in np.linspace(0, len(examples) - 1, taken).round().astype(int).tolist():
            yield examples[index]["waveform"]


def load_training_data(data: DataArguments, sampling_rate: int, seed: int, hold_out: bool = True) -> TrainingData:
    """Loads and divides the recordings.

    With `data.streaming` only the held-out part is decoded beforehand: it is scored more than once.

    Args:
        data: Which recordings to take, and how to divide them.
        sampling_rate: The rate wanted, in Hz.
        seed: Of a random split.
        hold_out: Otherwise the part `test` is empty; what is streamed is always divided.

    Raises:
        hfaudio.data.DataError: They cannot be used as asked.
    """
    settings = data.settings(sampling_rate)
    if not data.streaming:
        audio = data.load(sampling_rate)
        if hold_out:
            split, description = data.divide(audio.dataset, seed, audio.left_out)
        else:
            split = datasets.DatasetDict(train=audio.dataset, test=audio.dataset.select([]))
            description = "all recordings"
        if data.validation_size:
            split = take_validation_part(split, data.validation_size, seed)
        return TrainingData(split, description, [*audio.left_out, *_not_taken(audio.dataset, split)], settings)
    if len(data.dataset) == 1 and is_table_source(data.dataset[0]):
        return _stream_table(data, settings)
    return _stream_files(data, settings, seed)


def _stream_files(data: DataArguments, settings: DecodingSettings, seed: int) -> TrainingData:
    listing = data.listing()
    rows = describe_listing(listing)
    # Copies are found by their content, which is not known before everything is decoded.
    rows = rows.add_column("content_hash", [None] * len(rows), feature=datasets.Value("string"))
    split, description = data.divide(rows, seed, listing.left_out)
    not_taken = _not_taken(rows, split)
    by_name = {recording.file_name: recording for recording in listing.recordings}
    streamed, held_out = ([by_name[name] for name in split[part]["file_name"]] for part in ("train", "test"))
    logger.info("%d recordings to train on, decoded when they are needed; of those held out:", len(streamed))
    label = rows.features["label"]
    test = prepare_listing(
        dataclasses.replace(listing, recordings=held_out),
        settings,
        data.preparation_processes,
        getattr(label, "feature", label).names,
    )
    test.report()
    split = datasets.DatasetDict(train=split["train"], test=test.dataset)
    return TrainingData(split, description, [*test.left_out, *not_taken], settings, streamed)


def _not_taken(dataset: datasets.Dataset, split: datasets.DatasetDict) -> list[LeftOut]:
    taken = {name for part in split.values() for name in part["file_name"]}
    return [LeftOut(name, "the given split leaves it out") for name in dataset["file_name"] if name not in taken]


def _stream_table(data: DataArguments, settings: DecodingSettings) -> TrainingData:
    stream = open_table_stream(data.dataset[0], data.columns(), data.eval_folds)
    test = prepare_listing(stream.held_out, settings, data.preparation_processes, stream.class_names)
    logger.info("Rows to train on are read when they are needed; of those held out:")
    test.report()
    description = f"the given part {', '.join(stream.held_out_parts)}"
    split = datasets.DatasetDict(test=test.dataset)
    return TrainingData(split, description, test.left_out, settings, stream.rows)
