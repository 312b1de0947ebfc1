"""Every fold held out once: what a recipe is worth, by all recordings and not by a lucky few."""

import copy
import json
import logging
import os
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from transformers import EvalPrediction

from hfaudio.data import DataError, PreparedAudio, describe_listing
from hfaudio.data.errors import named
from hfaudio.data.parts import part_kind
from hfaudio.evaluation import HEADLINES, Calibration, Interpretation, compute_metrics, write_error_review
from hfaudio.training.checkpoints import (
    CheckpointError,
    check_same_run,
    last_complete_checkpoint,
    remove_checkpoints,
)
from hfaudio.training.data_arguments import AUTO_SPLIT, DataArguments
from hfaudio.training.experiment import train_classifier
from hfaudio.training.held_out_recordings import held_out_recordings, pooled_waveforms
from hfaudio.training.out_of_fold import write_out_of_fold
from hfaudio.training.output_folder import staged_model
from hfaudio.training.run_arguments import RunArguments
from hfaudio.training.trained_classifier import TrainedClassifier, finite_metrics
from hfaudio.training.training_arguments import LAST_CHECKPOINT

__all__ = ["CrossValidation", "FoldResult", "cross_validate", "fold_folder", "folds_to_run"]

logger = logging.getLogger(__name__)

FOLD_FILE = "fold.json"
DOTS_PER_INCH = 120


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What was measured with one fold held out.

    Attributes:
        fold: Its name.
        metrics: Of the training and of the fold.
        file_names: Of the recordings in the fold.
        labels: The class indices of each.
        logits: `(recordings, num_labels)`.
        class_names: In the order of the indices.
        multi_label: Whether a recording can have any number of classes.
        recordings: The fold itself, on the disk; None where only what was measured is known.
    """

    fold: str
    metrics: Mapping[str, Any]
    file_names: Sequence[str]
    labels: Sequence[Sequence[int]]
    logits: np.ndarray
    class_names: Sequence[str]
    multi_label: bool
    recordings: PreparedAudio | None = None

    @classmethod
    def of(cls, fold: str, trained: TrainedClassifier) -> "FoldResult":
        """What a run that held out a fold has measured."""
        held_out = trained.split["test"]
        multi_label = trained.model.config.problem_type == "multi_label_classification"
        labels = held_out["label"][:]
        return cls(
            fold,
            trained.metrics,
            held_out["file_name"][:],
            labels if multi_label else [[label] for label in labels],
            trained.logits,
            trained.model.config.class_names,
            multi_label,
            PreparedAudio(held_out, (), trained.feature_extractor.sampling_rate),
        )

    def save(self, folder: Path, settings: Mapping[str, str]) -> None:
        """Writes it, and the settings that gave it."""
        written = {name: value for name, value in vars(self).items() if name not in ("logits", "recordings")}
        written |= {
            "metrics": finite_metrics(self.metrics),
            "logits": self.logits.tolist(),
            "settings": dict(settings),
        }
        (folder / FOLD_FILE).write_text(json.dumps(written, allow_nan=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, str]) -> "FoldResult | None":
        """Reads what `save` wrote, or None if it is not there.

        Raises:
            CheckpointError: Other settings gave it, or it is damaged.
        """
        path = folder / FOLD_FILE
        if not path.is_file():
            return None
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
            made_with = written.pop("settings")
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"Expected the result of a fold in {path}, found a damaged file; remove it to train the fold again."
            ) from error
        for name, value in settings.items():
            # A setting that came with a later version of ours or of transformers has not made the fold another one.
            if made_with.get(name, value) != value:
                raise CheckpointError(
                    f"Expected in {folder} a fold of the same settings, found --{name} {made_with[name]} "
                    f"in place of {value}; give the same flags, or start anew in another --output_dir."
                )
        return cls(**{**written, "logits": np.array(written["logits"], np.float32)})


@dataclass(frozen=True)
class CrossValidation:
    """The results of all folds.

    Attributes:
        folds: One for each fold that was held out, in their order.
    """

    folds: tuple[FoldResult, ...]

    def scores(self, metric: str) -> list[float]:
        """One score of each fold, such as `accuracy`."""
        return [float(fold.metrics[f"eval_{metric}"]) for fold in self.folds]

    @property
    def interpretation(self) -> Interpretation:
        """The errors on all recordings, each predicted by the run that held it out."""
        first = self.folds[0]
        waveforms, rate = pooled_waveforms([fold.recordings for fold in self.folds])
        labels: Any = [own for fold in self.folds for own in fold.labels]
        return Interpretation.from_predictions(
            [name for fold in self.folds for name in fold.file_names],
            labels if first.multi_label else [label for (label,) in labels],
            np.concatenate([fold.logits for fold in self.folds]),
            first.class_names,
            waveforms,
            rate,
        )

    @property
    def fold_of_each(self) -> list[str]:
        """The fold of each recording."""
        return [fold.fold for fold in self.folds for _ in fold.file_names]

    @property
    def calibration(self) -> Calibration:
        """One temperature for all if one is worth it: each fold is judged by one that was fitted on the others."""
        pooled = self.interpretation
        return Calibration.cross_fitted(pooled.logits, pooled.labels, self.fold_of_each)

    def summary(self) -> dict[str, Any]:
        """Mean and deviation over the folds, metrics and calibration of all recordings together, and what it cost."""
        pooled, calibration = self.interpretation, self.calibration
        prediction = EvalPrediction(pooled.logits, pooled.labels)
        names = [name for name in HEADLINES if f"eval_{name}" in self.folds[0].metrics]
        return {
            "metrics": {
                name: {
                    "mean": statistics.mean(self.scores(name)),
                    "std": statistics.stdev(self.scores(name)) if len(self.folds) > 1 else None,
                    "pooled": compute_metrics(prediction)[name],
                    "folds": dict(zip([fold.fold for fold in self.folds], self.scores(name), strict=True)),
                }
                for name in names
            },
            "temperature": calibration.temperature,
            "temperature_refused": calibration.refusal,
            "ece_before": calibration.error_before,
            "ece": calibration.error_after if len(self.folds) > 1 else None,
            "recordings": len(pooled.file_names),
            "train_seconds": {fold.fold: fold.metrics["train_runtime"] for fold in self.folds},
        }

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes `cross_validation.json`, `out_of_fold.parquet` and, in `eval`, the errors of all recordings.

        The probabilities are without a temperature; see `write_out_of_fold`.
        """
        folder = Path(folder)
        summary = json.dumps(self.summary(), indent=2, allow_nan=False)
        (folder / "cross_validation.json").write_text(summary + "\n", encoding="utf-8")
        pooled = self.interpretation
        write_out_of_fold(pooled, self.fold_of_each, folder / "out_of_fold.parquet")
        write_error_review(pooled, folder / "eval")
        self.calibration.plot().savefig(folder / "eval" / "calibration.png", dpi=DOTS_PER_INCH)


def folds_to_run(run: RunArguments) -> list[str]:
    """The folds that are held out one after the other: those named, or all that are given or to be made.

    Args:
        run: All settings; `run.data.eval_folds` names some of the folds, none takes all.

    Raises:
        hfaudio.data.DataError: There are no folds, or only parts such as `train` and `test` that no --fold_column
            names, or one of those asked for is none of them.
    """
    if run.data.num_folds is not None:
        found = [str(number) for number in range(1, run.data.num_folds + 1)]
    else:
        given = {fold for fold in describe_listing(run.data.listing())["fold"] if fold is not None}
        found = sorted(given, key=lambda name: (len(name), name))
    if len(found) < 2:
        raise DataError(
            f"Expected at least two folds, found {len(found)}; name their column with --fold_column, or make some "
            "with --num_folds."
        )
    parts = all(part_kind(name) not in (None, "fold") for name in found)
    if run.data.num_folds is None and run.data.fold_column is None and parts:
        raise DataError(
            f"Expected folds, found the given parts {named(found)}, of which the one to test on would be trained "
            "on; make folds with --num_folds, or name the column of the parts with --fold_column."
        )
    unknown = [name for name in run.data.eval_folds if name not in found]
    if unknown:
        raise DataError(f"Expected --eval_folds among {named(found)}, found {named(unknown)}.")
    return [name for name in found if not run.data.eval_folds or name in run.data.eval_folds]


def fold_folder(output_dir: str | os.PathLike[str], fold: str) -> Path:
    """The folder of a fold: its name, with what a file system would take for something else written as in a URL.

    Example:
        >>> fold_folder("runs", "1/../a").name
        'fold-1%2F..%2Fa'
    """
    name = re.sub(r'[%/\\:*?"<>|\x00-\x1f]', lambda found: quote(found[0], safe=""), fold)
    return Path(output_dir) / f"fold-{name}"


def cross_validate(run: RunArguments, final_model: bool = False) -> CrossValidation:
    """Trains once for each fold, with that fold held out, and keeps what each run predicts.

    A fold that is finished in the output folder is not trained again, and one that was interrupted goes on from its
    last checkpoint. No epoch is chosen: each run is scored with its last weights.

    Args:
        run: All settings; each run gets a folder `fold-NAME` in `run.training.output_dir`.
        final_model: Whether `train_on_all` is to follow, to which some flags are of use that are not to the folds, and
            some not that are.

    Raises:
        hfaudio.data.DataError: There are no folds, or the recordings cannot be used as asked, or a flag says what
            each fold decides for itself.
        hfaudio.training.CheckpointError: The output folder has folds of other settings.
    """
    _refuse_idle_flags(run, final_model)
    results = []
    names = folds_to_run(run)
    for position, fold in enumerate(names, start=1):
        folder = fold_folder(run.training.output_dir, fold)
        one = _holding_out(run, fold, folder)
        settings = one.result_settings()
        result = FoldResult.load(folder, settings)
        if result is None:
            checkpoint = last_complete_checkpoint(folder)
            if checkpoint is not None:
                check_same_run(checkpoint, settings)
            logger.info("Fold %s (%d of %d)", fold, position, len(names))
            trained = train_classifier(one)
            result = FoldResult.of(fold, trained)
            if run.training.process_index == 0:
                with staged_model(folder) as staging:
                    trained.save(staging)
                    result.save(staging, settings)
                remove_checkpoints(folder)
        else:
            result = replace(result, recordings=held_out_recordings(one, folder, result.file_names))
        results.append(result)
    return CrossValidation(tuple(results))


def _holding_out(run: RunArguments, fold: str, folder: Path) -> RunArguments:
    training = copy.copy(run.training)  # not made anew: `TrainingArguments` changes what it was given
    training.output_dir = str(folder)
    # By the fold that it is to be judged by, neither temperature nor threshold is fitted.
    training.calibrate, training.false_reject_rate = False, None
    training.resume_from_checkpoint = LAST_CHECKPOINT if last_complete_checkpoint(folder) else None
    return replace(run, data=replace(run.data, eval_folds=[fold]), training=training)


def _refuse_idle_flags(run: RunArguments, final_model: bool) -> None:
    """Refuses flags that could only be ignored."""
    resume = run.training.resume_from_checkpoint
    for given, found, reason in (
        (run.training.find_lr, "find_lr", "search with train.py, and give the --learning_rate that it suggests"),
        (
            run.training.push_to_hub,
            "push_to_hub",
            "the folds measure a recipe; push the --final_model",
        ),
        (resume is not None, f"resume_from_checkpoint {resume}", "a fold goes on from its last checkpoint by itself"),
        (
            not run.training.calibrate,
            "calibrate False",
            "the folds are scored without a temperature, and the one of all is reported",
        ),
        (
            run.training.false_reject_rate is not None and not final_model,
            f"false_reject_rate {run.training.false_reject_rate}",
            "it is for the --final_model, or for calibrate.py with the out_of_fold.parquet",
        ),
        (
            final_model and bool(run.data.eval_folds),
            f"eval_folds {' '.join(run.data.eval_folds)}",
            "the --final_model is judged by all folds",
        ),
        *(
            (bool(getattr(run.training, name)) and not final_model, name, "it is for the card of the --final_model")
            for name in ("model_license", "data_attribution")
        ),
        (final_model and run.data.streaming, "streaming", "the --final_model decodes all recordings first"),
        (run.data.split != AUTO_SPLIT, f"split {run.data.split}", "every fold is held out once"),
        (
            run.data.test_size != DataArguments.test_size,
            f"test_size {run.data.test_size}",
            "every fold is held out once; --num_folds makes folds of a size",
        ),
    ):
        if given:
            flag = found.partition(" ")[0]
            raise DataError(f"Expected no --{flag} in a cross-validation, found --{found}; leave it out: {reason}.")
