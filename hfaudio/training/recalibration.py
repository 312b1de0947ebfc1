"""Calibrating a model that is saved, by what other runs of its settings predicted."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from hfaudio.data import DataError
from hfaudio.evaluation import Calibration, probability_array, unknown_threshold
from hfaudio.training.out_of_fold import OutOfFold

__all__ = ["calibrate_saved_model", "threshold_of"]

CONFIG_FILE = "config.json"
MODEL_CODE = "modeling_spectrogram_cnn.py"
TEMPERATURE = "logit_temperature"
SAME_PROBABILITY = 1e-6  # probabilities that differ by less are the same but for rounding

logger = logging.getLogger(__name__)


def calibrate_saved_model(
    folder: str | os.PathLike[str], predictions: OutOfFold, false_reject_rate: float | None = None
) -> tuple[Calibration, float | None]:
    """Puts temperature and unknown threshold into the configuration of a model, in place of those that it has.

    It is for a model that was trained on all folds, and thus has no held-out part of its own.

    Args:
        folder: Of the model.
        predictions: For the same recordings, with the same settings, by runs that held each of them out.
        false_reject_rate: The share of recordings that may be called unknown; None leaves the model without threshold.

    Returns:
        The temperature and what it is worth, and the threshold.

    Raises:
        hfaudio.data.DataError: There is no such model, the predictions are for other classes, there are too few for
            the rate, or a graph beside the model has the former temperature.
    """
    folder = Path(folder)
    config = _read_config(folder)
    _check_code_and_graphs(folder)
    found = {str(name) for name in config.get("id2label", {}).values()}
    if found != set(predictions.class_names):
        raise DataError(
            f"Expected predictions for the classes of {folder}, {_listed(found)}, found those for "
            f"{_listed(predictions.class_names)}; give the out_of_fold.parquet of its own recordings."
        )
    multi_label = config.get("problem_type") == "multi_label_classification"
    if multi_label != predictions.multi_label:
        raise DataError(
            f"Expected predictions of {'several classes' if multi_label else 'one class'} a recording, as {folder} "
            f"gives them, found {'several' if predictions.multi_label else 'one'}; give those of its own recordings."
        )
    calibration = Calibration.cross_fitted(predictions.logits, predictions.labels, predictions.folds)
    threshold = threshold_of(predictions.logits / calibration.temperature, multi_label, false_reject_rate)
    config |= {TEMPERATURE: calibration.temperature, "unknown_threshold": threshold}
    partial = folder / f".{CONFIG_FILE}.writing"
    partial.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(partial, folder / CONFIG_FILE)
    return calibration, threshold


def threshold_of(logits: np.ndarray, multi_label: bool, false_reject_rate: float | None) -> float | None:
    """Chooses below which probability a recording is called unknown, by predictions for recordings held out.

    Where all have the same highest probability none is chosen, and a warning says so.

    Args:
        logits: `(recordings, num_labels)`, divided by the temperature.
        multi_label: Whether a recording can have any number of classes.
        false_reject_rate: The share of recordings that may be called unknown; None gives no threshold.

    Raises:
        hfaudio.data.DataError: There are several classes a recording, or too few recordings for the rate.
    """
    if false_reject_rate is None:
        return None
    if multi_label:
        raise DataError("--false_reject_rate needs a model of one class a recording, found several; leave it out.")
    probabilities = probability_array(logits, multi_label=False)
    try:
        threshold = unknown_threshold(probabilities, false_reject_rate)
    except ValueError as error:
        raise DataError(str(error)) from error
    best = probabilities.max(axis=1)
    if best.max() - best.min() < SAME_PROBABILITY:
        logger.warning(
            f"No unknown_threshold is set for --false_reject_rate {false_reject_rate:g}: all {len(best)} recordings "
            f"that were not trained on have the same highest probability, {best[0]:.6g}, which tells none apart."
        )
        return None
    return threshold


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"Expected the folder of a saved model at {folder}, found none: {error}") from error
    if not isinstance(config, dict) or config.get("model_type") != "spectrogram_cnn":
        raise DataError(f"Expected a spectrogram CNN in {folder}, found another model; check --model.")
    return config


def _check_code_and_graphs(folder: Path) -> None:
    """Refuses what would go on to answer without the new temperature."""
    code = folder / MODEL_CODE
    if code.is_file() and TEMPERATURE not in code.read_text(encoding="utf-8"):
        raise DataError(
            f"Expected code that knows a {TEMPERATURE} in {code}, found that of an earlier version; load the model "
            "and its feature extractor and save them anew with save_pretrained."
        )
    graphs = sorted(path.name for path in folder.glob("*.onnx"))
    if graphs:
        raise DataError(
            f"Expected no graph in {folder}, found {', '.join(graphs)}, which would go on with the former "
            "temperature; remove it, calibrate, and export it again with scripts/export_onnx.py."
        )


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
