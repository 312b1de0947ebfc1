"""hfaudio: train, judge and ship small, excellent audio classifiers on the Hugging Face stack.

Importing the package makes `transformers` know its classes, so that a model of ours loads without
`trust_remote_code`. Neither torch nor transformers is imported before a name of the package is used.
"""

from typing import TYPE_CHECKING

import lazy_loader

from hfaudio.registration import register_when_imported

if TYPE_CHECKING:
    from hfaudio.data import load_audio_dataset
    from hfaudio.model import (
        SpectrogramCNNConfig,
        SpectrogramCNNFeatureExtractor,
        SpectrogramCNNForAudioClassification,
        SpectrogramCNNModel,
    )
    from hfaudio.training import AudioTrainingArguments, FocalLossTrainer, SpecAugmentCollator, train_classifier

__all__ = [
    "AudioTrainingArguments",
    "FocalLossTrainer",
    "SpecAugmentCollator",
    "SpectrogramCNNConfig",
    "SpectrogramCNNFeatureExtractor",
    "SpectrogramCNNForAudioClassification",
    "SpectrogramCNNModel",
    "load_audio_dataset",
    "train_classifier",
]

__version__ = "0.1.0"

register_when_imported()

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "data": ["load_audio_dataset"],
        "model": [
            "SpectrogramCNNConfig",
            "SpectrogramCNNFeatureExtractor",
            "SpectrogramCNNForAudioClassification",
            "SpectrogramCNNModel",
        ],
        "training": ["AudioTrainingArguments", "FocalLossTrainer", "SpecAugmentCollator", "train_classifier"],
    },
)
