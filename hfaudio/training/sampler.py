"""The order of the training examples, and the seed that each is drawn with."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from hfaudio.data.crops import ExampleKey

__all__ = ["SeededSampler"]


class SeededSampler(Sampler[ExampleKey]):
    """Shuffles anew each epoch, and gives every example a seed of its own.

    All randomness of an example (its crop, its augmentation, its masks) follows from that seed, hence from the run's
    seed, the epoch and the place in the order: the number of workers or processes, or an interruption, changes
    nothing.

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
        progress = min(1.0, self.epoch / self.num_epochs)
        for index, seed in zip(order, seeds, strict=True):
            yield ExampleKey(index, seed, progress)
