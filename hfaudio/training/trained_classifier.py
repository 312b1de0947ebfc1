"""What a training run leaves behind, and the folder that holds it."""

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hfaudio.data import LeftOut, write_split
from hfaudio.evaluation import (
    Calibration,
    Interpretation,
    evidence_over_time,
    plot_training_curves,
    prediction_rows,
    write_csv,
    write_error_review,
)
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training.training_record import TrainingRecord

__all__ = ["TrainedClassifier", "finite_metrics"]

DOTS_PER_INCH = 120

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedClassifier:
    """What a training run leaves behind.

    Attributes:
        model: The last weights, averaged if they were to be; no epoch is chosen on the held-out part.
        feature_extractor: With the training part's normalization.
        split: The recordings of the parts `train` and `test`; without `train` where that is streamed from a table.
        split_description: How they were chosen, in a few words.
        left_out: The recordings that could not be used.
        metrics: Of the training and of the held-out recordings.
        held_out: The recordings that the metrics are of: the part `test`, or all, if the model was trained on all and
            a cross-validation has measured it.
        logits: `(recordings, num_labels)`, of these, divided by the model's temperature.
        log_history: What was logged on the way, as `Trainer` has it.
        calibration: How far their probabilities can be believed, without and with a temperature.
        record: What happened while it was trained.
        cross_validation: What `CrossValidation.summary` says, of a model that was trained on all recordings.
    """

    model: SpectrogramCNNForAudioClassification
    feature_extractor: SpectrogramCNNFeatureExtractor
    split: datasets.DatasetDict
    split_description: str
    left_out: Sequence[LeftOut]
    metrics: Mapping[str, Any]
    held_out: datasets.Dataset
    logits: np.ndarray
    log_history: Sequence[Mapping[str, Any]]
    calibration: Calibration
    record: TrainingRecord
    cross_validation: Mapping[str, Any] | None = None

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """One row for each held-out recording; see `hfaudio.evaluation.prediction_rows`."""
        names, labels = self.held_out["file_name"], self.held_out["label"]
        return prediction_rows(names, labels, self.logits, self.model.config.class_names)

    @property
    def interpretation(self) -> Interpretation:
        """The errors on the held-out recordings."""
        return Interpretation.from_predictions(
            self.held_out["file_name"][:],
            self.held_out["label"][:],
            self.logits,
            self.model.config.class_names,
            self.held_out.with_format("numpy")["waveform"],
            self.feature_extractor.sampling_rate,
        )

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the model with its code and configuration, the metrics, tables, and pictures of errors and curves."""
        folder = Path(folder)
        self.model.save_pretrained(folder)
        self.feature_extractor.save_pretrained(folder)
        with (folder / "all_results.json").open("w", encoding="utf-8") as file:
            json.dump(finite_metrics(self.metrics), file, indent=2, allow_nan=False)
            file.write("\n")
        write_split(self.split, folder / "split.csv", self.left_out)
        write_csv(folder / "left_out.csv", ("file_name", "reason"), map(asdict, self.left_out))
        predictions = self.predictions
        (folder / "eval").mkdir(exist_ok=True)
        write_csv(folder / "eval" / "predictions.csv", tuple(predictions[0]), predictions)
        # Of this model, which has not made the errors of a cross-validation.
        evidence = None if self.cross_validation else partial(evidence_over_time, self.model, self.feature_extractor)
        write_error_review(self.interpretation, folder / "eval", evidence)
        pictures = {"training_curves": plot_training_curves(self.log_history), "calibration": self.calibration.plot()}
        for name, picture in pictures.items():
            picture.savefig(folder / "eval" / f"{name}.png", dpi=DOTS_PER_INCH)


def finite_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics with null for what is not a finite number, of which JSON knows none; a warning names them."""
    wrong = [name for name, value in metrics.items() if isinstance(value, float) and not math.isfinite(value)]
    if wrong:
        logger.warning(
            "Not a finite number, and null in what is written: %s; the training was close to diverging.",
            ", ".join(wrong),
        )
    return {name: None if name in wrong else value for name, value in metrics.items()}
