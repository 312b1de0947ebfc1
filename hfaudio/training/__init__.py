"""Arguments, augmentation, losses, the trainer, and a whole training run."""

from hfaudio.training.augmentation import WaveformAugmentation
from hfaudio.training.augmentation_arguments import AugmentationArguments
from hfaudio.training.checkpoints import CheckpointError, remove_checkpoints
from hfaudio.training.class_weights import balanced_class_weights
from hfaudio.training.cross_validation import CrossValidation, FoldResult, cross_validate
from hfaudio.training.cross_validation_page import write_summary_page
from hfaudio.training.data_arguments import DataArguments, SourceArguments
from hfaudio.training.early_stopping import EarlyStopping
from hfaudio.training.experiment import DivergedError, search_learning_rate, train_classifier
from hfaudio.training.feature_arguments import FeatureArguments
from hfaudio.training.final_model import FINAL_FOLDER, train_on_all
from hfaudio.training.freezing import TrunkFreezer
from hfaudio.training.learning_rate_finder import LearningRateSearch, find_learning_rate
from hfaudio.training.losses import FocalLoss, focal_loss
from hfaudio.training.mixing import MixedCrops, Mixing
from hfaudio.training.model_arguments import ModelArguments
from hfaudio.training.normalization import fit_normalization
from hfaudio.training.out_of_fold import OutOfFold, read_out_of_fold
from hfaudio.training.output_folder import (
    OutputFolderError,
    check_report_place,
    claimed_folder,
    staged_folder,
    staged_model,
)
from hfaudio.training.pretrained import load_for_fine_tuning
from hfaudio.training.recalibration import calibrate_saved_model
from hfaudio.training.run_arguments import RARELY_USED, RunArguments
from hfaudio.training.sampler import SeededSampler
from hfaudio.training.specaugment import FeatureChanges, SpecAugmentCollator
from hfaudio.training.trained_classifier import TrainedClassifier
from hfaudio.training.trainer import FocalLossTrainer
from hfaudio.training.training_arguments import AudioTrainingArguments, FlagError
from hfaudio.training.training_record import TrainingRecord
from hfaudio.training.weight_averaging import WeightAverage

__all__ = [
    "FINAL_FOLDER",
    "RARELY_USED",
    "AudioTrainingArguments",
    "AugmentationArguments",
    "CheckpointError",
    "CrossValidation",
    "DataArguments",
    "DivergedError",
    "EarlyStopping",
    "FeatureArguments",
    "FeatureChanges",
    "FlagError",
    "FocalLoss",
    "FocalLossTrainer",
    "FoldResult",
    "LearningRateSearch",
    "MixedCrops",
    "Mixing",
    "ModelArguments",
    "OutOfFold",
    "OutputFolderError",
    "RunArguments",
    "SeededSampler",
    "SourceArguments",
    "SpecAugmentCollator",
    "TrainedClassifier",
    "TrainingRecord",
    "TrunkFreezer",
    "WaveformAugmentation",
    "WeightAverage",
    "balanced_class_weights",
    "calibrate_saved_model",
    "check_report_place",
    "claimed_folder",
    "cross_validate",
    "find_learning_rate",
    "fit_normalization",
    "focal_loss",
    "load_for_fine_tuning",
    "read_out_of_fold",
    "remove_checkpoints",
    "search_learning_rate",
    "staged_folder",
    "staged_model",
    "train_classifier",
    "train_on_all",
    "write_summary_page",
]
