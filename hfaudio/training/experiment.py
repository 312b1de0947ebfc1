"""One training run: data, split, features, model, training, evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from transformers import set_seed

from hfaudio.data import AudioCrops, DataError, LeftOut, LeftOutLog, StreamedTable
from hfaudio.data.leakage import connected_groups
from hfaudio.evaluation import (
    Calibration,
    calibration_parts,
    compute_metrics,
    fewest_recordings,
)
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training.checkpoints import CheckpointError, RunSettingsWriter, check_same_run
from hfaudio.training.class_weights import balanced_class_weights, read_class_weights
from hfaudio.training.learning_rate_finder import LearningRateSearch, find_learning_rate
from hfaudio.training.mixing import MixedCrops, MixedStream
from hfaudio.training.model_on_save import ModelOnSave, TakeModel
from hfaudio.training.normalization import fit_normalization
from hfaudio.training.pretrained import (
    find_checkpoint,
    load_backbone_weights,
    load_feature_extractor,
    load_for_fine_tuning,
)
from hfaudio.training.recalibration import threshold_of
from hfaudio.training.run_arguments import RunArguments
from hfaudio.training.specaugment import SpecAugmentCollator
from hfaudio.training.trained_classifier import TrainedClassifier
from hfaudio.training.trainer import FocalLossTrainer
from hfaudio.training.training_arguments import AudioTrainingArguments, flag_sentences
from hfaudio.training.training_data import TrainingData, load_training_data
from hfaudio.training.training_record import TrainingRecord, TrainingRecorder

__all__ = ["DivergedError", "fit", "search_learning_rate", "train_classifier"]


class DivergedError(ValueError):
    """The weights have become infinite or NaN: one sentence says what to do."""


PARTS = {"train": "train", "validation": "validation", "test": "eval"}  # of the split, and what the metrics call them


@dataclass(frozen=True)
class ReadyRun:
    """A run that is about to begin.

    Attributes:
        recordings: To train and to evaluate on.
        trainer: Has the model and its examples.
        extractor: With the training part's normalization, or the one of the checkpoint that is fine-tuned.
        log: What is left out of streamed recordings.
        base_revision: The hash of the commit on the Hub of the model that is trained further; None for another one.
    """

    recordings: TrainingData
    trainer: FocalLossTrainer
    extractor: SpectrogramCNNFeatureExtractor
    log: LeftOutLog
    base_revision: str | None


@dataclass(frozen=True)
class FittedRun:
    """A run whose training is over.

    Attributes:
        model: The last weights, averaged if they were to be.
        extractor: With which it was trained.
        trainer: Has trained it.
        recordings: That it was trained on, and those that were held out.
        split: Of the recordings, less what turned out to be unusable.
        left_out: The recordings that could not be used.
        metrics: Of the training.
        record: What happened meanwhile.
    """

    model: SpectrogramCNNForAudioClassification
    extractor: SpectrogramCNNFeatureExtractor
    trainer: FocalLossTrainer
    recordings: TrainingData
    split: datasets.DatasetDict
    left_out: list[LeftOut]
    metrics: dict[str, Any]
    record: TrainingRecord


def train_classifier(run: RunArguments, take_on_save: TakeModel | None = None) -> TrainedClassifier:
    """Trains on one part of a data set and evaluates on the other.

    Args:
        run: All settings.
        take_on_save: Gets the model at each checkpoint.

    Raises:
        hfaudio.data.DataError: The recordings cannot be used as asked.
        DivergedError: The training has diverged.
        hfaudio.training.CheckpointError: The checkpoint to start or to resume from is missing, or one is in the way.
    """
    fitted = fit(run, take_on_save=take_on_save)
    training, trainer, recordings, model = run.training, fitted.trainer, fitted.recordings, fitted.model
    evaluated = _evaluate(trainer, recordings.split["test"], "eval")
    settling, settling_part = evaluated, recordings.split["test"]
    if "validation" in recordings.split and (training.calibrate or training.false_reject_rate is not None):
        settling_part = recordings.split["validation"]
        settling = _evaluate(trainer, settling_part, "validation")
    calibration = _calibrate(training, settling, settling_part, evaluated)
    model.config.logit_temperature = calibration.temperature
    model.config.unknown_threshold = threshold_of(
        settling.predictions / calibration.temperature, recordings.multi_label, training.false_reject_rate
    )
    scored = {**evaluated.metrics, "eval_ece_before": calibration.error_before, "eval_ece": calibration.error_after}
    # For trackers. What is called eval in the log may be of the validation part.
    trainer.log({name.replace("eval_", "test_", 1): value for name, value in scored.items()})
    metrics = {
        **fitted.metrics,
        **scored,
        **{f"{name}_recordings": len(fitted.split[part]) for part, name in PARTS.items() if part in fitted.split},
        "temperature": calibration.temperature,
        "temperature_refused": calibration.refusal,
        "unknown_threshold": model.config.unknown_threshold,
        "false_reject_rate": training.false_reject_rate,
    }
    return TrainedClassifier(
        model,
        fitted.extractor,
        fitted.split,
        recordings.split_description,
        fitted.left_out,
        metrics,
        fitted.split["test"],
        evaluated.predictions / calibration.temperature,
        trainer.state.log_history,
        calibration,
        fitted.record,
    )


def fit(run: RunArguments, hold_out: bool = True, take_on_save: TakeModel | None = None) -> FittedRun:
    """Trains, and evaluates no more than what is watched on the way.

    Args:
        run: All settings.
        hold_out: Train on one part alone; otherwise on all recordings, less the validation part.
        take_on_save: Gets the model at each checkpoint.

    Raises:
        hfaudio.data.DataError: The recordings cannot be used as asked.
        hfaudio.training.CheckpointError: The checkpoint to start or to resume from is missing, or one is in the way.
    """
    checkpoint = run.training.checkpoint_to_resume()
    if checkpoint is not None:
        check_same_run(checkpoint, run.decisive_settings())
    settings, recorder = run.result_settings(), TrainingRecorder(checkpoint)
    ready = _prepare(run, hold_out)
    if checkpoint is None:  # otherwise it knows that of the run's beginning
        recorder.base_model_revision = ready.base_revision
    ready.trainer.add_callback(RunSettingsWriter(settings))
    ready.trainer.add_callback(recorder)
    if take_on_save is not None:
        ready.trainer.add_callback(ModelOnSave(take_on_save, ready.extractor, ready.trainer.weight_average))
    trained = ready.trainer.train(resume_from_checkpoint=checkpoint)
    # Without the half precision that it was trained with.
    model = ready.trainer.accelerator.unwrap_model(ready.trainer.model, keep_fp32_wrapper=False)
    left_out = [*ready.recordings.left_out, *ready.log.read()]
    if run.training.process_index == 0:
        ready.log.clear()
    metrics = {
        **recorder.whole_run(trained.metrics),
        "left_out_recordings": len(left_out),
        "parameters": model.num_parameters(),
        "processes": run.training.world_size,
    }
    if run.model.model_name_or_path is not None:
        metrics |= {
            "base_model": run.base_model,
            "base_model_revision": recorder.base_model_revision,
        }
    metrics.pop("total_flos", None)  # transformers' estimate, made for language models
    split = _without(ready.recordings.split, left_out)
    record = recorder.record(ready.trainer, metrics)
    return FittedRun(model, ready.extractor, ready.trainer, ready.recordings, split, left_out, metrics, record)


def search_learning_rate(run: RunArguments) -> LearningRateSearch:
    """Looks for a learning rate for a run; see `find_learning_rate`.

    Args:
        run: All settings.

    Raises:
        hfaudio.data.DataError: The recordings cannot be used as asked, or the loss runs away at once.
    """
    ready = _prepare(run)
    try:
        return find_learning_rate(ready.trainer)
    except ValueError as error:
        raise DataError(str(error)) from error


def _prepare(run: RunArguments, hold_out: bool = True) -> ReadyRun:
    training, pretrained = run.training, run.model.model_name_or_path
    if training.early_stopping_patience and not run.data.validation_size:
        raise DataError(
            "--early_stopping_patience needs --validation_size, found none: to stop by the held-out part would "
            "flatter its score."
        )
    training.use_cpu_threads()
    rate = run.features.sampling_rate
    base_revision = None
    if pretrained is not None:
        _, base_revision = find_checkpoint(pretrained)
        if base_revision is not None:  # what is read twice is the same, whatever is pushed meanwhile
            pretrained = f"{pretrained.partition('@')[0]}@{base_revision}"
        rate = load_feature_extractor(pretrained).sampling_rate
    log = LeftOutLog(Path(training.output_dir) / ".left_out_while_streaming.jsonl")
    with training.main_process_first(desc="preparing the recordings"):
        if training.process_index == 0:
            log.clear()
        recordings = load_training_data(run.data, rate, training.seed, hold_out)
    _check_false_reject_rate(training, recordings)
    if isinstance(recordings.streamed, datasets.IterableDataset) and training.max_steps < 1:
        raise DataError("--streaming of a table needs --max_steps, because nobody knows how long an epoch is.")
    if isinstance(recordings.streamed, datasets.IterableDataset) and run.augmentation.grows:
        raise DataError(
            "--progressive_crop and --progressive_resolution follow how much of the training is done, which the "
            "examples of a streamed table do not know; leave them or --streaming out."
        )
    set_seed(training.seed)
    if pretrained is None:
        extractor = run.features.build_extractor()
        fit_normalization(extractor, recordings.training_waveforms(log))
        classifier = _new_classifier(run, extractor, recordings)
    else:
        classifier, extractor = load_for_fine_tuning(pretrained, recordings.class_names, recordings.multi_label)
        try:
            run.features.apply_crop(extractor)
            run.model.apply_windows(classifier.config, extractor)
        except ValueError as error:
            raise CheckpointError(str(error)) from error
    # Convolutions on the CPU and on tensor cores are fastest with the channels last.
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-arg]  # a decorator there hides self
    trainer = build_trainer(classifier, extractor, recordings, run, log)
    return ReadyRun(recordings, trainer, extractor, log, base_revision)


def _new_classifier(
    run: RunArguments, extractor: SpectrogramCNNFeatureExtractor, recordings: TrainingData
) -> SpectrogramCNNForAudioClassification:
    config = run.model.build_config(extractor.num_channels, recordings.class_names, recordings.multi_label)
    try:
        run.model.apply_windows(config, extractor)
        classifier = SpectrogramCNNForAudioClassification(config)
        if run.model.backbone_weights is not None:
            load_backbone_weights(classifier, run.model.backbone_weights)
    except (ImportError, ValueError) as error:
        raise CheckpointError(str(error)) from error
    return classifier


def _check_false_reject_rate(training: AudioTrainingArguments, recordings: TrainingData) -> None:
    """Refuses, before anything is trained, a rate for which no threshold can be fitted."""
    rate = training.false_reject_rate
    if rate is None:
        return
    if recordings.multi_label:
        raise DataError(
            "--false_reject_rate needs one class a recording, found several, of which a recording may have none as it "
            "is; leave it out."
        )
    number, fewest = len(recordings.evaluated_while_training), fewest_recordings(rate)
    if number < fewest:
        raise DataError(
            f"--false_reject_rate {rate:g} needs at least {fewest} recordings to be fitted on, found {number} in the "
            "--validation_size or else the held-out part; give a higher rate or hold out more."
        )


def _evaluate(trainer: FocalLossTrainer, part: datasets.Dataset, prefix: str) -> Any:
    evaluated: Any = trainer.predict(AudioCrops(part), metric_key_prefix=prefix)
    return evaluated


def _measure(prediction: Any) -> dict[str, float]:
    """As `compute_metrics`, which would take NaN for a class; whatever is trained after it would be lost."""
    if not np.isfinite(prediction.predictions).all():
        raise DivergedError(
            "Expected the model to score the held-out recordings, found scores that are not numbers: the training "
            "diverged; try a lower --learning_rate, which --find_lr searches for."
        )
    return compute_metrics(prediction)


def _calibrate(
    training: AudioTrainingArguments, settling: Any, settling_part: datasets.Dataset, evaluated: Any
) -> Calibration:
    """Fits the temperature to what settles it, which may be what is reported too."""
    logits, labels = evaluated.predictions, evaluated.label_ids
    if not training.calibrate:
        return Calibration.of_temperature(1.0, logits, labels)
    # Recordings of one source are alike: a temperature of the one would flatter itself on the other.
    groups = connected_groups(settling_part["group"][:], settling_part["content_hash"][:])
    parts = calibration_parts(settling.label_ids, training.seed, groups)
    found = Calibration.cross_fitted(settling.predictions, settling.label_ids, parts)
    if settling is evaluated:
        return found
    return Calibration.of_temperature(found.temperature, logits, labels, found.refusal)


def _without(split: datasets.DatasetDict, left_out: list[LeftOut]) -> datasets.DatasetDict:
    """The split without what turned out to be unusable while it was streamed."""
    unusable = {one.file_name for one in left_out}
    if "train" not in split or not unusable:
        return split
    usable = [index for index, name in enumerate(split["train"]["file_name"]) if name not in unusable]
    return datasets.DatasetDict(train=split["train"].select(usable), test=split["test"])


def build_trainer(
    classifier: SpectrogramCNNForAudioClassification,
    extractor: SpectrogramCNNFeatureExtractor,
    recordings: TrainingData,
    run: RunArguments,
    log: LeftOutLog | None = None,
) -> FocalLossTrainer:
    """Puts examples, collator, loss and metrics together.

    Args:
        classifier: What is trained.
        extractor: Turns waveforms into features.
        recordings: To train and to evaluate on.
        run: All settings.
        log: Where to note what is left out of streamed recordings.
    """
    alpha = _class_weights(run.training.class_weights, recordings)
    examples = _training_examples(extractor, recordings, run, log)
    with flag_sentences():
        return FocalLossTrainer(
            model=classifier,
            args=run.training,
            alpha=alpha,
            train_dataset=examples,
            eval_dataset=AudioCrops(recordings.evaluated_while_training),
            data_collator=SpecAugmentCollator(extractor, run.augmentation.feature_changes()),
            processing_class=extractor,
            compute_metrics=_measure,
        )


def _training_examples(
    extractor: SpectrogramCNNFeatureExtractor, recordings: TrainingData, run: RunArguments, log: LeftOutLog | None
) -> torch.utils.data.Dataset[dict[str, Any]]:
    try:
        crop = run.augmentation.crop_rule(extractor)
    except ValueError as error:
        raise DataError(str(error)) from error
    examples = recordings.training_examples(
        crop,
        run.augmentation.waveform_changes(extractor.sampling_rate),
        run.training.seed,
        run.training.process_index,
        run.training.world_size,
        log,
    )
    mixing = run.augmentation.mix()
    if mixing is None:
        return examples
    num_labels, rate = len(recordings.class_names), extractor.sampling_rate
    if isinstance(examples, StreamedTable):
        return MixedStream(examples, mixing, num_labels, rate)
    return MixedCrops(examples, mixing, num_labels, rate)


def _class_weights(wanted: str, recordings: TrainingData) -> torch.Tensor | None:
    if wanted == "none":
        return None
    if wanted == "balanced":
        return balanced_class_weights(torch.tensor(recordings.training_labels), len(recordings.class_names))
    try:
        return read_class_weights(wanted, recordings.class_names)
    except ValueError as error:
        raise DataError(str(error)) from error
