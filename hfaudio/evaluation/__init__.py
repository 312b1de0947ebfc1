"""Metrics, as `evaluate` modules that work offline, and tables of predictions."""

from hfaudio.evaluation.accuracy import Accuracy
from hfaudio.evaluation.classification import compute_metrics, prediction_rows
from hfaudio.evaluation.macro_f1 import MacroF1

__all__ = ["Accuracy", "MacroF1", "compute_metrics", "prediction_rows"]
