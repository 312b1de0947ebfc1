"""What happened while a model was trained, for whoever reads its card."""

import importlib
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import CodeCarbonCallback

from hfaudio.training.checkpoints import Stopwatch

__all__ = ["TrainingRecord", "TrainingRecorder", "measured_co2"]

BEGAN_FILE = "train_began.txt"
BASE_FILE = "base_model_revision.txt"
PACKAGES = ("hfaudio", "torch", "torchaudio", "transformers", "datasets", "accelerate")
FULL_PRECISION = "no"  # as accelerate calls it


@dataclass(frozen=True)
class TrainingRecord:
    """What happened while a model was trained; of a resumed run, in the whole of it.

    Attributes:
        began: When, in UTC, as `2026-11-23T08:40:12+00:00`.
        seconds: How long it took, less the time between an interruption and the resumption.
        steps: Of the optimizer.
        epochs: Passes over the recordings.
        loss: Mean of the training loss since the last line of the log but one; of the whole run if none was logged.
        device: What each process ran on, such as `2 CPU threads` or the name of a GPU.
        processes: How many there were.
        precision: `fp32`, or that of automatic mixed precision: `bf16`, `fp16`.
        peak_gpu_bytes: Most memory that tensors of the first process took on a GPU, in bytes; None on a CPU.
        co2_kg: In kilograms of CO2 equivalents, as codecarbon measured it (`--report_to codecarbon`); None where it
            did not, or not the whole run.
        versions: Of Python and the packages that the result depends on.
        base_model_revision: The hash of the commit on the Hub of the model that was trained further; None for one
            that did not come from there, or for none.
    """

    began: str
    seconds: float
    steps: int
    epochs: float
    loss: float
    device: str
    processes: int
    precision: str
    peak_gpu_bytes: int | None
    co2_kg: float | None
    versions: Mapping[str, str]
    base_model_revision: str | None = None


class TrainingRecorder(Stopwatch):
    """Records what happens while a model is trained.

    Args:
        resumed: The folder of the checkpoint that the run resumes from, or None.

    Attributes:
        base_model_revision: See `TrainingRecord`; to be set before a new run, and known of one that is resumed.
    """

    def __init__(self, resumed: str | os.PathLike[str] | None = None) -> None:
        super().__init__(resumed)
        self.resumed = resumed is not None
        path = None if resumed is None else Path(resumed) / BEGAN_FILE
        self.began = path.read_text(encoding="utf-8") if path and path.is_file() else None
        path = None if resumed is None else Path(resumed) / BASE_FILE
        self.base_model_revision = path.read_text(encoding="utf-8") if path and path.is_file() else None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts counting, and notes the time of a run that is new."""
        super().on_train_begin(args, state, control, **kwargs)
        if self.began is None:
            self.began = datetime.now(UTC).isoformat(timespec="seconds")

    def write_into(self, checkpoint: Path) -> None:
        """Writes when the run began, and what it began from, beside what a `Stopwatch` writes."""
        super().write_into(checkpoint)
        if self.base_model_revision is not None:
            (checkpoint / BASE_FILE).write_text(self.base_model_revision, encoding="utf-8")
        (checkpoint / BEGAN_FILE).write_text(str(self.began), encoding="utf-8")

    def record(self, trainer: Trainer, metrics: Mapping[str, float]) -> TrainingRecord:
        """Sums up a training that is over.

        Args:
            trainer: Has trained, with this callback.
            metrics: Of `whole_run`.
        """
        device = trainer.args.device
        precision = trainer.accelerator.mixed_precision
        logged = [line["loss"] for line in trainer.state.log_history if "loss" in line]
        return TrainingRecord(
            began=str(self.began),
            seconds=metrics["train_runtime"],
            steps=trainer.state.global_step,
            epochs=float(trainer.state.epoch or 0.0),
            loss=logged[-1] if logged else metrics["train_loss"],
            device=_name_of(device),
            processes=trainer.args.world_size,
            precision="fp32" if precision == FULL_PRECISION else precision,
            peak_gpu_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
            # Of a resumed run codecarbon knows the last part alone.
            co2_kg=None if self.resumed else measured_co2(trainer.callback_handler.callbacks),
            versions={"Python": platform.python_version()}
            | {name: importlib.import_module(name).__version__ for name in PACKAGES},
            base_model_revision=self.base_model_revision,
        )


def measured_co2(callbacks: Iterable[TrainerCallback]) -> float | None:
    """What transformers' callback for codecarbon has measured, in kg of CO2 equivalents; None without it."""
    for callback in callbacks:
        if isinstance(callback, CodeCarbonCallback) and callback.tracker is not None:
            return getattr(callback.tracker, "final_emissions", None)  # none if it could not measure
    return None


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"{threads} CPU thread{'s' * (threads != 1)}"
    return device.type
