"""All settings of one training run together."""

from dataclasses import dataclass, fields
from typing import Any

from transformers import TrainingArguments

from hfaudio.training.augmentation_arguments import AugmentationArguments
from hfaudio.training.data_arguments import DataArguments
from hfaudio.training.feature_arguments import FeatureArguments
from hfaudio.training.model_arguments import ModelArguments
from hfaudio.training.training_arguments import AudioTrainingArguments

__all__ = ["RARELY_USED", "RunArguments"]

DECISIVE = ("seed", "data_seed", "loss", "focal_gamma", "class_weights", "ema_decay", "label_smoothing_factor")
"""The settings of `AudioTrainingArguments` without which a resumed run would be another one."""


SCHEDULE = (
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate",
    "weight_decay", "lr_scheduler_type", "warmup_steps", "one_cycle", "layerwise_lr_decay", "freeze_backbone_epochs",
    "unfreeze_gradually", "batch_growth", "batch_growth_times", "early_stopping_patience", "optim", "max_grad_norm",
    "bf16", "fp16",
)  # fmt: skip
"""The settings of `AudioTrainingArguments` that change a result besides."""

OFTEN_USED = {
    "bf16", "dataloader_num_workers", "fp16", "gradient_accumulation_steps", "label_smoothing_factor", "max_steps",
    "seed",
}  # fmt: skip

RARELY_USED = frozenset(
    {one.name for one in fields(TrainingArguments)} - set(AudioTrainingArguments.__annotations__) - OFTEN_USED
    | {"remove_unused_columns"}
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

    def decisive_settings(self) -> dict[str, str]:
        """The text of each setting that must not change when a run is resumed."""
        parts = (self.data, self.features, self.model, self.augmentation)
        settings = {name: repr(value) for part in parts for name, value in vars(part).items()}
        return settings | {name: repr(getattr(self.training, name)) for name in DECISIVE}

    def result_settings(self) -> dict[str, str]:
        """The text of each setting that changes the result."""
        return self.decisive_settings() | {name: repr(getattr(self.training, name)) for name in SCHEDULE}
