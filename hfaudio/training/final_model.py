"""The model to ship after a cross-validation: trained on all recordings, judged by what the folds have measured."""

import copy
import logging
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
from transformers import EvalPrediction
from transformers.trainer_utils import IntervalStrategy

from hfaudio.data import DataError, PreparedAudio
from hfaudio.evaluation import compute_metrics
from hfaudio.training.checkpoints import last_complete_checkpoint
from hfaudio.training.cross_validation import CrossValidation
from hfaudio.training.experiment import DivergedError, fit
from hfaudio.training.recalibration import threshold_of
from hfaudio.training.run_arguments import RunArguments
from hfaudio.training.trained_classifier import TrainedClassifier
from hfaudio.training.training_arguments import LAST_CHECKPOINT

__all__ = ["FINAL_FOLDER", "train_on_all"]

logger = logging.getLogger(__name__)

FINAL_FOLDER = "final"


def train_on_all(run: RunArguments, validation: CrossValidation) -> TrainedClassifier:
    """Trains once more, with no fold held out.

    The scores are those of the folds' models. Their predictions settle the temperature, and with a
    `--false_reject_rate` the threshold below which a recording is called unknown.

    Args:
        run: The settings of the cross-validation; the checkpoints go to `final` in `run.training.output_dir`.
        validation: Its result.

    Raises:
        hfaudio.data.DataError: The rate cannot be met, or the recordings cannot be used as asked.
        hfaudio.training.CheckpointError: The checkpoint to resume from is one of other settings.
        DivergedError: The training has diverged.
    """
    pooled, calibration = validation.interpretation, validation.calibration
    logits = pooled.logits / calibration.temperature
    rate = run.training.false_reject_rate
    threshold = threshold_of(logits, pooled.multi_label, rate)
    logger.info("All folds together, for the final model")
    fitted = fit(_with_all(run), hold_out=False)
    if not all(weights.isfinite().all() for weights in fitted.model.parameters()):
        raise DivergedError(
            "Expected the final model to learn as the folds' did, found weights that are not numbers: the training "
            "diverged; try a lower --learning_rate, which --find_lr of train.py searches for."
        )
    fitted.model.config.logit_temperature = calibration.temperature
    fitted.model.config.unknown_threshold = threshold
    measured = compute_metrics(EvalPrediction(pooled.logits, pooled.labels))
    metrics = {
        **fitted.metrics,
        **{f"eval_{name}": value for name, value in measured.items()},
        "eval_ece_before": calibration.error_before,
        "eval_ece": calibration.error_after,
        "train_recordings": len(fitted.split["train"]),
        "eval_recordings": len(pooled.file_names),
        "temperature": calibration.temperature,
        "temperature_refused": calibration.refusal,
        "unknown_threshold": threshold,
        "false_reject_rate": rate,
    }
    return TrainedClassifier(
        fitted.model,
        fitted.extractor,
        fitted.split,
        f"{len(validation.folds)} folds, each held out once",
        fitted.left_out,
        metrics,
        datasets.concatenate_datasets([_recordings(fold.recordings).dataset for fold in validation.folds]),
        logits.astype(np.float32),
        fitted.trainer.state.log_history,
        calibration,
        fitted.record,
        validation.summary(),
    )


def _with_all(run: RunArguments) -> RunArguments:
    folder = Path(run.training.output_dir) / FINAL_FOLDER
    training = copy.copy(run.training)  # not made anew: `TrainingArguments` changes what it was given
    training.output_dir = str(folder)
    training.false_reject_rate = None  # for which nothing is held out
    training.resume_from_checkpoint = LAST_CHECKPOINT if last_complete_checkpoint(folder) else None
    if not run.data.validation_size:
        training.eval_strategy = IntervalStrategy.NO
    return replace(run, training=training)


def _recordings(recordings: PreparedAudio | None) -> PreparedAudio:
    if recordings is None:
        raise DataError("Expected the recordings of all folds, found predictions alone; run the cross-validation.")
    return recordings
