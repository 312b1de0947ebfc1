"""The Hugging Face `Trainer` with a focal loss and per-example seeds."""

import warnings
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset
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
        with warnings.catch_warnings():
            # The base class cannot smooth the labels of several classes; the loss below can.
            warnings.filterwarnings("ignore", "Label smoothing is not compatible with multi-label")
            super().__init__(model, args, **kwargs)
        self.compute_loss_func = FocalLoss(
            gamma=args.focal_gamma if args.loss == "focal" else 0.0,
            alpha=alpha,
            label_smoothing=args.label_smoothing_factor,
            multi_label=model.config.problem_type == "multi_label_classification",
        )

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Returns the batches of one epoch, or of a stream without end."""
        if not isinstance(self.train_dataset, IterableDataset):
            return super().get_train_dataloader()
        # A stream shares itself out; accelerate would have every process read, and throw away, the others' share.
        return DataLoader(
            self.train_dataset,
            batch_size=self._train_batch_size,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
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
