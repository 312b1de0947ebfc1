"""The order of the training examples, and the seed that each is drawn with."""

import math
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from hfaudio.data.crops import ExampleKey

__all__ = ["SeededSampler"]

STEPS = 100  # of the progress of a training


class SeededSampler(Sampler[ExampleKey]):
    """Shuffles anew each epoch, and gives every example a seed of its own.

    All randomness of an example (its crop, its augmentation, its masks) follows from that seed, hence from the run's
    seed, the epoch and the place in the order: neither workers, processes nor an interruption change it. Only the
    colour that an example takes on (`feature_augmentation.mix_styles`) is that of another one of its batch.

    Args:
        num_examples: Size of the data set.
        seed: The run's seed.
        num_epochs: Length of the training.
    """

    def __init__(self, num_examples: int, seed: int, num_epochs: float = 1.0) -> None:
        self.num_examples = num_examples
        self.seed = seed
        self.num_epochs = num_epochs
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by `Trainer` before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_examples

    def __iter__(self) -> Iterator[ExampleKey]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.num_examples).tolist()
        seeds = rng.integers(2**32, size=self.num_examples).tolist()
        for place, (index, seed) in enumerate(zip(order, seeds, strict=True)):
            # In steps, so that the examples of a batch nearly always agree.
            behind = (self.epoch + place / self.num_examples) / self.num_epochs
            yield ExampleKey(index, seed, min(1.0, math.floor(behind * STEPS) / STEPS))
