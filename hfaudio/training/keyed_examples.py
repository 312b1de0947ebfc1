"""Training examples of any data set, drawn by the keys of the training sampler."""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import ConcatDataset, Subset

from hfaudio.data import Crops, ExampleKey
from hfaudio.training.mixing import MixedCrops

__all__ = ["KeyedExamples"]


class KeyedExamples(torch.utils.data.Dataset[Any]):
    """Examples of a data set that need not know of keys, as `Crops` and `MixedCrops` do.

    Those of a list, a `datasets.Dataset` or another data set are looked up by their index and get the `seed` and the
    `progress` of the key, so that `SpecAugmentCollator` changes them as training examples. What `Subset` and
    `ConcatDataset` hold is drawn as it would be by itself.

    Args:
        dataset: With a length, and an example for each index: for `SpecAugmentCollator` a dictionary with `waveform`
            and `labels`.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: ExampleKey) -> Any:
        """Returns the example of a key."""
        return _drawn(self.dataset, ExampleKey(*key))


def _drawn(dataset: Any, key: ExampleKey) -> Any:
    if isinstance(dataset, (Crops, MixedCrops, KeyedExamples)):
        return dataset[key]
    if isinstance(dataset, Subset):
        return _drawn(dataset.dataset, key._replace(recording=int(dataset.indices[key.recording])))
    if isinstance(dataset, ConcatDataset):
        part = bisect_right(dataset.cumulative_sizes, key.recording)
        before = dataset.cumulative_sizes[part - 1] if part else 0
        return _drawn(dataset.datasets[part], key._replace(recording=key.recording - before))
    example = dataset[key.recording]
    return {"seed": key.seed, "progress": key.progress, **example} if isinstance(example, Mapping) else example
