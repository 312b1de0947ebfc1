from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNForAudioClassification

ToyTrainer = Callable[..., Trainer]


@pytest.fixture
def toy_model() -> Callable[[], SpectrogramCNNForAudioClassification]:
    """Makes the same model each time: a stem, two blocks and a classifier of four classes."""

    def make() -> SpectrogramCNNForAudioClassification:
        torch.manual_seed(0)
        config = SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], num_labels=4)
        model = SpectrogramCNNForAudioClassification(config)
        return model.to(memory_format=torch.channels_last)

    return make


@pytest.fixture
def toy_examples() -> list[dict[str, torch.Tensor]]:
    """Twelve spectrograms of noise whose lowest bands tell the class."""
    generator = torch.Generator().manual_seed(0)
    examples = []
    for index in range(12):
        features = torch.randn(1, 8, 8, generator=generator)
        features[:, index % 4] += 3.0
        examples.append({"input_features": features, "labels": torch.tensor(index % 4)})
    return examples


@pytest.fixture
def toy_trainer(toy_model, toy_examples, tmp_path: Path) -> Iterator[ToyTrainer]:
    """Makes a `Trainer`, or one of a subclass, of the toy model: three steps of four examples an epoch."""

    def make(kind: type[Trainer] = Trainer, callbacks: Any = (), **arguments: Any) -> Trainer:
        defaults = {"output_dir": str(tmp_path), "num_train_epochs": 2, "per_device_train_batch_size": 4}
        defaults |= {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "save_strategy": "no"}
        defaults |= {"learning_rate": 0.01, "logging_strategy": "no"}
        return kind(
            toy_model(),
            TrainingArguments(**{**defaults, **arguments}),
            train_dataset=toy_examples,
            eval_dataset=toy_examples,
            callbacks=list(callbacks),
        )

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so little work is slower on two, where others compute as well
    yield make
    torch.set_num_threads(threads)
