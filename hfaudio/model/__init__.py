"""What ships to the Hub with the weights: configuration, feature extractor, model and pipeline.

Each is imported when it is first used: transformers imports the configuration before it can import a model.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from hfaudio.model.configuration_spectrogram_cnn import MODEL_SIZES, SpectrogramCNNConfig
    from hfaudio.model.feature_extraction_spectrogram_cnn import FEATURE_PRESETS, SpectrogramCNNFeatureExtractor
    from hfaudio.model.modeling_spectrogram_cnn import SpectrogramCNNForAudioClassification, SpectrogramCNNModel
    from hfaudio.model.pipeline_spectrogram_cnn import SpectrogramCNNPipeline

__all__ = [
    "FEATURE_PRESETS",
    "MODEL_SIZES",
    "SpectrogramCNNConfig",
    "SpectrogramCNNFeatureExtractor",
    "SpectrogramCNNForAudioClassification",
    "SpectrogramCNNModel",
    "SpectrogramCNNPipeline",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "configuration_spectrogram_cnn": ["MODEL_SIZES", "SpectrogramCNNConfig"],
        "feature_extraction_spectrogram_cnn": ["FEATURE_PRESETS", "SpectrogramCNNFeatureExtractor"],
        "modeling_spectrogram_cnn": ["SpectrogramCNNForAudioClassification", "SpectrogramCNNModel"],
        "pipeline_spectrogram_cnn": ["SpectrogramCNNPipeline"],
    },
)
