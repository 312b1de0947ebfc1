"""Checkpoints of unfinished runs: whose they are, and their removal when a run ends."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

__all__ = ["CheckpointError", "RunSettingsWriter", "check_same_run", "remove_checkpoints"]

SETTINGS_FILE = "run_settings.json"


class CheckpointError(ValueError):
    """The checkpoints in the output folder are not what the run needs: one sentence says what to do."""


class RunSettingsWriter(TrainerCallback):
    """Writes into each checkpoint what decides the split and the examples, so that no other run resumes from it.

    Args:
        settings: The text of each setting.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Called by `Trainer` after it has written a checkpoint."""
        if state.is_world_process_zero and args.output_dir is not None:
            checkpoint = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            (checkpoint / SETTINGS_FILE).write_text(json.dumps(self.settings, indent=2), encoding="utf-8")


def check_same_run(checkpoint: str | os.PathLike[str], settings: Mapping[str, str]) -> None:
    """Compares the settings of a run with those of the run that wrote a checkpoint.

    Args:
        checkpoint: Its folder.
        settings: The text of each setting.

    Raises:
        CheckpointError: They differ, so that held-out recordings might have been trained on.
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


def remove_checkpoints(folder: str | os.PathLike[str]) -> None:
    """Removes the checkpoints of a finished run from its output folder: they serve to resume, and hold pickles."""
    for path in Path(folder).iterdir():
        if path.is_dir() and re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-\d+", path.name):
            shutil.rmtree(path)
