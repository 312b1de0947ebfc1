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

from hfaudio.data import (
    SYNTHETIC_VERSION,
    AudioCrops,
    LeftOut,
    PreparedAudio,
    load_audio_dataset,
    split_by_folds,
    split_by_groups,
    split_randomly,
    write_synthetic_dataset,
)
from hfaudio.evaluation import compute_metrics, prediction_rows
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training.arguments import AudioTrainingArguments, DataArguments, FeatureArguments, ModelArguments
from hfaudio.training.augmentation import WaveformAugmentation
from hfaudio.training.checkpoints import RunSettingsWriter, check_same_run
from hfaudio.training.losses import balanced_class_weights
from hfaudio.training.normalization import fit_normalization
from hfaudio.training.specaugment import SpecAugmentCollator
from hfaudio.training.trainer import FocalLossTrainer

__all__ = ["TrainedClassifier", "train_classifier"]


@dataclass(frozen=True)
class TrainedClassifier:
    """What a training run leaves behind.

    Attributes:
        model: The last weights; no epoch is chosen on the held-out part.
        feature_extractor: With the training part's normalization.
        split: The recordings of the parts `train` and `test`.
        left_out: The recordings that could not be used.
        metrics: Of the training and of the held-out part.
        predictions: One row for each held-out recording; see `hfaudio.evaluation.prediction_rows`.
    """

    model: SpectrogramCNNForAudioClassification
    feature_extractor: SpectrogramCNNFeatureExtractor
    split: datasets.DatasetDict
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
        parts = [(name, part) for part in self.split for name in self.split[part]["file_name"]]
        _write_csv(folder / "split.csv", ("file_name", "split"), ({"file_name": n, "split": p} for n, p in parts))
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
    with training.main_process_first(desc="preparing the recordings"):
        audio = load_recordings(data, features.sampling_rate)
    split = split_recordings(audio, data, training.seed)
    set_seed(training.seed)
    extractor = features.build_extractor()
    fit_normalization(extractor, split["train"])
    classifier = SpectrogramCNNForAudioClassification(model.build_config(extractor.num_channels, audio.class_names))
    # Convolutions on the CPU and on tensor cores are fastest with the channels last.
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-arg]  # a decorator there hides self
    trainer = build_trainer(classifier, extractor, split, training)
    settings = {name: repr(value) for part in (data, features, model) for name, value in vars(part).items()}
    settings.update({name: repr(getattr(training, name)) for name in ("seed", "data_seed", "loss", "focal_gamma")})
    if checkpoint is not None:
        check_same_run(checkpoint, settings)
    trainer.add_callback(RunSettingsWriter(settings))
    trained = trainer.train(resume_from_checkpoint=checkpoint)
    held_out = AudioCrops(split["test"], extractor.crop_samples)
    evaluated: Any = trainer.predict(held_out, metric_key_prefix="eval")
    predictions = prediction_rows(
        split["test"]["file_name"], split["test"]["label"], evaluated.predictions, audio.class_names
    )
    metrics = {
        **trained.metrics,
        **evaluated.metrics,
        "train_recordings": len(split["train"]),
        "eval_recordings": len(split["test"]),
        "left_out_recordings": len(audio.left_out),
        "parameters": classifier.num_parameters(),
        "processes": training.world_size,
    }
    metrics.pop("total_flos", None)  # transformers' estimate, made for language models
    return TrainedClassifier(classifier, extractor, split, audio.left_out, metrics, predictions)


def load_recordings(data: DataArguments, sampling_rate: int) -> PreparedAudio:
    """Prepares the data set that the arguments name; without one the built-in synthetic recordings."""
    if data.dataset is not None:
        return load_audio_dataset(
            data.dataset,
            data.label_column,
            data.fold_column,
            data.group_column,
            sampling_rate=sampling_rate,
            num_proc=data.preparation_processes,
        )
    cache = Path(datasets.config.HF_DATASETS_CACHE) / "hfaudio"
    folder = write_synthetic_dataset(cache / f"synthetic-{SYNTHETIC_VERSION}")
    return load_audio_dataset(folder, sampling_rate=sampling_rate, num_proc=data.preparation_processes)


def split_recordings(audio: PreparedAudio, data: DataArguments, seed: int) -> datasets.DatasetDict:
    """Holds out given folds, or else whole groups where they are known, or else recordings at random."""
    if data.eval_folds:
        return split_by_folds(audio.dataset, data.eval_folds)
    if data.group_column is not None:
        return split_by_groups(audio.dataset, data.test_size, seed)
    return split_randomly(audio.dataset, data.test_size, seed)


def build_trainer(
    classifier: SpectrogramCNNForAudioClassification,
    extractor: SpectrogramCNNFeatureExtractor,
    split: datasets.DatasetDict,
    training: AudioTrainingArguments,
) -> FocalLossTrainer:
    """Puts crops, augmentation, collator, loss and metrics together."""
    augmentation = None
    if training.waveform_augmentation != "none":
        augmentation = WaveformAugmentation(training.waveform_augmentation, extractor.sampling_rate)
    alpha = None
    if training.class_weights == "balanced":
        alpha = balanced_class_weights(torch.tensor(split["train"]["label"]), len(classifier.config.class_names))
    return FocalLossTrainer(
        model=classifier,
        args=training,
        alpha=alpha,
        train_dataset=AudioCrops(split["train"], extractor.crop_samples, augmentation),
        eval_dataset=AudioCrops(split["test"], extractor.crop_samples),
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
