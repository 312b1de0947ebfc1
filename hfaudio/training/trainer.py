"""The Hugging Face `Trainer` with a focal loss and per-example seeds."""

import copy
import warnings
from contextlib import nullcontext
from functools import partial
from typing import Any

import datasets
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.trainer_pt_utils import IterableDatasetShard
from transformers.trainer_utils import SchedulerType, seed_worker
from transformers.training_args import OptimizerNames

from hfaudio.data import DataError, StreamedTable
from hfaudio.model import SpectrogramCNNForAudioClassification
from hfaudio.training.batch_growth import BatchGrowth, BatchGrowthMixin
from hfaudio.training.checkpoints import CheckpointPartsMixin
from hfaudio.training.class_weights import weights_of_examples
from hfaudio.training.early_stopping import EarlyStopping
from hfaudio.training.freezing import TrunkFreezer
from hfaudio.training.keyed_examples import KeyedExamples
from hfaudio.training.layer_learning_rates import layerwise_groups
from hfaudio.training.losses import FocalLoss
from hfaudio.training.mixing import MixedStream
from hfaudio.training.one_cycle import one_cycle
from hfaudio.training.sampler import SeededSampler, SharedBatches, SharedStream
from hfaudio.training.synchronized_batch_norm import synchronize_batch_norms
from hfaudio.training.training_arguments import AudioTrainingArguments, flag_sentences
from hfaudio.training.weight_averaging import WeightAverage

__all__ = ["FocalLossTrainer"]


class FocalLossTrainer(CheckpointPartsMixin, BatchGrowthMixin):
    """Trains an audio classifier with the loss and the schedules that its arguments name.

    Args:
        model: The classifier; None with a `model_init`, which makes it.
        args: The settings, the loss among them.
        alpha: `(num_labels,)`, the weight of each class in the loss; None takes those that the settings ask for.
        **kwargs: Whatever else `Trainer` takes; a `compute_loss_func` is called in place of the loss of the settings.

    Raises:
        TypeError: The arguments are not `AudioTrainingArguments`.
        ValueError: Classes are to be weighted, but there is a loss of one's own, or their numbers are not known.
    """

    args: AudioTrainingArguments

    def __init__(
        self,
        model: SpectrogramCNNForAudioClassification | None = None,
        args: AudioTrainingArguments | None = None,
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
        self._synchronize(self.model)
        self.weight_average = WeightAverage(args.ema_decay) if args.ema_decay else None
        if self.weight_average is not None:
            self.add_callback(self.weight_average)
        if args.freeze_backbone_epochs:
            self.add_callback(TrunkFreezer(args.freeze_backbone_epochs, args.unfreeze_gradually))
        if args.early_stopping_patience:
            self.add_callback(EarlyStopping(args.early_stopping_patience))
        if args.batch_growth > 1:
            self.batch_growth = BatchGrowth(args.batch_growth, args.batch_growth_times)
        own_model: Any = self.model
        config = own_model.config
        if self.compute_loss_func is None:
            if alpha is None:
                alpha = weights_of_examples(args.class_weights, self.train_dataset, config.class_names)
            self.compute_loss_func = FocalLoss(
                gamma=args.focal_gamma if args.loss == "focal" else 0.0,
                alpha=alpha,
                label_smoothing=args.label_smoothing_factor,
                multi_label=config.problem_type == "multi_label_classification",
            )
        elif alpha is not None or args.class_weights != "none":
            raise ValueError(
                "A compute_loss_func weighs the classes itself, found alpha or class_weights "
                f"{args.class_weights!r} beside it: give one of them."
            )

    def call_model_init(self, trial: Any = None) -> Any:
        """Makes a model by the `model_init`; see `Trainer.call_model_init`."""
        model = super().call_model_init(trial)
        self._synchronize(model)
        return model

    def _synchronize(self, model: Any) -> None:
        if self.args.sync_batch_norm and self.args.world_size > 1:
            synchronize_batch_norms(model)

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Trains; see `Trainer.train`. What ends up in the model are the averaged weights, if there are such."""
        if self.weight_average is not None and isinstance(resume_from_checkpoint, str):
            self.weight_average.resume_from(resume_from_checkpoint)
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates or predicts, with the averaged weights if there are such; each example counts once in the loss."""
        with nullcontext() if self.weight_average is None else self.weight_average.averaged():
            output = super().evaluation_loop(*args, **kwargs)
        # The base class has the mean losses of batches, of which the last ones of several processes are filled up.
        metrics: Any = output.metrics or {}
        loss: Any = self.compute_loss_func
        for name in [name for name in metrics if name.endswith("_loss")]:
            if self.args.world_size > 1 and output.predictions is not None and output.label_ids is not None:
                logits, labels = torch.tensor(output.predictions), torch.tensor(output.label_ids)
                metrics[name] = float(loss(SequenceClassifierOutput(logits=logits), labels))
        return output

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
        """Makes the optimizer, with a learning rate for each layer if they are to differ.

        Raises:
            hfaudio.training.FlagError: It needs a package that is not there, or takes no such --optim_args.
        """
        args = self.args
        chosen = f"--optim {OptimizerNames(args.optim).value}" + (
            f" with --optim_args {args.optim_args}" if args.optim_args else ""
        )
        with flag_sentences(chosen):
            if self.optimizer is None and args.layerwise_lr_decay < 1.0:
                trained: Any = self.model
                optimizer_class, settings = self.get_optimizer_cls_and_kwargs(args, trained)
                groups = layerwise_groups(trained, args.learning_rate, args.weight_decay, args.layerwise_lr_decay)
                self.optimizer = optimizer_class(groups, **settings)
            return super().create_optimizer(model)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Makes the schedule of the learning rate: one cycle, or any of transformers'.

        Raises:
            hfaudio.data.DataError: There are too few recordings for the steps of one cycle.
            hfaudio.training.FlagError: The schedule takes no such --lr_scheduler_kwargs.
        """
        if self.lr_scheduler is None and self.args.one_cycle:
            made: Any = optimizer or self.optimizer
            try:
                schedule: Any = one_cycle(made, num_training_steps)
            except ValueError as error:
                raise DataError(str(error)) from error
            self.lr_scheduler = schedule
            self._created_lr_scheduler = True
        keywords = self.args.lr_scheduler_kwargs
        chosen = f"--lr_scheduler_type {SchedulerType(self.args.lr_scheduler_type).value}"
        with flag_sentences(f"{chosen} with --lr_scheduler_kwargs {keywords}" if keywords else chosen):
            return super().create_scheduler(num_training_steps, optimizer)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Returns the batches of one epoch, or of a stream without end; of several processes the share of this one."""
        args, dataset = self.args, self.train_dataset
        if dataset is None or (args.world_size == 1 and not isinstance(dataset, IterableDataset)):
            return super().get_train_dataloader()
        shares: dict[str, Any]
        if isinstance(dataset, IterableDataset):
            # accelerate would have the first process read and collate for all, and put together what is not of one
            # length; or every process read, and throw away, the others' share of a stream that shares itself out.
            if args.world_size > 1 and not _shares_itself_out(dataset):
                dataset = SharedStream(
                    dataset, self._train_batch_size, args.process_index, args.world_size, args.dataloader_drop_last
                )
            shares = {"batch_size": self._train_batch_size, "drop_last": args.dataloader_drop_last}
        else:
            dataset = KeyedExamples(dataset)
            # accelerate would fill up the last batch of an epoch with examples of the first.
            order = self._get_train_sampler()
            shares = {
                "batch_sampler": SharedBatches(
                    order, self._train_batch_size, args.process_index, args.world_size, args.dataloader_drop_last
                ),
                "worker_init_fn": partial(
                    seed_worker, num_workers=args.dataloader_num_workers, rank=args.process_index
                ),
            }
        return _Loader(
            dataset,
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            multiprocessing_context=args.dataloader_multiprocessing_context,
            prefetch_factor=args.dataloader_prefetch_factor,
            **shares,
        )

    def _get_dataloader(self, dataset: Any, *args: Any, **kwargs: Any) -> DataLoader[Any]:
        if kwargs.get("is_training") and not isinstance(dataset, IterableDataset):
            dataset = KeyedExamples(dataset)
        return super()._get_dataloader(dataset, *args, **kwargs)

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


class _Loader(DataLoader[Any]):
    """Tells the data set the epoch, as accelerate's loaders do."""

    def set_epoch(self, epoch: int) -> None:
        """Called by `Trainer` before each epoch."""
        dataset: Any = self.dataset
        if hasattr(dataset, "set_epoch"):
            dataset.set_epoch(epoch)


def _shares_itself_out(stream: Any) -> bool:
    """Whether each process reads its own share of a stream already."""
    if isinstance(stream, MixedStream):
        return True  # of a StreamedTable
    if isinstance(stream, datasets.IterableDataset):
        return stream._distributed is not None  # by `datasets.distributed.split_dataset_by_node`
    return isinstance(stream, (StreamedTable, IterableDatasetShard))


class _EpochSetter(TrainerCallback):
    """Tells the sampler the epoch, which accelerate does not when several processes resume within an epoch."""

    def __init__(self, sampler: SeededSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.sampler.set_epoch(int(state.epoch or 0))
