"""Trains as one of several processes, or alone, on the same examples: `python two_processes.py OUTPUT SCENARIO...`.

Each scenario leaves `OUTPUT-SCENARIO-RANK.json` with the losses of all steps, what the process saw, the scores of the
evaluation, and the sums of the weights.
"""

import json
import os
import sys
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training import AudioTrainingArguments, FocalLossTrainer, SpecAugmentCollator

RANK, WORLD = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
SAMPLES = 4_000


def example(index: int) -> dict[str, Any]:
    rng = np.random.default_rng(index)
    tone = np.sin(2 * np.pi * (300 + 900 * (index % 3)) * np.arange(SAMPLES) / 16_000)
    waveform = (0.2 * tone + 0.1 * rng.standard_normal(SAMPLES)).astype(np.float32)
    return {"waveform": waveform, "labels": index % 3, "index": index}


class Stream(torch.utils.data.IterableDataset[dict[str, Any]]):
    """Knows nothing of processes."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def __iter__(self) -> Any:
        return map(example, range(self.length))


class Table(torch.utils.data.Dataset[dict[str, Any]]):
    """Knows nothing of seeds."""

    def __len__(self) -> int:
        return 21

    def __getitem__(self, index: int) -> dict[str, Any]:
        return example(index)


class NormAndActivation(torch.nn.BatchNorm2d):
    """As timm's `BatchNormAct2d`, which has a forward of its own."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        mean, variance, share = self.running_mean, self.running_var, self.momentum
        if self.training:
            self.num_batches_tracked.add_(1)
            share = 1.0 / float(self.num_batches_tracked) if share is None else share
        return torch.nn.functional.batch_norm(
            features, mean, variance, self.weight, self.bias, self.training, share or 0.0, self.eps
        ).abs()


SCENARIOS: dict[str, dict[str, Any]] = {
    "epochs": {"num_train_epochs": 2},  # of 21 examples in batches of 8: the last has five
    "accumulated": {"num_train_epochs": 2, "gradient_accumulation_steps": 2},
    "apart": {"num_train_epochs": 2, "sync_batch_norm": False},
    "other norm": {"max_steps": 2, "other_norm": True},
    "resumed": {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 4, "save_total_limit": 9},
    "stream": {"max_steps": 4, "stream": 13},
    "short stream": {"max_steps": 2, "stream": 1},
}


def run(output: str, scenario: str) -> None:
    settings = dict(SCENARIOS[scenario])
    stream, other_norm = settings.pop("stream", None), settings.pop("other_norm", False)
    torch.manual_seed(0)
    config = SpectrogramCNNConfig(num_labels=3, dropout=0.0, hidden_sizes=[4, 8], depths=[1, 1])
    model = SpectrogramCNNForAudioClassification(config)
    if other_norm:
        model.spectrogram_cnn.stem_norm = NormAndActivation(4, momentum=None)
    extractor = SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=SAMPLES / 16_000)
    collate, seen, losses = SpecAugmentCollator(extractor), [], []

    def collator(examples: list[dict[str, Any]]) -> Any:
        seen.append([one["index"] for one in examples])
        return collate(examples)

    class Losses(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if "loss" in logs:
                losses.append(logs["loss"])

    defaults = {"save_strategy": "no", "ema_decay": 0.0}
    arguments = AudioTrainingArguments(
        output_dir=f"{output}-{scenario}",
        per_device_train_batch_size=8 // WORLD,
        per_device_eval_batch_size=4,
        learning_rate=0.01,
        warmup_steps=0,
        logging_steps=1,
        eval_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
        **(defaults | settings),
    )
    make = partial(
        FocalLossTrainer,
        model,
        arguments,
        train_dataset=Table() if stream is None else Stream(stream),
        eval_dataset=Table(),
        data_collator=collator,
        callbacks=[Losses()],
        compute_metrics=lambda scores: {"number": len(scores.predictions), "labels": scores.label_ids.tolist()},
    )
    trainer = make()
    trainer.train()
    if scenario == "resumed":
        losses.clear()
        trainer = make()  # its weights are those of the checkpoint, in the middle of the second epoch
        trainer.train(resume_from_checkpoint=f"{arguments.output_dir}/checkpoint-4")
    batches = list(seen)
    measured = trainer.evaluate()
    weights = trainer.accelerator.unwrap_model(trainer.model).state_dict()
    left = {
        "losses": losses,
        "seen": batches,
        "eval_loss": measured["eval_loss"],
        "evaluated": measured["eval_number"],
        "eval_labels": measured["eval_labels"],
        "weights": {name: float(weight.double().abs().sum()) for name, weight in weights.items()},
        "epochs": [] if stream is None else trainer.train_dataset.epochs,
    }
    with open(f"{output}-{scenario}-{RANK}.json", "w", encoding="utf-8") as file:
        json.dump(left, file)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[2:]:
        run(sys.argv[1], name)
