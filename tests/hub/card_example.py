"""A training that never happened, whose card is known."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import datasets
import numpy as np
import torch

from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.evaluation import Calibration
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training import RunArguments, TrainedClassifier, TrainingRecord

METRICS = {
    "eval_accuracy": 5 / 6,
    "eval_macro_f1": 0.8222,
    "eval_samples_per_second": 71.3,
    "eval_recordings": 6,
    "eval_ece": 0.0214,
    "eval_ece_before": 0.1261,
    "left_out_recordings": 1,
    "temperature": 0.5412,
    "train_recordings": 12,
    "unknown_threshold": None,
    "false_reject_rate": None,
}
RECORD = TrainingRecord(
    began="2026-11-23T08:40:12+00:00",
    seconds=601.4,
    steps=1_000,
    epochs=200.0,
    loss=1.319,
    device="2 CPU threads",
    processes=1,
    precision="bf16",
    peak_gpu_bytes=None,
    co2_kg=None,
    versions={"Python": "3.11.7", "hfaudio": "0.1.0", "torch": "2.11.0"},
)
TRAINED_ON = [0] * 5 + [1] * 4 + [2] * 3
LABELS = [0, 0, 1, 1, 2, 2]
PREDICTED = [0, 0, 1, 2, 2, 2]


def example_run(*flags: object) -> RunArguments:
    """The settings of a small run on the folder `sounds`, or on what the flags say."""
    argv = ["--use_cpu", "--output_dir", "runs/tones", *map(str, flags)]
    if "--dataset" not in flags:
        argv += ["--dataset", "sounds", "--eval_folds", "2"]
    return RunArguments.from_flags(CommandLineParser(RunArguments.parts()), argv)


def example_training(class_names: Sequence[str] = ("bark", "rain", "siren"), **changes: Any) -> TrainedClassifier:
    """What it left: three classes, six recordings held out, rain once taken for a siren.

    Args:
        class_names: In the order of their indices.
        **changes: Attributes of another training, or further `metrics`.
    """
    metrics = METRICS | changes.pop("metrics", {})
    config = SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], id2label=dict(enumerate(class_names)))
    config.unknown_threshold = metrics["unknown_threshold"]
    torch.manual_seed(0)
    split = datasets.DatasetDict(
        train=recordings("train", TRAINED_ON, class_names), test=recordings("test", LABELS, class_names)
    )
    logits = 4.0 * np.eye(len(class_names))[PREDICTED]
    trained = TrainedClassifier(
        SpectrogramCNNForAudioClassification(config),
        SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.5),
        split,
        "fold 2",
        [],
        metrics,
        split["test"],
        logits,
        [],
        Calibration.of_temperature(1.0, logits, LABELS),
        RECORD,
    )
    return replace(trained, **changes)


def recordings(part: str, labels: Sequence[Any], class_names: Sequence[str]) -> datasets.Dataset:
    """Rows as those of a `PreparedAudio`; two each are of one source."""
    label = datasets.ClassLabel(names=list(class_names))
    several = isinstance(labels[0], list)
    text = datasets.Value("string")
    columns = {
        "file_name": [f"{part}/{index}.wav" for index in range(len(labels))],
        "label": labels,
        "group": [f"{part} {index // 2}" for index in range(len(labels))],
        "content_hash": [f"{part} {index}" for index in range(len(labels))],
        "waveform": [[0.0, 0.1]] * len(labels),
    }
    features = dict.fromkeys(columns, text) | {
        "label": datasets.List(label) if several else label,
        "waveform": datasets.List(datasets.Value("float32")),
    }
    return datasets.Dataset.from_dict(columns, datasets.Features(features))
