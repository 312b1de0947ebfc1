"""Batches that grow in the course of a run, in place of a learning rate that falls."""

import math
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import has_length

__all__ = ["BatchGrowth", "BatchGrowthMixin"]


@dataclass(frozen=True)
class BatchGrowth:
    """When gradients are accumulated over more batches (Smith et al. 2017, arXiv:1711.00489, section 5).

    At `times` evenly spaced ends of epochs the batches of an optimizer step are multiplied by `factor`; with the
    learning rate as it is, this lowers the noise of the gradient as dividing the rate by `factor` would.

    Attributes:
        factor: At least 2.
        times: At least 1.

    Raises:
        ValueError: A number is too low.
    """

    factor: int
    times: int

    def __post_init__(self) -> None:
        for name, lowest in (("factor", 2), ("times", 1)):
            if getattr(self, name) < lowest:
                raise ValueError(f"{name} of the batch growth must be at least {lowest}, found {getattr(self, name)}.")

    def check_room(self, num_epochs: float, max_steps: int) -> None:
        """Refuses a run in which the batches cannot grow.

        Args:
            num_epochs: Of the run.
            max_steps: Of the run, in place of the epochs; 0 or less where they count.

        Raises:
            ValueError: The run has fewer epochs than batch sizes, or is not measured in epochs.
        """
        if max_steps > 0:
            raise ValueError(
                "--batch_growth needs a run that is measured in epochs, found "
                f"--max_steps {max_steps}; give --num_train_epochs alone."
            )
        if num_epochs < self.times + 1:
            raise ValueError(
                f"Batches that grow {self.times} times (--batch_growth_times) need at least {self.times + 1} epochs, "
                f"found {num_epochs:g}; let them grow less often, or train longer."
            )

    def accumulated_batches(self, epoch: int, num_epochs: float, first: int) -> int:
        """Batches of an optimizer step in one epoch.

        Args:
            epoch: Counted from 0.
            num_epochs: Of the run.
            first: Batches of an optimizer step at the start.
        """
        points = [num_epochs * point / (self.times + 1) for point in range(1, self.times + 1)]
        return first * self.factor ** sum(epoch >= math.floor(point + 0.5) for point in points)

    def steps(self, epoch: int, num_epochs: float, first: int, num_batches: int) -> int:
        """Optimizer steps of one whole epoch with `num_batches` batches; see `accumulated_batches`."""
        return math.ceil(num_batches / self.accumulated_batches(epoch, num_epochs, first))

    def total_steps(self, num_epochs: float, first: int, num_batches: int) -> int:
        """Optimizer steps of a run; of a last epoch that is not whole, its share."""
        return sum(
            math.ceil(self.steps(epoch, num_epochs, first, num_batches) * min(1.0, num_epochs - epoch))
            for epoch in range(math.ceil(num_epochs))
        )


class BatchGrowthMixin(Trainer):
    """A `Trainer` whose batches grow.

    A callback could change `gradient_accumulation_steps` at the start of an epoch, and `Trainer` would heed it. But
    the length of the run, and with it the learning rate, evaluations and the progress bar, is fixed before any
    callback, and a resumed run finds its epoch by dividing by the steps of the first. So three methods are extended.

    Attributes:
        batch_growth: None leaves the batches as they are. Set it before training.
    """

    batch_growth: BatchGrowth | None = None
    _batches_in_epoch: int = 0

    def set_initial_training_values(
        self, args: TrainingArguments, dataloader: DataLoader[Any]
    ) -> tuple[int, int, int, int, int, int | None, int]:
        """Counts the optimizer steps with the growth.

        Raises:
            ValueError: The run has fewer epochs than batch sizes, or is not measured in epochs; or the examples are a
                stream.
        """
        values = super().set_initial_training_values(args, dataloader)
        growth = self.batch_growth
        if growth is not None:
            growth.check_room(args.num_train_epochs, args.max_steps)
            if not has_length(dataloader):
                raise ValueError("Growing batches need examples that can be counted, found a stream.")
            self._batches_in_epoch = int(values[-2] or 0)
            first = args.gradient_accumulation_steps
            values = (*values[:-1], growth.total_steps(args.num_train_epochs, first, self._batches_in_epoch))
        return values

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        epoch, batches = super()._init_training_state(*args, **kwargs)
        if self.batch_growth is None:
            return epoch, batches
        num_epochs, first = self.args.num_train_epochs, self.args.gradient_accumulation_steps
        epoch, steps = 0, self.state.global_step
        while steps >= (whole := self.batch_growth.steps(epoch, num_epochs, first, self._batches_in_epoch)):
            epoch, steps = epoch + 1, steps - whole
        if self.args.ignore_data_skip:
            return epoch, 0
        return epoch, steps * self.batch_growth.accumulated_batches(epoch, num_epochs, first)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        first = self.args.gradient_accumulation_steps
        if self.batch_growth is not None:
            run = kwargs["epoch"], self.args.num_train_epochs, first
            self.args.gradient_accumulation_steps = self.batch_growth.accumulated_batches(*run)
            kwargs["num_update_steps_per_epoch"] = self.batch_growth.steps(*run, self._batches_in_epoch)
        try:
            super()._run_epoch(*args, **kwargs)
        finally:
            self.args.gradient_accumulation_steps = first
