"""The flags of training, as a dataclass that `HfArgumentParser` reads."""

import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations
from transformers.trainer_utils import HubStrategy

from hfaudio.available_cores import available_cores
from hfaudio.training.batch_growth import BatchGrowth
from hfaudio.training.checkpoints import CheckpointError, checkpoint_damage, newest_checkpoint
from hfaudio.training.one_cycle import FEWEST_STEPS

__all__ = ["AudioTrainingArguments", "FlagError", "flag_sentences"]

logger = logging.getLogger(__name__)

LOSSES = ("focal", "cross_entropy")
LAST_CHECKPOINT = "last"
LICENSE = re.compile(r"[a-z][a-z0-9.-]*")

ABOVE_ZERO = (
    "num_train_epochs",
    "learning_rate",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
)
PRECISIONS = ("no", "bf16", "fp16")  # as accelerate calls them
AT_LEAST_ZERO = (
    "focal_gamma",
    "freeze_backbone_epochs",
    "early_stopping_patience",
    "seed",
    "data_seed",
    "dataloader_num_workers",
    "weight_decay",
    "warmup_steps",
    "eval_steps",
    "save_steps",
    "logging_steps",
    "adam_epsilon",
    "max_grad_norm",
)
BELOW_ONE = ("ema_decay", "label_smoothing_factor", "adam_beta1", "adam_beta2")
HIGHEST_SEED = 2**32 - 1  # of numpy's global generator, which transformers seeds too
STEERED = ("reduce_lr_on_plateau", "greedy")
FIXED: dict[str, tuple[bool, str]] = {
    "remove_unused_columns": (False, "the collator reads the waveforms"),
    "load_best_model_at_end": (False, "an epoch chosen on the held-out part would flatter the score"),
    "prediction_loss_only": (False, "the predictions are written out"),
    "batch_eval_metrics": (False, "the metrics are of all recordings together"),
    "eval_do_concat_batches": (True, "the metrics are of all recordings together"),
    "fp16_full_eval": (False, "the model is scored in single precision, as it is saved"),
    "bf16_full_eval": (False, "the model is scored in single precision, as it is saved"),
    "gradient_checkpointing": (False, "the model is too small to gain by it"),
    "activation_checkpointing": (False, "the model is too small to gain by it"),
    "use_liger_kernel": (False, "it has kernels for language models alone"),
    "hub_always_push": (False, "an unfinished model is left out while an earlier one is being pushed"),
}
"""Flags of `TrainingArguments` that cannot be changed here, and why."""


class FlagError(ValueError):
    """What flags ask for cannot be done here: one sentence says what."""


@contextmanager
def flag_sentences(flags: str = "the flags of the training") -> Iterator[None]:
    """Says in a sentence what transformers, accelerate or torch refuse while they are set up as the flags ask.

    Args:
        flags: Which ones, as in the sentence.

    Raises:
        FlagError: A package or a file is missing, or a value is none of theirs.
    """
    try:
        yield
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise FlagError(
            f"Expected {flags} to be possible here, found {type(error).__name__} ({error}); install what is missing, "
            "or correct the flag."
        ) from error


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
        default=False,
        metadata={
            "help": "Let the learning rate rise and fall once, and the momentum the other way; in place of "
            "--lr_scheduler_type and --warmup_steps."
        },
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
        default=1,
        metadata={
            "help": "Factor by which the batch grows, in place of a falling learning rate: the rate stays, unless "
            "--lr_scheduler_type or --one_cycle say otherwise."
        },
    )
    batch_growth_times: int = field(default=2, metadata={"help": "How often it grows, evenly spread."})
    early_stopping_patience: int = field(
        default=0,
        metadata={
            "help": "Stop when the loss on the --validation_size has not fallen for so many evaluations; 0: never."
        },
    )
    calibrate: bool = field(
        default=True,
        metadata={
            "help": "Fit a temperature to the scores on the --validation_size, or else on the held-out part, and save "
            "the model with it where it is shown to help."
        },
    )
    false_reject_rate: float | None = field(
        default=None,
        metadata={
            "help": "Share of recordings of the known classes that may be called unknown; sets the model's "
            "unknown_threshold [nothing is called unknown]."
        },
    )
    find_lr: bool = field(
        default=False, metadata={"help": "Search for a learning rate, draw find_lr.png, print it, and train nothing."}
    )

    push_to_hub: bool = field(
        default=False,
        metadata={"help": "Push the finished folder to --hub_model_id and prove it, as scripts/push_to_hub.py does."},
    )
    hub_strategy: str = field(
        default="end",
        metadata={
            "help": "When to push: end; with every_save, checkpoint and all_checkpoints the unfinished model too, at "
            "each checkpoint. What only a resumed training needs holds pickles, and is never pushed."
        },
    )
    push_recordings: bool = field(
        default=False,
        metadata={
            "help": "Push the page that plays the highest losses too: it makes a dozen held-out recordings public."
        },
    )
    model_license: str | None = field(
        default=None,
        metadata={
            "help": "Licence of the weights in the card, as the Hub names it, such as cc-by-4.0 [unknown; apache-2.0 "
            "without a --dataset]."
        },
    )
    data_attribution: str | None = field(
        default=None, metadata={"help": "Who made the recordings and under which licence, for the card."}
    )

    sync_batch_norm: bool = field(
        default=True,
        metadata={"help": "Let several processes take the statistics of batch norms over all of their examples."},
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
    lr_scheduler_type: str | None = field(  # type: ignore[assignment]  # a name after __post_init__
        default=None,
        metadata={"help": "How the learning rate falls [cosine; constant_with_warmup with --batch_growth]."},
    )
    warmup_steps: float = field(default=0.1, metadata={"help": "Steps (or share of them) the learning rate rises."})
    eval_strategy: str = field(default="steps", metadata={"help": "When to evaluate: no, steps, epoch."})
    eval_steps: float = field(default=0.1, metadata={"help": "Steps (or share of them) between evaluations."})
    save_steps: float = field(default=0.1, metadata={"help": "Steps (or share of them) between checkpoints."})
    save_total_limit: int = field(default=1, metadata={"help": "Checkpoints kept while training."})
    logging_steps: float = field(default=0.05, metadata={"help": "Steps (or share of them) between log lines."})
    report_to: list[str] = field(
        default_factory=list, metadata={"help": "Trackers: all, or some of tensorboard, wandb, ... [none]."}
    )
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
        self._check_numbers()
        if not 0.0 < self.layerwise_lr_decay <= 1.0:
            raise ValueError(f"--layerwise_lr_decay must be above 0 and at most 1, found {self.layerwise_lr_decay}.")
        for name in ("batch_growth", "batch_growth_times"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, found {getattr(self, name)}.")
        if self.batch_growth == 1 and self.batch_growth_times != type(self).batch_growth_times:
            raise ValueError("--batch_growth_times needs --batch_growth, found none.")
        if self.batch_growth > 1:
            BatchGrowth(self.batch_growth, self.batch_growth_times).check_room(self.num_train_epochs, self.max_steps)
        if self.unfreeze_gradually and not self.freeze_backbone_epochs:
            raise ValueError("--unfreeze_gradually needs --freeze_backbone_epochs, found none.")
        if self.early_stopping_patience and self.eval_strategy == "no":
            raise ValueError("--early_stopping_patience needs evaluations, found --eval_strategy no.")
        if self.cpu_threads is not None and self.cpu_threads < 1:
            raise ValueError(f"--cpu_threads must be at least 1, found {self.cpu_threads}.")
        if self.false_reject_rate is not None and not 0.0 < self.false_reject_rate < 1.0:
            raise ValueError(f"--false_reject_rate must be above 0 and below 1, found {self.false_reject_rate}.")
        if self.max_steps == 0 or self.max_steps < -1:
            raise ValueError(f"--max_steps must be above 0, or -1 to train whole epochs, found {self.max_steps}.")
        self._settle_schedule()
        for name, (only, reason) in FIXED.items():
            if bool(getattr(self, name)) != only:
                raise ValueError(f"--{name} must be {only}, found {getattr(self, name)}: {reason}.")
        if self.resume_from_checkpoint is not None and self.find_lr:
            raise ValueError(
                "--find_lr searches from the first weights, found --resume_from_checkpoint "
                f"{self.resume_from_checkpoint}; leave it out."
            )
        self._check_hub_flags()
        if self.save_strategy == "best":
            raise ValueError("--save_strategy must be no, steps or epoch, found best: no epoch is chosen.")
        if self.neftune_noise_alpha is not None:
            raise ValueError(
                f"--neftune_noise_alpha must be left out, found {self.neftune_noise_alpha}: it is for language models."
            )
        if self.dataloader_persistent_workers and not self.dataloader_num_workers:
            raise ValueError("--dataloader_persistent_workers needs --dataloader_num_workers, found none.")
        if self.metric_for_best_model is not None:
            raise ValueError(
                f"--metric_for_best_model must be left out, found {self.metric_for_best_model}: no epoch is chosen."
            )
        if os.path.exists(self.output_dir) and not os.path.isdir(self.output_dir):
            raise ValueError(f"--output_dir must be a folder or a free name, found the file {self.output_dir}.")
        with flag_sentences():
            super().__post_init__()
        self._check_precision()
        missing = set(self.report_to) - set(get_available_reporting_integrations())
        if missing:
            raise ValueError(f"--report_to {', '.join(sorted(missing))} needs a package that is not installed.")
        self.dataloader_pin_memory = self.dataloader_pin_memory and self.device.type == "cuda"

    def _check_numbers(self) -> None:
        for name in AT_LEAST_ZERO:
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"--{name} must be a number of at least 0, found {value}.")
        for name in ABOVE_ZERO:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"--{name} must be a number above 0, found {getattr(self, name)}.")
        for name in BELOW_ONE:
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"--{name} must be at least 0 and below 1, found {getattr(self, name)}.")
        if self.seed > HIGHEST_SEED:
            raise ValueError(f"--seed must be at most {HIGHEST_SEED}, found {self.seed}.")
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"--{one.name} must be a finite number, found {value}.")

    def _check_precision(self) -> None:
        """Refuses what the device would not do and say nothing; `accelerate` can ask for it too."""
        precision = self.mixed_precision
        source = f"--{precision}" if self.fp16 or self.bf16 else f"ACCELERATE_MIXED_PRECISION={precision}"
        if precision not in PRECISIONS:
            raise ValueError(
                f"ACCELERATE_MIXED_PRECISION must be one of {', '.join(PRECISIONS)}, found {precision!r}."
            )
        if precision == "fp16" and self.device.type == "cpu":
            raise ValueError(
                f"{source} needs a GPU, found the CPU, which would train in fp32; give --bf16 "
                "--use_cpu, or leave it out."
            )

    def _check_hub_flags(self) -> None:
        if self.model_license is not None and not LICENSE.fullmatch(self.model_license):
            raise ValueError(
                "--model_license must be an identifier of the Hub, such as mit, apache-2.0 or cc-by-4.0, found "
                f"{self.model_license!r}."
            )
        if self.hub_strategy != HubStrategy.END:
            if not self.push_to_hub:
                raise ValueError(f"--hub_strategy {self.hub_strategy} needs --push_to_hub, found none.")
            if self.save_strategy == "no":
                raise ValueError(f"--hub_strategy {self.hub_strategy} needs checkpoints, found --save_strategy no.")
        if self.push_to_hub and self.find_lr:
            raise ValueError("--push_to_hub needs a training, found --find_lr, which trains nothing.")
        for name in ("hub_model_id", "hub_private_repo", "hub_revision", "hub_token", "push_recordings"):
            if not self.push_to_hub and getattr(self, name) not in (None, False):
                raise ValueError(f"--{name} needs --push_to_hub, found none.")

    def _settle_schedule(self) -> None:
        """Refuses what cannot go together, and chooses the schedule where none is named."""
        if self.lr_scheduler_type in STEERED:
            raise ValueError(
                f"--lr_scheduler_type must be settled beforehand, as cosine is, found {self.lr_scheduler_type}: what "
                "follows the evaluations chooses by the part that is evaluated."
            )
        if self.one_cycle:
            if self.lr_scheduler_type is not None:
                raise ValueError(
                    f"--one_cycle and --lr_scheduler_type {self.lr_scheduler_type} are both schedules: give one of "
                    "them."
                )
            if self.warmup_steps != type(self).warmup_steps:
                raise ValueError(
                    f"--one_cycle has a rise of its own, found --warmup_steps {self.warmup_steps:g} too: give one of "
                    "them."
                )
            if 0 < self.max_steps < FEWEST_STEPS:
                raise ValueError(
                    f"--one_cycle needs at least {FEWEST_STEPS} steps, found --max_steps {self.max_steps}."
                )
        if self.lr_scheduler_type is None:
            growing = self.batch_growth > 1 and not self.one_cycle
            self.lr_scheduler_type = "constant_with_warmup" if growing else "cosine"

    def use_cpu_threads(self) -> None:
        """Sets torch's number of threads, because `accelerate launch` leaves every core but one idle."""
        torch.set_num_threads(self.cpu_threads or max(1, available_cores() // self.world_size))

    def checkpoint_to_resume(self) -> str | None:
        """The checkpoint's folder that `--resume_from_checkpoint` names, or None for a new run.

        A checkpoint that is damaged, or was not written to its end because the run was killed meanwhile, counts as
        none; that it is passed over is said.

        Raises:
            CheckpointError: It is not there or damaged; or the run is new, but an interrupted one lies in its output
                folder.
        """
        last, damaged = newest_checkpoint(self.output_dir)
        reasons = "; ".join(f"{name} {damage}" for name, damage in damaged.items())
        if self.resume_from_checkpoint is None:
            if last is not None:
                raise CheckpointError(
                    f"Expected no unfinished run in {self.output_dir}, found {os.path.basename(last)}; add "
                    "--resume_from_checkpoint to continue it, or choose another --output_dir."
                )
            if damaged:
                logger.warning("Starting anew: in %s no checkpoint is whole (%s)", self.output_dir, reasons)
            return None
        if self.resume_from_checkpoint in (LAST_CHECKPOINT, "true", "True"):
            if last is None and damaged:
                raise CheckpointError(
                    f"Expected a whole checkpoint to resume from in {self.output_dir}, found none ({reasons}); start "
                    "anew without --resume_from_checkpoint."
                )
            if last is None:
                raise CheckpointError(
                    f"Expected a checkpoint to resume from in {self.output_dir}, found none; start without "
                    "--resume_from_checkpoint (a finished run removes its checkpoints)."
                )
            if damaged:
                logger.warning("Resuming from %s: %s", os.path.basename(last), reasons)
            return last
        named = Path(self.resume_from_checkpoint)
        if not named.is_dir():
            raise CheckpointError(
                f"Expected the folder of a checkpoint at {named}, found none; give --resume_from_checkpoint alone to "
                "take the last one."
            )
        damage = checkpoint_damage(named)
        if damage is not None:
            whole = newest_checkpoint(named.parent)[0] or last
            raise CheckpointError(
                f"Expected a whole checkpoint at {named}, found one that {damage}; "
                + (f"give --resume_from_checkpoint {whole}." if whole else "start anew without the flag.")
            )
        return self.resume_from_checkpoint
