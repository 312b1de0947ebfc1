"""The flags of training, as dataclasses that `HfArgumentParser` reads."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations
from transformers.trainer_utils import get_last_checkpoint

from hfaudio.data import available_cores
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor
from hfaudio.model.timm_trunk_spectrogram_cnn import check_backbone
from hfaudio.training.checkpoints import CheckpointError

__all__ = ["AudioTrainingArguments", "FeatureArguments", "ModelArguments"]

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


CROP_FLAGS = ("crop_seconds", "max_seconds", "pad_mode")


def _refuse_changes(arguments: Any, names: Sequence[str]) -> None:
    """Refuses flags that a checkpoint has settled."""
    for one in fields(arguments):
        if one.name in names and getattr(arguments, one.name) != one.default:
            raise ValueError(
                f"--{one.name} is settled by --model_name_or_path, found {getattr(arguments, one.name)!r}; "
                "leave it out."
            )


@dataclass
class FeatureArguments:
    """How waveforms become features."""

    _argument_group_name = "features"

    features: str = field(
        default="log_mel", metadata={"help": "What is computed.", "choices": ["log_mel", "mfcc", "mfcc_delta"]}
    )
    feature_preset: str = field(
        default="compact",
        metadata={"help": "Named spectrogram settings.", "choices": ["compact", "power_of_two", "dessa"]},
    )
    sampling_rate: int = field(default=16_000, metadata={"help": "Rate that all recordings are cast to, in Hz."})
    n_fft: int | None = field(default=None, metadata={"help": "Length of the Fourier transform, in samples [preset]."})
    win_length: int | None = field(default=None, metadata={"help": "Length of the window, in samples [preset]."})
    hop_length: int | None = field(default=None, metadata={"help": "Step between frames, in samples [preset]."})
    n_mels: int | None = field(default=None, metadata={"help": "Mel bands [preset]."})
    n_mfcc: int | None = field(default=None, metadata={"help": "Cepstral coefficients [40]."})
    crop_seconds: float = field(default=2.0, metadata={"help": "Length of the training crops, in seconds."})
    max_seconds: float = field(
        default=30.0, metadata={"help": "Longer recordings are evaluated on their middle part of this length."}
    )
    pad_mode: str = field(
        default="zero",
        metadata={
            "help": "How recordings shorter than a crop are extended.",
            "choices": ["zero", "repeat", "reflect"],
        },
    )

    def __post_init__(self) -> None:
        if self.n_mfcc is not None and self.features == "log_mel":
            raise ValueError("--n_mfcc needs --features mfcc or mfcc_delta, found log_mel.")
        self.build_extractor()

    def build_extractor(self) -> SpectrogramCNNFeatureExtractor:
        """Makes the feature extractor; flags win over the preset.

        Raises:
            ValueError: A setting lies outside its bounds.
        """
        settings = {
            name: value for name, value in vars(self).items() if name != "feature_preset" and value is not None
        }
        return SpectrogramCNNFeatureExtractor.from_preset(self.feature_preset, **settings)

    def apply_crop(self, extractor: SpectrogramCNNFeatureExtractor) -> None:
        """Lets the flags that change no feature win over those of a checkpoint.

        Args:
            extractor: Of the checkpoint; is changed.

        Raises:
            ValueError: A flag was given that would change the features.
        """
        _refuse_changes(self, [one.name for one in fields(self) if one.name not in CROP_FLAGS])
        for one in fields(self):
            if one.name in CROP_FLAGS and getattr(self, one.name) != one.default:
                setattr(extractor, one.name, getattr(self, one.name))


@dataclass
class ModelArguments:
    """The network."""

    _argument_group_name = "model"

    model_size: str = field(
        default="small", metadata={"help": "Named width and depth.", "choices": ["tiny", "small", "base"]}
    )
    hidden_sizes: list[int] | None = field(default=None, metadata={"help": "Width of each stage [model_size]."})
    depths: list[int] | None = field(default=None, metadata={"help": "Residual blocks of each stage [model_size]."})
    dropout: float = field(default=0.2, metadata={"help": "Probability of dropping a pooled feature."})
    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "Train this model further, with its features: a folder, or owner/name[@revision] on the Hub. "
            "Where the classes differ, the classifier is new."
        },
    )
    backbone: str | None = field(
        default=None, metadata={"help": "A trunk of timm's in place of ours, such as timm/tf_efficientnet_lite0."}
    )
    backbone_weights: str | None = field(
        default=None,
        metadata={
            "help": "Weights for --backbone: pretrained (downloads them), a file, or an installed package with one."
        },
    )
    eval_window_seconds: float | None = field(
        default=None,
        metadata={
            "help": "Score longer recordings in windows of this length and average the probabilities [as a whole]."
        },
    )
    eval_window_hop_seconds: float | None = field(
        default=None, metadata={"help": "Step from window to window [half a window]."}
    )

    def __post_init__(self) -> None:
        if self.backbone_weights is not None and self.backbone is None:
            raise ValueError(f"--backbone_weights {self.backbone_weights} needs a --backbone, found none.")
        if self.eval_window_hop_seconds is not None and self.eval_window_seconds is None:
            raise ValueError("--eval_window_hop_seconds needs --eval_window_seconds, found none.")
        for name in ("eval_window_seconds", "eval_window_hop_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and not 0.0 < seconds < math.inf:
                raise ValueError(f"--{name} must be above 0 seconds, found {seconds}.")
        if self.model_name_or_path is not None:
            _refuse_changes(self, ("model_size", "hidden_sizes", "depths", "dropout", "backbone"))
        if self.backbone is not None:
            check_backbone(self.backbone, num_channels=1)
        self.build_config(num_channels=1, class_names=("no", "yes"))

    def build_config(
        self, num_channels: int, class_names: Sequence[str], multi_label: bool = False
    ) -> SpectrogramCNNConfig:
        """Makes the model's configuration; flags win over the named size.

        Args:
            num_channels: Channels of the features.
            class_names: In the order of their indices.
            multi_label: Whether a recording can have any number of classes.

        Raises:
            ValueError: A size lies outside its bounds.
        """
        sizes = {"hidden_sizes": self.hidden_sizes, "depths": self.depths}
        return SpectrogramCNNConfig.from_size(
            self.model_size,
            num_channels=num_channels,
            dropout=self.dropout,
            backbone=self.backbone,
            problem_type=("multi" if multi_label else "single") + "_label_classification",
            id2label=dict(enumerate(class_names)),
            label2id={name: index for index, name in enumerate(class_names)},
            **{name: size for name, size in sizes.items() if size is not None},
        )

    def apply_windows(self, config: SpectrogramCNNConfig, extractor: SpectrogramCNNFeatureExtractor) -> None:
        """Writes into a configuration in which windows recordings are scored, if the flags say so.

        Args:
            config: Is changed.
            extractor: What makes the frames.

        Raises:
            ValueError: The step is longer than a window.
        """
        if self.eval_window_seconds is None:
            return
        hop_seconds = self.eval_window_hop_seconds or self.eval_window_seconds / 2
        if hop_seconds > self.eval_window_seconds:
            raise ValueError(
                f"--eval_window_hop_seconds must be at most {self.eval_window_seconds} (--eval_window_seconds), found "
                f"{hop_seconds}."
            )
        frames_per_second = extractor.sampling_rate / extractor.hop_length
        config.eval_window_frames = 1 + round(self.eval_window_seconds * frames_per_second)
        config.eval_window_hop_frames = max(1, round(hop_seconds * frames_per_second))


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
        default=0, metadata={"help": "Stop when the held-out loss has not fallen for so many evaluations; 0: never."}
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
