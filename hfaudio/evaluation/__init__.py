"""Metrics, as `evaluate` modules that work offline, tables of predictions, and pictures of the errors."""

from hfaudio.evaluation.accuracy import Accuracy
from hfaudio.evaluation.audible_errors import AudibleError, Evidence, audible_errors
from hfaudio.evaluation.calibration import (
    Calibration,
    calibration_parts,
    expected_calibration_error,
    fewest_recordings,
    fit_temperature,
    unknown_threshold,
)
from hfaudio.evaluation.class_evidence import class_evidence, evidence_over_time
from hfaudio.evaluation.classification import HEADLINES, compute_metrics, describe_metrics, prediction_rows
from hfaudio.evaluation.csv_file import write_csv
from hfaudio.evaluation.error_review import write_error_review
from hfaudio.evaluation.interpretation import Interpretation
from hfaudio.evaluation.macro_f1 import MacroF1
from hfaudio.evaluation.mean_average_precision import MeanAveragePrecision
from hfaudio.evaluation.prediction_arrays import probability_array
from hfaudio.evaluation.top_losses_page import write_top_losses_page
from hfaudio.evaluation.training_curves import plot_training_curves

__all__ = [
    "HEADLINES",
    "Accuracy",
    "AudibleError",
    "Calibration",
    "Evidence",
    "Interpretation",
    "MacroF1",
    "MeanAveragePrecision",
    "audible_errors",
    "calibration_parts",
    "class_evidence",
    "compute_metrics",
    "describe_metrics",
    "evidence_over_time",
    "expected_calibration_error",
    "fewest_recordings",
    "fit_temperature",
    "plot_training_curves",
    "prediction_rows",
    "probability_array",
    "unknown_threshold",
    "write_csv",
    "write_error_review",
    "write_top_losses_page",
]
