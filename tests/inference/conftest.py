from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hfaudio.inference import ClassifierSettings
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

NAMES = ("clap", "hum", "rain")


def _save_model(folder: Path, features: dict | None = None, **config) -> Path:
    """Saves a tiny classifier with random weights that do not score all alike."""
    torch.manual_seed(0)
    extractor = SpectrogramCNNFeatureExtractor(
        **{"n_mels": 16, "crop_seconds": 0.5, "max_seconds": 4.0, **(features or {})}
    )
    model = SpectrogramCNNForAudioClassification(
        SpectrogramCNNConfig(
            hidden_sizes=[4, 8],
            depths=[1, 1],
            num_channels=extractor.num_channels,
            id2label=dict(enumerate(NAMES)),
            **config,
        )
    )
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def save_model() -> Callable[..., Path]:
    return _save_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def settings(model_folder: Path) -> ClassifierSettings:
    return ClassifierSettings.read(model_folder)


class Loudness:
    """Scores the first class by the number of samples and the second by their mean; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def score(self, waveforms) -> np.ndarray:
        self.batches.append([len(samples) for samples in waveforms])
        rows = [[len(samples) / 16_000, float(samples.mean()), 0.0] for samples in waveforms]
        return np.array(rows, np.float32)


@pytest.fixture
def loudness() -> Loudness:
    return Loudness()
