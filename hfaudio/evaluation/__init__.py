"""Metrics, as `evaluate` modules that work offline, and tables of predictions."""

from hfaudio.evaluation.accuracy import Accuracy
from hfaudio.evaluation.classification import HEADLINES, compute_metrics, describe_metrics, prediction_rows
from hfaudio.evaluation.macro_f1 import MacroF1
from hfaudio.evaluation.mean_average_precision import MeanAveragePrecision

__all__ = [
    "HEADLINES",
    "Accuracy",
    "MacroF1",
    "MeanAveragePrecision",
    "compute_metrics",
    "describe_metrics",
    "prediction_rows",
]
