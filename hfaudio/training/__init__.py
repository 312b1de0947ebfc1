"""Arguments, augmentation, losses, the trainer, and a whole training run."""

from hfaudio.training.arguments import (
    AudioTrainingArguments,
    FeatureArguments,
    ModelArguments,
)
from hfaudio.training.augmentation import WaveformAugmentation
from hfaudio.training.checkpoints import CheckpointError, remove_checkpoints
from hfaudio.training.data_arguments import DataArguments, SourceArguments
from hfaudio.training.experiment import TrainedClassifier, train_classifier
from hfaudio.training.losses import FocalLoss, balanced_class_weights, focal_loss
from hfaudio.training.normalization import fit_normalization
from hfaudio.training.output_folder import staged_folder
from hfaudio.training.sampler import SeededSampler
from hfaudio.training.specaugment import SpecAugmentCollator
from hfaudio.training.trainer import FocalLossTrainer

__all__ = [
    "AudioTrainingArguments",
    "CheckpointError",
    "DataArguments",
    "FeatureArguments",
    "FocalLoss",
    "FocalLossTrainer",
    "ModelArguments",
    "SeededSampler",
    "SourceArguments",
    "SpecAugmentCollator",
    "TrainedClassifier",
    "WaveformAugmentation",
    "balanced_class_weights",
    "fit_normalization",
    "focal_loss",
    "remove_checkpoints",
    "staged_folder",
    "train_classifier",
]
