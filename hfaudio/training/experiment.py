"""One training run: data, split, features, model, training, evaluation, and the folder that holds the result."""

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import set_seed

from hfaudio.data import AudioCrops, DataError, LeftOut, LeftOutLog, write_split
from hfaudio.evaluation import compute_metrics, prediction_rows
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training.arguments import AudioTrainingArguments, FeatureArguments, ModelArguments
from hfaudio.training.augmentation import WaveformAugmentation
from hfaudio.training.checkpoints import RunSettingsWriter, check_same_run
from hfaudio.training.data_arguments import DataArguments
from hfaudio.training.losses import balanced_class_weights
from hfaudio.training.normalization import fit_normalization
from hfaudio.training.specaugment import SpecAugmentCollator
from hfaudio.training.trainer import FocalLossTrainer
from hfaudio.training.training_data import TrainingData, load_training_data

__all__ = ["TrainedClassifier", "train_classifier"]

PARTS = {"train": "train", "test": "eval"}  # of the split, and what the metrics call them


@dataclass(frozen=True)
class TrainedClassifier:
    """What a training run leaves behind.

    Attributes:
        model: The last weights; no epoch is chosen on the held-out part.
        feature_extractor: With the training part's normalization.
        split: The recordings of the parts `train` and `test`; without `train` where that is streamed from a table.
        split_description: How they were chosen, in a few words.
        left_out: The recordings that could not be used.
        metrics: Of the training and of the held-out part.
        predictions: One row for each held-out recording; see `hfaudio.evaluation.prediction_rows`.
    """

    model: SpectrogramCNNForAudioClassification
    feature_extractor: SpectrogramCNNFeatureExtractor
    split: datasets.DatasetDict
    split_description: str
    left_out: Sequence[LeftOut]
    metrics: Mapping[str, Any]
    predictions: Sequence[Mapping[str, Any]]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the model with its code and configuration, the metrics, and the tables beside them."""
        folder = Path(folder)
        self.model.save_pretrained(folder)
        self.feature_extractor.save_pretrained(folder)
        with (folder / "all_results.json").open("w", encoding="utf-8") as file:
            json.dump(dict(self.metrics), file, indent=2)
            file.write("\n")
        write_split(self.split, folder / "split.csv", self.left_out)
        _write_csv(folder / "left_out.csv", ("file_name", "reason"), map(asdict, self.left_out))
        (folder / "eval").mkdir(exist_ok=True)
        _write_csv(folder / "eval" / "predictions.csv", tuple(self.predictions[0]), self.predictions)


def train_classifier(
    data: DataArguments, features: FeatureArguments, model: ModelArguments, training: AudioTrainingArguments
) -> TrainedClassifier:
    """Trains on one part of a data set and evaluates on the other.

    Args:
        data: Which recordings to learn from, and which to hold out.
        features: How waveforms become features.
        model: The network.
        training: Everything else; `training.seed` decides the split, the weights and every crop.

    Raises:
        hfaudio.data.DataError: The recordings cannot be used as asked.
        hfaudio.training.CheckpointError: The checkpoint to resume from is missing, or one is in the way.
    """
    checkpoint = training.checkpoint_to_resume()
    training.use_cpu_threads()
    log = LeftOutLog(Path(training.output_dir) / ".left_out_while_streaming.jsonl")
    with training.main_process_first(desc="preparing the recordings"):
        if training.process_index == 0:
            log.clear()
        recordings = load_training_data(data, features.sampling_rate, training.seed)
    if isinstance(recordings.streamed, datasets.IterableDataset) and training.max_steps < 1:
        raise DataError("--streaming of a table needs --max_steps, because nobody knows how long an epoch is.")
    split = recordings.split
    set_seed(training.seed)
    extractor = features.build_extractor()
    fit_normalization(extractor, recordings.training_waveforms(log))
    config = model.build_config(extractor.num_channels, recordings.class_names, recordings.multi_label)
    classifier = SpectrogramCNNForAudioClassification(config)
    # Convolutions on the CPU and on tensor cores are fastest with the channels last.
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-arg]  # a decorator there hides self
    trainer = build_trainer(classifier, extractor, recordings, training, log)
    settings = {name: repr(value) for part in (data, features, model) for name, value in vars(part).items()}
    settings.update({name: repr(getattr(training, name)) for name in ("seed", "data_seed", "loss", "focal_gamma")})
    if checkpoint is not None:
        check_same_run(checkpoint, settings)
    trainer.add_callback(RunSettingsWriter(settings))
    trained = trainer.train(resume_from_checkpoint=checkpoint)
    held_out = AudioCrops(split["test"], extractor.crop_samples)
    evaluated: Any = trainer.predict(held_out, metric_key_prefix="eval")
    predictions = prediction_rows(
        split["test"]["file_name"], split["test"]["label"], evaluated.predictions, recordings.class_names
    )
    left_out = [*recordings.left_out, *log.read()]
    if training.process_index == 0:
        log.clear()
    unusable = {one.file_name for one in left_out}
    if "train" in split and unusable:
        usable = [index for index, name in enumerate(split["train"]["file_name"]) if name not in unusable]
        split = datasets.DatasetDict(train=split["train"].select(usable), test=split["test"])
    metrics = {
        **trained.metrics,
        **evaluated.metrics,
        **{f"{name}_recordings": len(split[part]) for part, name in PARTS.items() if part in split},
        "left_out_recordings": len(left_out),
        "parameters": classifier.num_parameters(),
        "processes": training.world_size,
    }
    metrics.pop("total_flos", None)  # transformers' estimate, made for language models
    return TrainedClassifier(
        classifier, extractor, split, recordings.split_description, left_out, metrics, predictions
    )


def build_trainer(
    classifier: SpectrogramCNNForAudioClassification,
    extractor: SpectrogramCNNFeatureExtractor,
    recordings: TrainingData,
    training: AudioTrainingArguments,
    log: LeftOutLog | None = None,
) -> FocalLossTrainer:
    """Puts crops, augmentation, collator, loss and metrics together."""
    augmentation = None
    if training.waveform_augmentation != "none":
        augmentation = WaveformAugmentation(training.waveform_augmentation, extractor.sampling_rate)
    alpha = None
    if training.class_weights == "balanced":
        alpha = balanced_class_weights(torch.tensor(recordings.training_labels), len(recordings.class_names))
    return FocalLossTrainer(
        model=classifier,
        args=training,
        alpha=alpha,
        train_dataset=recordings.training_examples(
            extractor.crop_samples, augmentation, training.seed, training.process_index, training.world_size, log
        ),
        eval_dataset=AudioCrops(recordings.split["test"], extractor.crop_samples),
        data_collator=SpecAugmentCollator(
            extractor, training.freq_mask, training.time_mask, training.num_freq_masks, training.num_time_masks
        ),
        processing_class=extractor,
        compute_metrics=compute_metrics,
    )


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
