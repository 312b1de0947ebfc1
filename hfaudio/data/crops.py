"""Reading crops of prepared waveforms: drawn anew for training, whole for evaluation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch

from hfaudio.data.errors import DataError

__all__ = ["AudioCrops", "CropRule", "Crops", "ExampleKey", "as_targets", "label_targets"]

Augmentation = Callable[[np.ndarray, int], np.ndarray]

FULLY_GROWN = 0.75  # of the training; the rest of it sees whole crops
QUIET = 1e-3  # of a recording's mean power: 30 dB below it
MOST_DRAWS = 6  # of a place that is not silent, before one is looked for
LOOKED_AT = 200_000  # samples


class ExampleKey(NamedTuple):
    """What a training example follows from.

    Attributes:
        recording: Its index.
        seed: Of all that is random about the example.
        progress: The share of the training that lies behind it, from 0 to 1.
    """

    recording: int
    seed: int
    progress: float = 1.0


@dataclass(frozen=True)
class CropRule:
    """How training crops are cut out of waveforms.

    Attributes:
        samples: Their length.
        speed: They are played up to so many times as fast, or as slowly, which changes pitch and tempo together;
            1 leaves them as they are.
        margin: Samples of silence before and behind a recording into which a crop may reach.
        first_samples: Their length when the training begins, from which they grow for three quarters of it; None for
            one length throughout.

    Raises:
        ValueError: A value lies outside its bounds.
    """

    samples: int
    speed: float = 1.0
    margin: int = 0
    first_samples: int | None = None

    def __post_init__(self) -> None:
        if not 1.0 <= self.speed <= 2.0:
            raise ValueError(f"speed must be from 1 to 2, found {self.speed!r}.")
        if self.margin < 0:
            raise ValueError(f"margin must be at least 0 samples, found {self.margin!r}.")
        if self.first_samples is not None and not 0 < self.first_samples <= self.samples:
            raise ValueError(f"first_samples must be from 1 to {self.samples} samples, found {self.first_samples!r}.")

    def length(self, progress: float) -> int:
        """The samples of a crop after some share of the training."""
        if self.first_samples is None:
            return self.samples
        return round(grown(self.first_samples, self.samples, progress))

    def draw(self, waveform: np.ndarray, rng: np.random.Generator, progress: float = 1.0) -> np.ndarray:
        """Cuts a crop out of `(samples,)` at a random place; a shorter waveform comes back whole, at its speed.

        A place where the recording is silent is drawn anew, since nothing of its class is to be heard there; after a
        few such draws one around an audible sample is taken.
        """
        length = self.length(progress)
        factor = self.speed ** float(rng.uniform(-1.0, 1.0)) if self.speed > 1.0 else 1.0
        needed = length if factor == 1.0 else math.ceil(length * factor) + 1
        spare = len(waveform) + 2 * self.margin - needed
        crop = waveform
        if spare > 0:
            audible = QUIET * needed * _power(waveform)
            for _ in range(MOST_DRAWS):
                crop = self._cut(waveform, int(rng.integers(spare + 1)) - self.margin, needed)
                if crop @ crop >= audible:
                    break
            else:
                crop = self._cut(waveform, self._audible_start(waveform, needed, rng), needed)
        return crop if factor == 1.0 else _change_speed(crop, factor)[:length]

    def _audible_start(self, waveform: np.ndarray, needed: int, rng: np.random.Generator) -> int:
        heard = np.flatnonzero(np.square(waveform) >= QUIET * _power(waveform))
        start = int(rng.choice(heard)) - int(rng.integers(needed))
        return min(max(start, -self.margin), len(waveform) + self.margin - needed)

    def _cut(self, waveform: np.ndarray, start: int, needed: int) -> np.ndarray:
        crop = waveform[max(start, 0) : max(start + needed, 0)]
        if len(crop) == needed:
            return crop
        before = min(max(-start, 0), needed)
        return np.pad(crop, (before, needed - before - len(crop)))


def _power(waveform: np.ndarray) -> float:
    """The mean power of `(samples,)`; of a long recording not every sample is looked at."""
    some = waveform[:: 1 + len(waveform) // LOOKED_AT]
    return float(some @ some) / len(some)


def grown(first: float, last: float, progress: float) -> float:
    """What grows evenly from `first` to `last` during three quarters of the training, at some share of it."""
    return first + (last - first) * min(1.0, progress / FULLY_GROWN)


def _change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Reads `(samples,)` at steps of `factor`, between two samples on the line that joins them."""
    places = np.arange(0.0, len(samples) - 1, factor)
    before = places.astype(np.int64)
    share = (places - before).astype(np.float32)
    changed: np.ndarray = samples[before] * (1.0 - share) + samples[before + 1] * share
    return changed if len(changed) else samples


class Crops(torch.utils.data.Dataset[dict[str, Any]]):
    """Examples as a `DataLoader` wants them, drawn from waveforms that a subclass knows how to read.

    An integer index gives the whole waveform, for evaluation: the feature extractor cuts out its middle. An
    `ExampleKey`, as `SeededSampler` draws it, gives a training example: a random crop, augmented, with its seed and
    progress, so that whatever follows can draw from them too. Nothing else is random: the same key is the same
    example in any process.

    Args:
        targets: `(recordings,)` class indices, or `(recordings, num_labels)` of 0 and 1 in multi-label data.
        crop: How training crops are cut; None where there are none.
        augmentation: Maps a float32 waveform `(samples,)` and a seed to a waveform of the same length.
    """

    def __init__(
        self, targets: np.ndarray, crop: CropRule | None = None, augmentation: Augmentation | None = None
    ) -> None:
        self.targets = targets
        self.crop = crop
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, key: int | ExampleKey) -> dict[str, Any]:
        """Returns an example.

        It has `waveform` (float32, `(samples,)`) and `labels`; a training example also its `seed` and `progress`, and
        `crop_samples`, the length that its crop has where the recording is long enough.
        """
        if not isinstance(key, tuple):
            return {"waveform": self._waveform(key), "labels": self.targets[key]}
        index, seed, progress = ExampleKey(*key)
        if self.crop is None:
            raise TypeError("Training examples need a CropRule, found none.")
        samples = self._crop(index, self.crop, np.random.default_rng(seed), progress)
        if self.augmentation is not None:
            samples = _of_the_same_length(self.augmentation(samples, seed), samples)
        return {
            "waveform": samples,
            "labels": self.targets[index],
            "seed": seed,
            "progress": progress,
            "crop_samples": self.crop.length(progress),
        }

    def _waveform(self, index: int) -> np.ndarray:
        raise NotImplementedError  # by AudioCrops and StreamedCrops

    def _crop(self, index: int, crop: CropRule, rng: np.random.Generator, progress: float) -> np.ndarray:
        return crop.draw(self._waveform(index), rng, progress)


def _of_the_same_length(changed: np.ndarray, samples: np.ndarray) -> np.ndarray:
    if changed.shape != samples.shape:
        raise DataError(
            f"Expected --waveform_augmentation to leave a crop as long as it is, {len(samples)} samples, found "
            f"{len(changed)} samples; set leave_length_unchanged, or take that transform out."
        )
    return changed


class AudioCrops(Crops):
    """Crops of a prepared data set.

    Args:
        dataset: Of a `PreparedAudio`.
        crop: How training crops are cut; None where there are none.
        augmentation: Maps a float32 waveform `(samples,)` and a seed to a waveform of the same length.
    """

    def __init__(
        self, dataset: datasets.Dataset, crop: CropRule | None = None, augmentation: Augmentation | None = None
    ) -> None:
        super().__init__(label_targets(dataset), crop, augmentation)
        # Not select_columns: of the tables that stand side by side, one without columns cannot be pickled.
        self._waveforms = dataset.with_format("arrow", columns=["waveform"])

    def _waveform(self, index: int) -> np.ndarray:
        row = self._waveforms[index]["waveform"][0]
        # The memory-mapped samples themselves: nothing is copied before the crop.
        waveform: np.ndarray = row.values.to_numpy(zero_copy_only=True)
        return waveform


def label_targets(dataset: datasets.Dataset) -> np.ndarray:
    """The classes of all rows, as a loss takes them.

    Args:
        dataset: With a column `label`, a `ClassLabel` or a list of them.

    Returns:
        `(rows,)` indices, or `(rows, num_labels)` of 0 and 1 in float32.
    """
    return as_targets(dataset["label"][:], dataset.features["label"])


def as_targets(labels: Sequence[Any], feature: Any) -> np.ndarray:
    """Class indices as a loss takes them.

    Args:
        labels: An index for each row, or a list of them.
        feature: A `ClassLabel`, or a list of them.

    Returns:
        `(rows,)` indices, or `(rows, num_labels)` of 0 and 1 in float32.
    """
    if isinstance(feature, datasets.ClassLabel):
        return np.array(labels, np.int64)
    targets = np.zeros((len(labels), len(feature.feature.names)), np.float32)
    for row, own in zip(targets, labels, strict=True):
        row[own] = 1.0
    return targets
