"""A short run with a rising learning rate, to see which rates the model learns at."""

import copy
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.signal import savgol_filter
from transformers import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["LearningRateSearch", "find_learning_rate"]

FORGETTING = 0.1
DIVERGED = 4.0
FEWEST_POINTS = 10
CLEAR = 8.0
"""How many times the standard error of a fitted line the smoothed loss must fall to count: of 10 to 100 losses that
are noise alone, smoothed in the same way, one search in a hundred falls as far.
"""
ROUNDING = 1e-6  # of the loss


@dataclass(frozen=True)
class LearningRateSearch:
    """The losses of a run in which the learning rate rose.

    Attributes:
        rates: `(points,)`, the learning rate of each step; of the layer with the highest one.
        losses: `(points,)`, the training loss of each step, before it.

    Raises:
        ValueError: There are fewer than 10 points, or as many losses as rates are missing.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.losses):
            raise ValueError(f"There must be a loss for each of {len(self.rates)} rates, found {len(self.losses)}.")
        if len(self.rates) < FEWEST_POINTS:
            last = f" at the rate {self.rates[-1]:.2g}" if self.rates else ""
            raise ValueError(
                f"A learning rate is read from at least {FEWEST_POINTS} losses, found {len(self.rates)} before the "
                f"loss ran away{last}; start from a lower rate, or take more steps."
            )

    @property
    def smoothed_losses(self) -> tuple[float, ...]:
        """`(points,)`, on straight lines fitted to a sixth of the points around each (Savitzky and Golay 1964).

        A moving average of the losses so far would lag behind them, and the suggestion with it.
        """
        return tuple(self._fitted_lines(derivative=0).tolist())

    @property
    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss falls fastest as the logarithm of the rate grows.

        Only points from its highest value to its lowest count: what falls after it is the noise of divergence. None if
        it falls by less than `CLEAR` standard errors of a fitted point, as estimated from the differences between
        consecutive losses.
        """
        smoothed = self._fitted_lines(derivative=0)
        lowest = int(smoothed.argmin())
        highest = int(smoothed[: lowest + 1].argmax())
        falling = np.array(self.losses[: lowest + 1])
        noise = float(np.sqrt(np.mean(np.diff(falling) ** 2) / 2)) if lowest else 0.0
        fall = float(smoothed[highest] - smoothed[lowest])
        if fall <= max(CLEAR * noise / math.sqrt(self._line_points), ROUNDING * float(np.abs(falling).max())):
            return None
        return self.rates[highest + int(self._fitted_lines(derivative=1)[highest : lowest + 1].argmin())]

    @property
    def _line_points(self) -> int:
        return max(5, len(self.losses) // 12 * 2 + 1)

    def _fitted_lines(self, derivative: int) -> "NDArray[np.float64]":
        return savgol_filter(np.array(self.losses), self._line_points, polyorder=1, deriv=derivative)

    def plot(self) -> "Figure":
        """Draws losses over rates, the suggestion marked if there is one; needs matplotlib."""
        from matplotlib.figure import Figure

        smoothed = self.smoothed_losses
        figure = Figure(figsize=(6.0, 4.0), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(self.rates, self.losses, color="0.8", label="loss of a step")
        axes.plot(self.rates, smoothed, label="smoothed")
        if (suggestion := self.suggestion) is not None:
            axes.axvline(suggestion, color="black", linestyle="--", label=f"suggestion: {suggestion:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        falling = smoothed[: smoothed.index(min(smoothed)) + 1]
        axes.set_ylim(0.0, 2.0 * max(falling) or 1.0)  # where the loss runs away it would flatten all the rest
        axes.legend()
        return figure


def find_learning_rate(
    trainer: Trainer, lowest: float = 1e-6, highest: float = 1.0, steps: int = 100
) -> LearningRateSearch:
    """Trains a copy of the model for some steps in which the learning rate rises exponentially.

    After the range test of Smith 2017 (arXiv:1506.01186, section 3.3). The copy takes the trainer's batches, loss,
    optimizer, precision and clipping; callbacks are not called, and nothing is saved. Rates of layers keep their
    ratios. It ends early when a moving average of the loss is four times its lowest, or the loss not finite. The
    trainer, its model and all random generators are left as they were, so that the run itself is the same with and
    without the search.

    Args:
        trainer: Before its training.
        lowest: First learning rate.
        highest: Last learning rate.
        steps: Optimizer steps, at least 10.

    Raises:
        ValueError: The range is empty, there are too few steps, or the loss ran away or was not finite at once.
    """
    if not 0.0 < lowest < highest < math.inf:
        raise ValueError(f"The rates must rise from above 0, found {lowest!r} to {highest!r}.")
    if steps < FEWEST_POINTS:
        raise ValueError(f"The search needs at least {FEWEST_POINTS} steps, found {steps}.")
    planned = np.geomspace(lowest, highest, steps).tolist()
    losses: list[float] = []
    average, best = math.inf, math.inf
    with _borrowed(trainer) as (model, optimizer):
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        shares = [rate / max(rates) for rate in rates] if max(rates) > 0.0 else [1.0] * len(rates)
        batches = _batches_without_end(trainer)
        for rate in planned:
            for group, share in zip(optimizer.param_groups, shares, strict=True):
                group["lr"] = rate * share
            loss = _step(trainer, model, optimizer, batches)
            if not math.isfinite(loss):
                if not losses:
                    raise ValueError(
                        f"Expected a finite loss before the first step of the search, found {loss}: no rate is to "
                        "blame; look for a mistake in recordings, labels or weights."
                    )
                break
            losses.append(loss)
            average = loss if len(losses) == 1 else average + FORGETTING * (loss - average)
            best = min(best, average)
            if average > DIVERGED * best:
                break
    return LearningRateSearch(tuple(planned[: len(losses)]), tuple(losses))


def _step(trainer: Trainer, model: Any, optimizer: Any, batches: Iterator[Any]) -> float:
    parts, num_items = trainer.get_batch_samples(
        batches, trainer.args.gradient_accumulation_steps, trainer.args.device
    )
    trainer.current_gradient_accumulation_steps = len(parts)
    loss = torch.stack([trainer.training_step(model, part, num_items) for part in parts]).sum()
    if trainer.args.max_grad_norm > 0:
        trainer.accelerator.clip_grad_norm_(model.parameters(), trainer.args.max_grad_norm)
    optimizer.step()
    model.zero_grad()
    return float(trainer.accelerator.gather(loss).mean())


def _batches_without_end(trainer: Trainer) -> Iterator[Any]:
    loader: Any = trainer.get_train_dataloader()
    for epoch in count():
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)
        batch = None
        for batch in loader:
            yield batch
        if batch is None:
            raise ValueError("The search needs examples to train on, found none.")


@contextmanager
def _borrowed(trainer: Trainer) -> Iterator[tuple[Any, Any]]:
    """Lends copies of the trainer's model and optimizer, and puts everything back that their training touches."""
    accelerator = trainer.accelerator
    model, optimizer, callbacks = trainer.model, trainer.optimizer, list(trainer.callback_handler.callbacks)
    scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else None
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002  # augmentations may draw from it
    devices = [trainer.args.device] if trainer.args.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        try:
            # Copied together, an optimizer that was handed in follows the copy's parameters.
            trainer.model, trainer.optimizer = copy.deepcopy((model, optimizer))
            yield accelerator.prepare(trainer.model, trainer.create_optimizer())
        finally:
            trainer.model, trainer.optimizer = model, optimizer
            trainer.callback_handler.callbacks[:] = callbacks
            accelerator.free_memory()
            if scaler is not None:
                accelerator.scaler.load_state_dict(scaler)
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
