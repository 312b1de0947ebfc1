"""Fixtures that several tests share. Caches go to a temporary folder and nothing is fetched."""

import atexit
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

# The libraries read these when they are imported.
_CACHE = tempfile.mkdtemp(prefix="hfaudio-tests-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ.update(HF_HOME=_CACHE, HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores, and what they start does too
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import datasets
import numpy as np
import pytest
import soundfile
import torch

from hfaudio.data import PreparedAudio, load_audio_dataset, write_synthetic_dataset
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

WriteTone = Callable[..., Path]
MakeRows = Callable[..., datasets.Dataset]


@pytest.fixture(scope="session")
def main_of() -> Callable[[str], Callable[[list[str]], int | None]]:
    """Gives the `main` of a script, by the script's name."""

    def load(script: str) -> Callable[[list[str]], int | None]:
        path = Path(__file__).parents[1] / "scripts" / f"{script}.py"
        spec = importlib.util.spec_from_file_location(script, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main

    return load


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def synthetic_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty synthetic recordings, five of each class, with a metadata.csv."""
    return write_synthetic_dataset(tmp_path_factory.mktemp("sounds") / "synthetic", clips_per_class=5)


@pytest.fixture(scope="session")
def audio(synthetic_folder: Path) -> PreparedAudio:
    return load_audio_dataset(synthetic_folder, fold_column="fold", num_proc=1)


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    """Rows as those of a `PreparedAudio`, without waveforms."""

    def make(
        labels: Sequence[str],
        folds: Sequence[str | None] | None = None,
        groups: Sequence[str | None] | None = None,
        contents: Sequence[str | None] | None = None,
        multi_label: bool = False,
    ) -> datasets.Dataset:
        """One row a text: its class, or one class a letter; all contents differ unless they are given."""
        names = sorted(set("".join(labels))) if multi_label else sorted(set(labels))
        label = datasets.ClassLabel(names=names)
        text = datasets.Value("string")
        columns = {
            "file_name": [f"{index}.wav" for index in range(len(labels))],
            "label": [[names.index(one) for one in own] if multi_label else names.index(own) for own in labels],
            "fold": list(folds or [None] * len(labels)),
            "group": list(groups or [None] * len(labels)),
            "content_hash": list(contents or map(str, range(len(labels)))),
        }
        features = dict.fromkeys(columns, text) | {"label": datasets.List(label) if multi_label else label}
        return datasets.Dataset.from_dict(columns, datasets.Features(features))

    return make


@pytest.fixture
def write_tone(tmp_path: Path) -> WriteTone:
    """Writes a decaying sine below the test's folder."""

    def write(
        name: str, frequency: float = 440.0, rate: int = 16_000, seconds: float = 0.3, channels: int = 1
    ) -> Path:
        time = np.arange(round(seconds * rate)) / rate
        tone = 0.5 * np.sin(2 * np.pi * frequency * time) * np.exp(-3 * time)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.stack([tone] * channels, axis=1), rate)
        return path

    return write


@pytest.fixture
def two_classes(write_tone: WriteTone, tmp_path: Path) -> Path:
    """A folder with four recordings in each of the sub-folders `high` and `low`."""
    for index in range(4):
        write_tone(f"two/high/{index}.wav", frequency=2000 + 100 * index)
        write_tone(f"two/low/{index}.wav", frequency=200 + 10 * index)
    return tmp_path / "two"


@pytest.fixture(scope="session")
def several_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 24 recordings that hold a low tone, a high one, both (`high;low`), or noise alone and no class."""
    folder = tmp_path_factory.mktemp("several")
    rng = np.random.default_rng(0)
    time = np.arange(8_000) / 16_000
    lines = ["file_name,label"]
    for index in range(24):
        labels = ("low", "high", "high;low", "")[index % 4]
        samples = 0.01 * rng.standard_normal(len(time))
        for name, frequency in (("low", 200), ("high", 2_000)):
            if name in labels:
                samples += 0.3 * np.sin(2 * np.pi * (frequency + 10 * index) * time)
        soundfile.write(folder / f"{index:02}.wav", samples, 16_000)
        lines.append(f"{index:02}.wav,{labels}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def extractor() -> SpectrogramCNNFeatureExtractor:
    return SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.5)


@pytest.fixture
def tiny_config() -> SpectrogramCNNConfig:
    return SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], num_labels=3)


@pytest.fixture
def tiny_model(tiny_config: SpectrogramCNNConfig) -> SpectrogramCNNForAudioClassification:
    """An untrained model in evaluation mode whose batch norms are not the identity."""
    torch.manual_seed(0)
    model = SpectrogramCNNForAudioClassification(tiny_config)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
    torch.nn.init.normal_(model.classifier.weight)
    return model.eval()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not SHARED_DATA.is_dir():
        skip = pytest.mark.skip(reason=f"the recordings of {SHARED_DATA.name} are not there")
        for item in items:
            if item.get_closest_marker("realdata"):
                item.add_marker(skip)
