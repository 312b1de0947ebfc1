"""Reading crops of prepared waveforms: drawn anew for training, whole for evaluation."""

from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import torch

__all__ = ["AudioCrops", "draw_crop"]

Augmentation = Callable[[np.ndarray, int], np.ndarray]


def draw_crop(samples: np.ndarray, crop_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Cuts `crop_samples` out of `(samples,)` at a random place; a shorter waveform comes back whole."""
    spare = len(samples) - crop_samples
    if spare <= 0:
        return samples
    start = int(rng.integers(spare + 1))
    return samples[start : start + crop_samples]


class AudioCrops(torch.utils.data.Dataset[dict[str, Any]]):
    """Waveforms of a prepared data set, as a `DataLoader` wants them.

    An integer index gives the whole waveform, for evaluation: the feature extractor cuts out its middle. A pair
    `(index, seed)`, as `SeededSampler` draws it, gives a training example: a random crop, augmented, and the seed
    itself, so that whatever follows can draw from it too. Nothing else is random: the same pair is the same example
    in any process.

    Args:
        dataset: Rows with `waveform` and `label`.
        crop_samples: Length of a training crop, in samples.
        augmentation: Maps a float32 waveform `(samples,)` and a seed to a waveform of the same length.
    """

    def __init__(self, dataset: datasets.Dataset, crop_samples: int, augmentation: Augmentation | None = None) -> None:
        self.crop_samples = crop_samples
        self.augmentation = augmentation
        self._labels = np.array(dataset["label"])
        self._waveforms = dataset.select_columns("waveform").with_format("arrow")

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """Returns `waveform` (float32, `(samples,)`), `labels` and, for a training example, `seed`."""
        if isinstance(key, tuple):
            index, seed = key
            samples = draw_crop(self._waveform(index), self.crop_samples, np.random.default_rng(seed))
            if self.augmentation is not None:
                samples = self.augmentation(samples, seed)
            return {"waveform": samples, "labels": int(self._labels[index]), "seed": seed}
        return {"waveform": self._waveform(key), "labels": int(self._labels[key])}

    def _waveform(self, index: int) -> np.ndarray:
        row = self._waveforms[index]["waveform"][0]
        # The memory-mapped samples themselves: nothing is copied before the crop.
        waveform: np.ndarray = row.values.to_numpy(zero_copy_only=True)
        return waveform
