"""Metrics, as `evaluate` modules that work offline, tables of predictions, and pictures of the errors."""

from hfaudio.evaluation.accuracy import Accuracy
from hfaudio.evaluation.classification import HEADLINES, compute_metrics, describe_metrics, prediction_rows
from hfaudio.evaluation.csv_file import write_csv
from hfaudio.evaluation.error_review import write_error_review
from hfaudio.evaluation.interpretation import Interpretation
from hfaudio.evaluation.macro_f1 import MacroF1
from hfaudio.evaluation.mean_average_precision import MeanAveragePrecision
from hfaudio.evaluation.training_curves import plot_training_curves

__all__ = [
    "HEADLINES",
    "Accuracy",
    "Interpretation",
    "MacroF1",
    "MeanAveragePrecision",
    "compute_metrics",
    "describe_metrics",
    "plot_training_curves",
    "prediction_rows",
    "write_csv",
    "write_error_review",
]
