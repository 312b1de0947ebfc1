"""Predicting any file, any length, folders and streams. Importing it imports neither torch nor transformers."""

from hfaudio.inference.classifier_settings import ClassifierSettings, ModelError
from hfaudio.inference.pooling import POOLINGS
from hfaudio.inference.prediction import UNKNOWN, Prediction
from hfaudio.inference.predictor import BACKENDS, Predictor
from hfaudio.inference.recording_reader import Audio

__all__ = ["BACKENDS", "POOLINGS", "UNKNOWN", "Audio", "ClassifierSettings", "ModelError", "Prediction", "Predictor"]
