"""All settings of one training run together."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from transformers import TrainingArguments

from hfaudio.training.augmentation_arguments import AugmentationArguments
from hfaudio.training.data_arguments import DataArguments
from hfaudio.training.feature_arguments import FeatureArguments
from hfaudio.training.model_arguments import ModelArguments
from hfaudio.training.training_arguments import AudioTrainingArguments

__all__ = ["RARELY_USED", "RunArguments"]

DECISIVE = ("seed", "data_seed", "loss", "focal_gamma", "class_weights", "ema_decay", "label_smoothing_factor")
"""The settings of `AudioTrainingArguments` without which a resumed run would be another one."""

CHANGES_NO_RESULT = frozenset({
    # where things lie, and what a run is to do
    "output_dir", "resume_from_checkpoint", "find_lr", "do_train", "do_eval", "do_predict",
    # what is fitted to the scores when the training is over, and to those of a fold never
    "calibrate", "false_reject_rate",
    # logging and reporting
    "logging_strategy", "logging_steps", "logging_first_step", "log_on_each_node", "logging_nan_inf_filter",
    "log_level", "log_level_replica", "disable_tqdm", "report_to", "run_name", "project", "trackio_space_id",
    "trackio_bucket_id", "trackio_static_space_id", "include_num_input_tokens_seen", "skip_memory_metrics", "debug",
    # saving, and the Hub, whose token must not be written down either
    "save_strategy", "save_steps", "save_total_limit", "save_on_each_node", "save_only_model", "enable_jit_checkpoint",
    "push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push", "hub_revision",
    "push_recordings",
    # what the card says of the model
    "model_license", "data_attribution",
    # workers, threads and memory: an example follows from its key, whoever makes it
    "preparation_processes", "cpu_threads", "dataloader_num_workers", "dataloader_pin_memory",
    "dataloader_persistent_workers", "dataloader_prefetch_factor", "dataloader_multiprocessing_context",
    "torch_empty_cache_steps", "eval_accumulation_steps", "eval_use_gather_object",
    # how processes find and wait for each other
    "local_rank", "ddp_backend", "ddp_timeout", "ddp_bucket_cap_mb", "ddp_find_unused_parameters", "ddp_static_graph",
})  # fmt: skip
"""The settings that change no result; every other one does, as far as we know."""

CAN_BE_FILES = ("class_weights", "waveform_augmentation", "split", "backbone_weights", "deepspeed")
"""The settings that may be the path of a file whose content counts."""

BUILT_IN_DEFAULTS = {"num_train_epochs": 16.0}  # a minute and a half on two cores
"""What differs without a data set, where the built-in sounds show the way."""

OFTEN_USED = {
    "bf16", "dataloader_num_workers", "fp16", "gradient_accumulation_steps", "hub_model_id", "label_smoothing_factor",
    "max_steps", "seed",
}  # fmt: skip

RARELY_USED = frozenset(
    {one.name for one in fields(TrainingArguments)} - set(AudioTrainingArguments.__annotations__) - OFTEN_USED
    | {"hub_strategy", "remove_unused_columns"}
)
"""The flags of `TrainingArguments` that only `--help_all` shows."""


@dataclass(frozen=True)
class RunArguments:
    """The settings of a run.

    Attributes:
        data: Which recordings to learn from, and which to hold out.
        features: How waveforms become features.
        model: The network.
        augmentation: How training examples are cut, changed and mixed.
        training: Everything else; `training.seed` decides the split, the weights and every example.
    """

    data: DataArguments
    features: FeatureArguments
    model: ModelArguments
    augmentation: AugmentationArguments
    training: AudioTrainingArguments

    @classmethod
    def parts(cls) -> list[Any]:
        """The classes of the parts, in their order, to read them from flags."""
        return [DataArguments, FeatureArguments, ModelArguments, AugmentationArguments, AudioTrainingArguments]

    @classmethod
    def from_flags(cls, parser: Any, argv: Sequence[str]) -> Self:
        """Reads the flags; without a `--dataset` with the defaults for the built-in sounds.

        Args:
            parser: A `hfaudio.dataclass_parser.CommandLineParser` of the `parts`.
            argv: The arguments, without the program's name.
        """
        run = cls(*parser.parse(argv))
        if run.data.dataset:
            return run
        parser.set_defaults(**BUILT_IN_DEFAULTS)
        return cls(*parser.parse(argv))

    @property
    def base_model(self) -> str | None:
        """`owner/name` of the model that is trained further, if it comes from the Hub."""
        source = self.model.model_name_or_path
        return None if source is None or os.path.isdir(source) else source.partition("@")[0]

    def decisive_settings(self) -> dict[str, str]:
        """The text of each setting that must not change when a run is resumed."""
        training = {one.name for one in fields(self.training)} - set(DECISIVE)
        return {name: text for name, text in self.result_settings().items() if name not in training}

    def result_settings(self) -> dict[str, str]:
        """The text of each setting that changes the result; of a file it is a hash of what is in it."""
        parts = (self.data, self.features, self.model, self.augmentation, self.training)
        return {
            one.name: _text(one.name, getattr(part, one.name))
            for part in parts
            for one in fields(part)
            if one.name not in CHANGES_NO_RESULT
        }


def _text(name: str, value: Any) -> str:
    if name in CAN_BE_FILES and isinstance(value, str) and os.path.isfile(value):
        with open(value, "rb") as file:
            return f"(a file of SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()})"
    return repr(value)
