"""Checkpoints of unfinished runs: what lies in them, whose they are, and their removal when a run ends."""

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

__all__ = [
    "CheckpointError",
    "CheckpointPart",
    "CheckpointPartsMixin",
    "RunSettingsWriter",
    "Stopwatch",
    "check_same_run",
    "is_complete",
    "last_complete_checkpoint",
    "remove_checkpoints",
]

SETTINGS_FILE = "run_settings.json"
SECONDS_FILE = "train_seconds.json"


class CheckpointError(ValueError):
    """The checkpoints in the output folder are not what the run needs: one sentence says what to do."""


class CheckpointPart(TrainerCallback):
    """A callback that keeps something in each checkpoint of a `CheckpointPartsMixin`."""

    def write_into(self, checkpoint: Path) -> None:
        """Writes its files into the folder of a checkpoint that is not complete yet."""
        raise NotImplementedError  # by RunSettingsWriter, Stopwatch and WeightAverage


class CheckpointPartsMixin(Trainer):
    """A `Trainer` that writes the files of each `CheckpointPart` between the weights and its own state.

    The event `on_save` comes too late for them: before it `Trainer` removes older checkpoints, and who is interrupted
    in between has none left to resume from. The state is written last, so that a checkpoint with it has everything.
    """

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Writes the weights; into a checkpoint also what the callbacks keep. See `Trainer.save_model`."""
        checkpoint = Path(output_dir) if _internal_call and output_dir and self.args.should_save else None
        if checkpoint is not None:
            # An interrupted run may have left a checkpoint of this step, which from here on is no longer complete.
            (checkpoint / TRAINER_STATE_NAME).unlink(missing_ok=True)
        super().save_model(output_dir, _internal_call)
        if checkpoint is not None:
            for callback in self.callback_handler.callbacks:
                if isinstance(callback, CheckpointPart):
                    callback.write_into(checkpoint)


class RunSettingsWriter(CheckpointPart):
    """Writes into each checkpoint what decides the result, so that no other run resumes from it.

    Args:
        settings: The text of each setting.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)

    def write_into(self, checkpoint: Path) -> None:
        """Writes `run_settings.json`."""
        (checkpoint / SETTINGS_FILE).write_text(json.dumps(self.settings, indent=2), encoding="utf-8")


class Stopwatch(CheckpointPart):
    """Counts the seconds of a training together with those before its interruption.

    What was trained after the last checkpoint is lost and trained again: it counts once.

    Args:
        resumed: The folder of the checkpoint that the run resumes from, or None.
    """

    def __init__(self, resumed: str | os.PathLike[str] | None = None) -> None:
        path = None if resumed is None else Path(resumed) / SECONDS_FILE
        self.before = float(json.loads(path.read_text(encoding="utf-8"))) if path and path.is_file() else 0.0
        self._began = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts counting."""
        self._began = time.monotonic()

    def write_into(self, checkpoint: Path) -> None:
        """Writes `train_seconds.json`."""
        seconds = self.before + time.monotonic() - self._began
        (checkpoint / SECONDS_FILE).write_text(json.dumps(seconds), encoding="utf-8")

    def whole_run(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The metrics of `Trainer.train`, whose time is that since the run was resumed, for the whole run."""
        since = metrics["train_runtime"]
        share = since / (self.before + since) if self.before else 1.0
        return {name: value * share if name.endswith("_per_second") else value for name, value in metrics.items()} | {
            "train_runtime": self.before + since
        }


def check_same_run(checkpoint: str | os.PathLike[str], settings: Mapping[str, str]) -> None:
    """Compares the settings of a run with those of the run that wrote a checkpoint.

    Args:
        checkpoint: Its folder.
        settings: The text of each setting.

    Raises:
        CheckpointError: They differ, so that held-out recordings might have been trained on, or that one result
            would be of two trainings.
    """
    path = Path(checkpoint) / SETTINGS_FILE
    written = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    different = [name for name, value in settings.items() if written.get(name) != value]
    if different:
        name = different[0]
        raise CheckpointError(
            f"Expected the settings of the run that wrote {checkpoint}, found --{name} {settings[name]} in place of "
            f"{written.get(name, 'none')}; give the same flags, or start anew in another --output_dir."
        )


def is_complete(checkpoint: str | os.PathLike[str]) -> bool:
    """Whether a folder is a checkpoint that was written to its end, which the state is; see `CheckpointPartsMixin`."""
    try:
        json.loads((Path(checkpoint) / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def last_complete_checkpoint(folder: str | os.PathLike[str]) -> str | None:
    """The newest checkpoint in a folder that was written to its end, or None; the folder need not be there."""
    complete = [path for path in Path(folder).glob(f"{PREFIX_CHECKPOINT_DIR}-*") if _step(path) and is_complete(path)]
    return str(max(complete, key=_step)) if complete else None


def remove_checkpoints(folder: str | os.PathLike[str]) -> None:
    """Removes the checkpoints of a finished run from its output folder: they serve to resume, and hold pickles."""
    for path in Path(folder).iterdir():
        if path.is_dir() and _step(path):
            shutil.rmtree(path)


def _step(path: Path) -> int:
    """The step of a checkpoint by its name, from 1; 0 for what is none."""
    named = re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", path.name)
    return int(named[1]) if named else 0
