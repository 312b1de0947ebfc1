"""The order of the training examples, and the seed that each is drawn with."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset, Sampler

from hfaudio.data.crops import ExampleKey

__all__ = ["SeededSampler", "SharedBatches", "SharedStream"]

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


class SharedBatches(Sampler[list[Any]]):
    """The share of one process in batches that several have together.

    The batches are those of one process with all of the examples. The last one of an epoch may be smaller: its
    examples are shared out evenly, and where there are fewer of them than processes, the rest have one of them again.

    Args:
        order: Of the examples.
        batch_size: Of one process.
        process: The index of this process.
        processes: How many there are.
        drop_last: Leave out the last batch if it is smaller.
    """

    def __init__(
        self, order: Sampler[Any], batch_size: int, process: int, processes: int, drop_last: bool = False
    ) -> None:
        self.sampler = order
        self.batch_size = batch_size
        self.process = process
        self.processes = processes
        self.drop_last = drop_last

    def __len__(self) -> int:
        examples: Any = self.sampler
        rounded = math.floor if self.drop_last else math.ceil
        return rounded(len(examples) / (self.batch_size * self.processes))

    def __iter__(self) -> Iterator[list[Any]]:
        examples = iter(self.sampler)
        for _ in range(len(self)):
            batch = list(islice(examples, self.batch_size * self.processes))
            yield _share(batch, self.process, self.processes)


class SharedStream(IterableDataset[Any]):
    """The share of one process in a stream that knows nothing of processes; see `SharedBatches`.

    Each process reads the whole of it.

    Args:
        stream: The same in every process.
        batch_size: Of one process.
        process: The index of this process.
        processes: How many there are.
        drop_last: Leave out the last batch if it is smaller.
    """

    def __init__(
        self, stream: IterableDataset[Any], batch_size: int, process: int, processes: int, drop_last: bool = False
    ) -> None:
        self.stream = stream
        self.batch_size = batch_size
        self.process = process
        self.processes = processes
        self.drop_last = drop_last

    def set_epoch(self, epoch: int) -> None:
        """Tells the stream, if it wants to know."""
        if hasattr(self.stream, "set_epoch"):
            self.stream.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        examples, together = iter(self.stream), self.batch_size * self.processes
        while batch := list(islice(examples, together)):
            if self.drop_last and len(batch) < together:
                return
            yield from _share(batch, self.process, self.processes)


def _share(batch: list[Any], process: int, processes: int) -> list[Any]:
    bounds = [len(batch) * one // processes for one in (process, process + 1)]
    return batch[slice(*bounds)] or batch[:1]
