"""The Hugging Face `Trainer` with a focal loss and per-example seeds."""

from typing import Any

import torch
from transformers import Trainer

from hfaudio.training.arguments import AudioTrainingArguments
from hfaudio.training.losses import FocalLoss
from hfaudio.training.sampler import SeededSampler

__all__ = ["FocalLossTrainer"]


class FocalLossTrainer(Trainer):
    """Trains an audio classifier with the loss that its arguments name.

    Args:
        *args: As `Trainer` takes them; `args` is an `AudioTrainingArguments`.
        alpha: `(num_labels,)`, the weight of each class in the loss, or None.
        **kwargs: As `Trainer` takes them.

    Raises:
        TypeError: The arguments are not `AudioTrainingArguments`.
    """

    def __init__(self, *args: Any, alpha: torch.Tensor | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.args, AudioTrainingArguments):
            raise TypeError(f"args must be an AudioTrainingArguments, found {type(self.args).__name__}.")
        self.compute_loss_func = FocalLoss(
            gamma=self.args.focal_gamma if self.args.loss == "focal" else 0.0,
            alpha=alpha,
            label_smoothing=self.args.label_smoothing_factor,
            multi_label=self.model.config.problem_type == "multi_label_classification",
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededSampler:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return SeededSampler(len(dataset), seed)
