"""Reading crops of prepared waveforms: drawn anew for training, whole for evaluation."""

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
import torch

__all__ = ["AudioCrops", "Crops", "as_targets", "draw_crop", "label_targets"]

Augmentation = Callable[[np.ndarray, int], np.ndarray]


def draw_crop(samples: np.ndarray, crop_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Cuts `crop_samples` out of `(samples,)` at a random place; a shorter waveform comes back whole."""
    spare = len(samples) - crop_samples
    if spare <= 0:
        return samples
    start = int(rng.integers(spare + 1))
    return samples[start : start + crop_samples]


class Crops(torch.utils.data.Dataset[dict[str, Any]]):
    """Examples as a `DataLoader` wants them, drawn from waveforms that a subclass knows how to read.

    An integer index gives the whole waveform, for evaluation: the feature extractor cuts out its middle. A pair
    `(index, seed)`, as `SeededSampler` draws it, gives a training example: a random crop, augmented, and the seed
    itself, so that whatever follows can draw from it too. Nothing else is random: the same pair is the same example
    in any process.

    Args:
        targets: `(recordings,)` class indices, or `(recordings, num_labels)` of 0 and 1 in multi-label data.
        crop_samples: Length of a training crop, in samples.
        augmentation: Maps a float32 waveform `(samples,)` and a seed to a waveform of the same length.
    """

    def __init__(self, targets: np.ndarray, crop_samples: int, augmentation: Augmentation | None = None) -> None:
        self.crop_samples = crop_samples
        self.augmentation = augmentation
        self._targets = targets

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """Returns `waveform` (float32, `(samples,)`), `labels` and, for a training example, `seed`."""
        if not isinstance(key, tuple):
            return {"waveform": self._waveform(key), "labels": self._targets[key]}
        index, seed = key
        samples = self._crop(index, np.random.default_rng(seed))
        if self.augmentation is not None:
            samples = self.augmentation(samples, seed)
        return {"waveform": samples, "labels": self._targets[index], "seed": seed}

    def _waveform(self, index: int) -> np.ndarray:
        raise NotImplementedError  # by AudioCrops and StreamedCrops

    def _crop(self, index: int, rng: np.random.Generator) -> np.ndarray:
        return draw_crop(self._waveform(index), self.crop_samples, rng)


class AudioCrops(Crops):
    """Crops of a prepared data set.

    Args:
        dataset: Of a `PreparedAudio`.
        crop_samples: Length of a training crop, in samples.
        augmentation: Maps a float32 waveform `(samples,)` and a seed to a waveform of the same length.
    """

    def __init__(self, dataset: datasets.Dataset, crop_samples: int, augmentation: Augmentation | None = None) -> None:
        super().__init__(label_targets(dataset), crop_samples, augmentation)
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
