"""The flags of training, as a dataclass that `HfArgumentParser` reads."""

import math
import os
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations
from transformers.trainer_utils import get_last_checkpoint

from hfaudio.available_cores import available_cores
from hfaudio.training.checkpoints import CheckpointError

__all__ = ["AudioTrainingArguments"]

LOSSES = ("focal", "cross_entropy")
LAST_CHECKPOINT = "last"

ABOVE_ZERO = (
    "num_train_epochs",
    "learning_rate",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
)
AT_LEAST_ZERO = (
    "focal_gamma",
    "freeze_backbone_epochs",
    "early_stopping_patience",
    "seed",
    "dataloader_num_workers",
    "weight_decay",
)
FIXED: dict[str, tuple[bool, str]] = {
    "remove_unused_columns": (False, "the collator reads the waveforms"),
    "load_best_model_at_end": (False, "an epoch chosen on the held-out part would flatter the score"),
    "prediction_loss_only": (False, "the predictions are written out"),
    "batch_eval_metrics": (False, "the metrics are of all recordings together"),
    "eval_do_concat_batches": (True, "the metrics are of all recordings together"),
    "gradient_checkpointing": (False, "the model is too small to gain by it"),
}
"""Flags of `TrainingArguments` that cannot be changed here, and why."""


@dataclass
class AudioTrainingArguments(TrainingArguments):
    """`TrainingArguments` with defaults for short audio, and the loss and augmentation flags."""

    _argument_group_name = "training"

    loss: str = field(default="cross_entropy", metadata={"help": "The loss.", "choices": list(LOSSES)})
    focal_gamma: float = field(default=1.0, metadata={"help": "How much --loss focal holds back easy examples."})
    class_weights: str = field(
        default="none",
        metadata={
            "help": "Weight of each class in the loss: none, balanced, or a YAML file of 'class: weight' lines."
        },
    )
    ema_decay: float = field(
        default=0.995,
        metadata={"help": "How much of the averaged weights, which are evaluated and saved, a step keeps; 0: none."},
    )
    one_cycle: bool = field(
        default=False, metadata={"help": "Let the learning rate rise and fall once, and the momentum the other way."}
    )
    layerwise_lr_decay: float = field(
        default=1.0, metadata={"help": "Learning rate of a layer as a share of that of the layer above it."}
    )
    freeze_backbone_epochs: float = field(
        default=0.0, metadata={"help": "Epochs in which the classifier alone learns."}
    )
    unfreeze_gradually: bool = field(
        default=False,
        metadata={"help": "Let the layers join one after another in as many epochs again, the last first."},
    )
    batch_growth: int = field(
        default=1, metadata={"help": "Factor by which the batch grows, in place of a falling learning rate."}
    )
    batch_growth_times: int = field(default=2, metadata={"help": "How often it grows, evenly spread."})
    early_stopping_patience: int = field(
        default=0,
        metadata={
            "help": "Stop when the loss on the --validation_size has not fallen for so many evaluations; 0: never."
        },
    )
    find_lr: bool = field(
        default=False, metadata={"help": "Search for a learning rate, draw find_lr.png, print it, and train nothing."}
    )

    cpu_threads: int | None = field(
        default=None, metadata={"help": "Threads of each process on the CPU [all cores, shared out]."}
    )
    output_dir: str = field(default="runs/latest", metadata={"help": "Where the model and all tables are written."})
    num_train_epochs: float = field(default=200.0, metadata={"help": "Passes over the recordings."})
    per_device_train_batch_size: int = field(default=64, metadata={"help": "Crops a step on each device."})
    per_device_eval_batch_size: int = field(default=32, metadata={"help": "Recordings evaluated at once."})
    learning_rate: float = field(default=3e-3, metadata={"help": "Highest learning rate of AdamW."})
    weight_decay: float = field(default=0.05, metadata={"help": "Weight decay of AdamW."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "How the learning rate falls."})
    warmup_steps: float = field(default=0.1, metadata={"help": "Steps (or share of them) the learning rate rises."})
    eval_strategy: str = field(default="steps", metadata={"help": "When to evaluate: no, steps, epoch."})
    eval_steps: float = field(default=0.1, metadata={"help": "Steps (or share of them) between evaluations."})
    save_steps: float = field(default=0.1, metadata={"help": "Steps (or share of them) between checkpoints."})
    save_total_limit: int = field(default=1, metadata={"help": "Checkpoints kept while training."})
    logging_steps: float = field(default=0.05, metadata={"help": "Steps (or share of them) between log lines."})
    report_to: str = field(default="none", metadata={"help": "Trackers: none, all, tensorboard, wandb, ..."})
    resume_from_checkpoint: str | None = field(
        default=None,
        metadata={
            "help": "Continue an interrupted run: alone its last checkpoint, or a checkpoint's folder.",
            "nargs": "?",
            "const": LAST_CHECKPOINT,
        },
    )
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Must stay off: the collator reads waveforms."}
    )

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"--loss must be one of {', '.join(LOSSES)}, found {self.loss!r}.")
        if self.loss != "focal" and self.focal_gamma != type(self).focal_gamma:
            raise ValueError(f"--focal_gamma needs --loss focal, found {self.loss}.")
        for name in AT_LEAST_ZERO:
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"--{name} must be a number of at least 0, found {getattr(self, name)}.")
        for name in ABOVE_ZERO:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"--{name} must be a number above 0, found {getattr(self, name)}.")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"--ema_decay must be at least 0 and below 1, found {self.ema_decay}.")
        if not 0.0 < self.layerwise_lr_decay <= 1.0:
            raise ValueError(f"--layerwise_lr_decay must be above 0 and at most 1, found {self.layerwise_lr_decay}.")
        for name in ("batch_growth", "batch_growth_times"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, found {getattr(self, name)}.")
        if self.batch_growth == 1 and self.batch_growth_times != type(self).batch_growth_times:
            raise ValueError("--batch_growth_times needs --batch_growth, found none.")
        if self.unfreeze_gradually and not self.freeze_backbone_epochs:
            raise ValueError("--unfreeze_gradually needs --freeze_backbone_epochs, found none.")
        if self.early_stopping_patience and self.eval_strategy == "no":
            raise ValueError("--early_stopping_patience needs evaluations, found --eval_strategy no.")
        if self.cpu_threads is not None and self.cpu_threads < 1:
            raise ValueError(f"--cpu_threads must be at least 1, found {self.cpu_threads}.")
        if self.max_steps == 0 or self.max_steps < -1:
            raise ValueError(f"--max_steps must be above 0, or -1 to train whole epochs, found {self.max_steps}.")
        if not 0.0 <= self.label_smoothing_factor < 1.0:
            raise ValueError(f"--label_smoothing_factor must be in [0, 1), found {self.label_smoothing_factor}.")
        for name, (only, reason) in FIXED.items():
            if bool(getattr(self, name)) != only:
                raise ValueError(f"--{name} must be {only}, found {getattr(self, name)}: {reason}.")
        if self.save_strategy == "best":
            raise ValueError("--save_strategy must be no, steps or epoch, found best: no epoch is chosen.")
        if os.path.exists(self.output_dir) and not os.path.isdir(self.output_dir):
            raise ValueError(f"--output_dir must be a folder or a free name, found the file {self.output_dir}.")
        super().__post_init__()
        missing = set(self.report_to) - set(get_available_reporting_integrations())
        if missing:
            raise ValueError(f"--report_to {', '.join(sorted(missing))} needs a package that is not installed.")
        self.dataloader_pin_memory = self.dataloader_pin_memory and self.device.type == "cuda"

    def use_cpu_threads(self) -> None:
        """Sets torch's number of threads, because `accelerate launch` leaves every core but one idle."""
        torch.set_num_threads(self.cpu_threads or max(1, available_cores() // self.world_size))

    def checkpoint_to_resume(self) -> str | None:
        """The checkpoint's folder that `--resume_from_checkpoint` names, or None for a new run.

        Raises:
            CheckpointError: It is not there; or the run is new, but an interrupted one lies in its output folder.
        """
        last = get_last_checkpoint(self.output_dir) if os.path.isdir(self.output_dir) else None
        if self.resume_from_checkpoint is None:
            if last is not None:
                raise CheckpointError(
                    f"Expected no unfinished run in {self.output_dir}, found {os.path.basename(last)}; add "
                    "--resume_from_checkpoint to continue it, or choose another --output_dir."
                )
            return None
        if self.resume_from_checkpoint in (LAST_CHECKPOINT, "true", "True"):
            if last is None:
                raise CheckpointError(
                    f"Expected a checkpoint to resume from in {self.output_dir}, found none; start without "
                    "--resume_from_checkpoint (a finished run removes its checkpoints)."
                )
            return last
        if not os.path.isfile(os.path.join(self.resume_from_checkpoint, "trainer_state.json")):
            raise CheckpointError(
                f"Expected the folder of a checkpoint at {self.resume_from_checkpoint}, found none; "
                "give --resume_from_checkpoint alone to take the last one."
            )
        return self.resume_from_checkpoint
