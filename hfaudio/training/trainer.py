"""The Hugging Face `Trainer` with a focal loss and per-example seeds."""

from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hfaudio.model import SpectrogramCNNForAudioClassification
from hfaudio.training.arguments import AudioTrainingArguments
from hfaudio.training.losses import FocalLoss
from hfaudio.training.sampler import SeededSampler

__all__ = ["FocalLossTrainer"]


class FocalLossTrainer(Trainer):
    """Trains an audio classifier with the loss that its arguments name.

    Args:
        model: The classifier.
        args: The settings, the loss among them.
        alpha: `(num_labels,)`, the weight of each class in the loss, or None.
        **kwargs: Whatever else `Trainer` takes.

    Raises:
        TypeError: The arguments are not `AudioTrainingArguments`.
    """

    def __init__(
        self,
        model: SpectrogramCNNForAudioClassification,
        args: AudioTrainingArguments,
        *,
        alpha: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(args, AudioTrainingArguments):
            raise TypeError(f"args must be an AudioTrainingArguments, found {type(args).__name__}.")
        super().__init__(model, args, **kwargs)
        self.compute_loss_func = FocalLoss(
            gamma=args.focal_gamma if args.loss == "focal" else 0.0,
            alpha=alpha,
            label_smoothing=args.label_smoothing_factor,
            multi_label=model.config.problem_type == "multi_label_classification",
        )

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> SeededSampler:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        sampler = SeededSampler(len(dataset), seed)
        self.add_callback(_EpochSetter(sampler))
        return sampler


class _EpochSetter(TrainerCallback):
    """Tells the sampler the epoch, which accelerate does not when several processes resume within an epoch."""

    def __init__(self, sampler: SeededSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.sampler.set_epoch(int(state.epoch or 0))
