"""The two sides of a run: recordings to train on, cached or streamed, and recordings held out."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import datasets

from hfaudio.data import (
    AudioCrops,
    Crops,
    DecodingSettings,
    LeftOut,
    Recording,
    StreamedCrops,
    describe_listing,
    prepare_listing,
)
from hfaudio.data.crops import Augmentation
from hfaudio.training.data_arguments import DataArguments

__all__ = ["TrainingData", "load_training_data"]


@dataclass(frozen=True)
class TrainingData:
    """Recordings to train on and recordings to evaluate on.

    Attributes:
        split: The parts `train` and `test`; a streamed `train` has no waveforms.
        split_description: How they were chosen, in a few words.
        left_out: The recordings that could not be used.
        settings: How they are decoded.
        streamed: The recordings of the part `train`, if they are decoded when they are needed.
    """

    split: datasets.DatasetDict
    split_description: str
    left_out: Sequence[LeftOut]
    settings: DecodingSettings
    streamed: Sequence[Recording] | None = None

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
    def training_labels(self) -> list[int]:
        """Every class of every recording of the part `train`."""
        labels = self.split["train"]["label"][:]
        return [label for own in labels for label in own] if self.multi_label else labels

    def training_crops(self, crop_samples: int, augmentation: Augmentation | None = None) -> Crops:
        """The examples to train on; see `AudioCrops` and `StreamedCrops`."""
        if self.streamed is None:
            return AudioCrops(self.split["train"], crop_samples, augmentation)
        return StreamedCrops(self.streamed, self.split["train"], self.settings, crop_samples, augmentation)


def load_training_data(data: DataArguments, sampling_rate: int, seed: int) -> TrainingData:
    """Loads and divides the recordings.

    With `data.streaming` only the held-out part is decoded beforehand: it is scored more than once.

    Args:
        data: Which recordings to take, and how to divide them.
        sampling_rate: The rate wanted, in Hz.
        seed: Of a random split.

    Raises:
        hfaudio.data.DataError: They cannot be used as asked.
    """
    settings = data.settings(sampling_rate)
    if not data.streaming:
        audio = data.load(sampling_rate)
        split, description = data.divide(audio.dataset, seed)
        return TrainingData(split, description, audio.left_out, settings)
    listing = data.listing()
    rows = describe_listing(listing)
    # Copies are found by their content, which is not known before everything is decoded.
    rows = rows.add_column("content_hash", [None] * len(rows), feature=datasets.Value("string"))
    split, description = data.divide(rows, seed)
    by_name = {recording.file_name: recording for recording in listing.recordings}
    streamed, held_out = ([by_name[name] for name in split[part]["file_name"]] for part in ("train", "test"))
    label = rows.features["label"]
    class_names = label.feature.names if listing.multi_label else label.names
    test = prepare_listing(
        dataclasses.replace(listing, recordings=held_out), settings, data.preparation_processes, class_names
    )
    test.report()
    split = datasets.DatasetDict(train=split["train"], test=test.dataset)
    return TrainingData(split, description, test.left_out, settings, streamed)
