"""The Hugging Face `Trainer` with a focal loss and per-example seeds."""

import copy
import warnings
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hfaudio.data import DataError
from hfaudio.model import SpectrogramCNNForAudioClassification
from hfaudio.training.batch_growth import BatchGrowth, BatchGrowthMixin
from hfaudio.training.checkpoints import CheckpointPartsMixin
from hfaudio.training.early_stopping import EarlyStopping
from hfaudio.training.freezing import TrunkFreezer
from hfaudio.training.layer_learning_rates import layerwise_groups
from hfaudio.training.losses import FocalLoss
from hfaudio.training.one_cycle import one_cycle
from hfaudio.training.sampler import SeededSampler
from hfaudio.training.training_arguments import AudioTrainingArguments
from hfaudio.training.weight_averaging import WeightAverage

__all__ = ["FocalLossTrainer"]


class FocalLossTrainer(CheckpointPartsMixin, BatchGrowthMixin):
    """Trains an audio classifier with the loss and the schedules that its arguments name.

    Args:
        model: The classifier.
        args: The settings, the loss among them.
        alpha: `(num_labels,)`, the weight of each class in the loss, or None.
        **kwargs: Whatever else `Trainer` takes.

    Raises:
        TypeError: The arguments are not `AudioTrainingArguments`.
    """

    args: AudioTrainingArguments

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
        if args.push_to_hub:
            args = copy.copy(args)  # not made anew: `TrainingArguments` changes what it was given
            args.push_to_hub = False  # what `Trainer` pushes holds a pickle, and no card or pictures of ours
        with warnings.catch_warnings():
            # The base class cannot smooth the labels of several classes; the loss below can.
            warnings.filterwarnings("ignore", "Label smoothing is not compatible with multi-label")
            super().__init__(model, args, **kwargs)
        self.weight_average = WeightAverage(args.ema_decay) if args.ema_decay else None
        if self.weight_average is not None:
            self.add_callback(self.weight_average)
        if args.freeze_backbone_epochs:
            self.add_callback(TrunkFreezer(args.freeze_backbone_epochs, args.unfreeze_gradually))
        if args.early_stopping_patience:
            self.add_callback(EarlyStopping(args.early_stopping_patience))
        if args.batch_growth > 1:
            self.batch_growth = BatchGrowth(args.batch_growth, args.batch_growth_times)
        self.compute_loss_func = FocalLoss(
            gamma=args.focal_gamma if args.loss == "focal" else 0.0,
            alpha=alpha,
            label_smoothing=args.label_smoothing_factor,
            multi_label=model.config.problem_type == "multi_label_classification",
        )

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Trains; see `Trainer.train`. What ends up in the model are the averaged weights, if there are such."""
        if self.weight_average is not None and isinstance(resume_from_checkpoint, str):
            self.weight_average.resume_from(resume_from_checkpoint)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates or predicts, with the averaged weights if there are such."""
        if self.weight_average is None:
            return super().evaluation_loop(*args, **kwargs)
        with self.weight_average.averaged():
            return super().evaluation_loop(*args, **kwargs)

    def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
        """Scores one batch in single precision, as whoever loads the model will, however it is trained."""
        model: Any = self.model
        autocasting = model.__dict__.pop("forward", None)  # accelerate hides the method behind an attribute
        try:
            return super().prediction_step(*args, **kwargs)
        finally:
            if autocasting is not None:
                model.forward = autocasting

    def push_to_hub(self, *args: Any, **kwargs: Any) -> Any:
        """Refuses to push what is no finished model yet; `hfaudio.hub.push_model` pushes the folder of one.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "Expected a finished model to push, found a trainer; save it, and call hfaudio.hub.push_model."
        )

    def get_decay_parameter_names(self, model: Any) -> list[str]:
        """The names of the weights that decay: not those of normalizations, whatever they are called, nor biases."""
        return [name for name, parameter in model.named_parameters() if parameter.ndim > 1]

    def create_optimizer(self, model: Any = None) -> Any:
        """Makes the optimizer, with a learning rate for each layer if they are to differ."""
        if self.optimizer is None and self.args.layerwise_lr_decay < 1.0:
            trained: Any = self.model
            optimizer_class, settings = self.get_optimizer_cls_and_kwargs(self.args, trained)
            groups = layerwise_groups(
                trained, self.args.learning_rate, self.args.weight_decay, self.args.layerwise_lr_decay
            )
            self.optimizer = optimizer_class(groups, **settings)
        return super().create_optimizer(model)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Makes the schedule of the learning rate: one cycle, or any of transformers'.

        Raises:
            hfaudio.data.DataError: There are too few recordings for the steps of one cycle.
        """
        if self.lr_scheduler is None and self.args.one_cycle:
            made: Any = optimizer or self.optimizer
            try:
                schedule: Any = one_cycle(made, num_training_steps)
            except ValueError as error:
                raise DataError(str(error)) from error
            self.lr_scheduler = schedule
            self._created_lr_scheduler = True
        return super().create_scheduler(num_training_steps, optimizer)

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

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # A run that was killed after its last checkpoint has ended already. `Trainer` looks after a step, not before.
        self.control.should_training_stop |= self.state.global_step >= self.state.max_steps
        if not self.control.should_training_stop:
            super()._run_epoch(*args, **kwargs)

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> SeededSampler:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        sampler = SeededSampler(len(dataset), seed, self._epochs(len(dataset)))
        self.add_callback(_EpochSetter(sampler))
        return sampler

    def _epochs(self, examples: int) -> float:
        if self.args.max_steps < 1:
            return self.args.num_train_epochs
        step = self._train_batch_size * self.args.world_size * self.args.gradient_accumulation_steps
        return self.args.max_steps * step / examples


class _EpochSetter(TrainerCallback):
    """Tells the sampler the epoch, which accelerate does not when several processes resume within an epoch."""

    def __init__(self, sampler: SeededSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.sampler.set_epoch(int(state.epoch or 0))
