"""The model at each checkpoint, handed to whoever wants it."""

from pathlib import Path

import pytest
import torch

from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training import (
    AudioTrainingArguments,
    AugmentationArguments,
    DataArguments,
    FeatureArguments,
    ModelArguments,
    RunArguments,
    TrainedClassifier,
    WeightAverage,
    train_classifier,
)
from hfaudio.training.model_on_save import TakeModel


def train(folder: Path, output_dir: Path, take: TakeModel | None, ema_decay: float) -> TrainedClassifier:
    run = RunArguments(
        DataArguments(dataset=[str(folder)], fold_column="fold", eval_folds=["2"], preparation_processes=1),
        FeatureArguments(n_mels=16, crop_seconds=0.5),
        ModelArguments(hidden_sizes=[4, 8], depths=[1, 1]),
        AugmentationArguments(),
        AudioTrainingArguments(
            str(output_dir), max_steps=3, save_strategy="steps", save_steps=1, use_cpu=True, ema_decay=ema_decay
        ),
    )
    return train_classifier(run, take)


@pytest.mark.parametrize("ema_decay", [0.9, 0.0])
def test_it_is_the_model_that_would_be_saved_and_changes_nothing(
    synthetic_folder, tmp_path, monkeypatch, ema_decay
) -> None:
    averages: list[dict[str, torch.Tensor]] = []
    steps = []

    take_in = WeightAverage.on_step_end

    def on_step_end(self, *arguments, **kwargs) -> None:
        take_in(self, *arguments, **kwargs)
        averages.append({name: tensor.clone() for name, tensor in self.tensors.items()})

    monkeypatch.setattr(WeightAverage, "on_step_end", on_step_end)

    def take(folder: Path, step: int, last: int) -> None:
        steps.append((step, last))
        model = SpectrogramCNNForAudioClassification.from_pretrained(folder)
        expected = averages[step - 1] if ema_decay else None
        for name, tensor in model.state_dict().items():
            assert expected is None or torch.equal(tensor, expected[name])
        assert SpectrogramCNNFeatureExtractor.from_pretrained(folder).feature_size == 16
        assert (folder / "modeling_spectrogram_cnn.py").is_file()
        assert not list(folder.glob("*.bin")) + list(folder.glob("*.pt"))

    with_it = train(synthetic_folder, tmp_path / "with", take, ema_decay)
    assert steps == [(1, 3), (2, 3)]  # the last is the finished model
    without = train(synthetic_folder, tmp_path / "without", None, ema_decay)
    for name, tensor in with_it.model.state_dict().items():
        assert torch.equal(tensor, without.model.state_dict()[name])
