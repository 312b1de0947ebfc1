"""Ends a run whose evaluations no longer improve."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

__all__ = ["EarlyStopping"]

logger = logging.getLogger(__name__)


class EarlyStopping(TrainerCallback, ExportableState):
    """Stops training when a metric has not improved for some evaluations, and leaves the last weights.

    The epoch is not chosen by the best score, so the weights are those at the stop. transformers' own
    `EarlyStoppingCallback` needs `metric_for_best_model`, with which `Trainer` keeps the best checkpoint, not the
    newest, to resume from.

    Args:
        patience: Evaluations without an improvement that end the run, at least 1.
        metric: As `Trainer.evaluate` names it; lower is better where the name ends in "loss", higher otherwise.
        threshold: What an improvement has to exceed, in the metric's unit.

    Raises:
        ValueError: patience or threshold is too low.
    """

    def __init__(self, patience: int, metric: str = "eval_loss", threshold: float = 0.0) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1 evaluation, found {patience!r}.")
        if not 0.0 <= threshold < math.inf:
            raise ValueError(f"threshold must be a number of at least 0, found {threshold!r}.")
        self.patience = patience
        self.metric = metric
        self.threshold = threshold
        self.best: float | None = None
        self.waited = 0
        self.training = False

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "args": {"patience": self.patience, "metric": self.metric, "threshold": self.threshold},
            "attributes": {"best": self.best, "waited": self.waited},
        }

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts counting, or goes on where the checkpoint stood, which may be at the end.

        Raises:
            ValueError: The run has no evaluations.
        """
        if args.eval_strategy == "no":
            raise ValueError(
                "Early stopping needs evaluations while training, found --eval_strategy no; give steps or epoch."
            )
        self.training, self.best, self.waited = True, None, 0
        name = type(self).__name__
        states: Any = state.stateful_callbacks  # which by now is a dictionary
        if state.global_step > 0:
            # `Trainer` leaves this to restore_callback_states_from_checkpoint, which is off.
            kept = states.get(name, [])
            for one in kept if isinstance(kept, list) else [kept]:
                if one["args"]["metric"] == self.metric:
                    self.best, self.waited = one["attributes"]["best"], one["attributes"]["waited"]
        control.should_training_stop |= self.waited >= self.patience
        # `Trainer` cannot save a callback that the resumed checkpoint did not have.
        states.setdefault(name, self.state())

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Compares the metric with its best so far.

        Raises:
            ValueError: The evaluation does not have the metric.
        """
        metrics: Mapping[str, float] = kwargs["metrics"]
        prefix = self.metric.split("_")[0] + "_"
        if not self.training or not any(name.startswith(prefix) for name in metrics):
            return  # an evaluation of something else
        if self.metric not in metrics:
            found = ", ".join(sorted(metrics))
            raise ValueError(f"Early stopping expects the metric {self.metric} in each evaluation, found {found}.")
        sign = -1.0 if self.metric.endswith("loss") else 1.0
        value = metrics[self.metric]
        if math.isfinite(value) and (self.best is None or sign * (value - self.best) > self.threshold):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            control.should_training_stop = True
            if state.is_world_process_zero:
                best = "not been finite" if self.best is None else f"not improved on {self.best:.4g}"
                logger.info(
                    "Stopped at epoch %.4g (step %d of %d): %s has %s in the last %d evaluations.",
                    state.epoch or 0.0,
                    state.global_step,
                    state.max_steps,
                    self.metric,
                    best,
                    self.waited,
                )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Counts no evaluation after the run."""
        self.training = False
