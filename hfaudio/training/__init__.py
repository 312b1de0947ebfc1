"""Arguments, augmentation, losses, the trainer, and a whole training run."""

from hfaudio.training.augmentation import WaveformAugmentation
from hfaudio.training.augmentation_arguments import AugmentationArguments
from hfaudio.training.checkpoints import CheckpointError, remove_checkpoints
from hfaudio.training.class_weights import balanced_class_weights
from hfaudio.training.cross_validation import CrossValidation, cross_validate
from hfaudio.training.cross_validation_page import write_summary_page
from hfaudio.training.data_arguments import DataArguments, SourceArguments
from hfaudio.training.experiment import DivergedError, search_learning_rate, train_classifier
from hfaudio.training.feature_arguments import FeatureArguments
from hfaudio.training.losses import FocalLoss, focal_loss
from hfaudio.training.mixing import MixedCrops, Mixing
from hfaudio.training.model_arguments import ModelArguments
from hfaudio.training.normalization import fit_normalization
from hfaudio.training.output_folder import staged_folder
from hfaudio.training.run_arguments import RARELY_USED, RunArguments
from hfaudio.training.sampler import SeededSampler
from hfaudio.training.specaugment import FeatureChanges, SpecAugmentCollator
from hfaudio.training.trained_classifier import TrainedClassifier
from hfaudio.training.trainer import FocalLossTrainer
from hfaudio.training.training_arguments import AudioTrainingArguments

__all__ = [
    "RARELY_USED",
    "AudioTrainingArguments",
    "AugmentationArguments",
    "CheckpointError",
    "CrossValidation",
    "DataArguments",
    "DivergedError",
    "FeatureArguments",
    "FeatureChanges",
    "FocalLoss",
    "FocalLossTrainer",
    "MixedCrops",
    "Mixing",
    "ModelArguments",
    "RunArguments",
    "SeededSampler",
    "SourceArguments",
    "SpecAugmentCollator",
    "TrainedClassifier",
    "WaveformAugmentation",
    "balanced_class_weights",
    "cross_validate",
    "fit_normalization",
    "focal_loss",
    "remove_checkpoints",
    "search_learning_rate",
    "staged_folder",
    "train_classifier",
    "write_summary_page",
]
