"""Checkpoints of unfinished runs: what lies in them, whose they are, and their removal when a run ends."""

import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xxhash
from safetensors import SafetensorError, safe_open
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
    "checkpoint_damage",
    "last_complete_checkpoint",
    "newest_checkpoint",
    "remove_checkpoints",
]

FILES_FILE = "checkpoint_files.json"
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
    in between has none left to resume from. Last comes `checkpoint_files.json`, the sizes and hashes of all files, and
    only then older checkpoints go.
    """

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Writes the weights; into a checkpoint also what the callbacks keep. See `Trainer.save_model`."""
        checkpoint = Path(output_dir) if _internal_call and output_dir and self.args.should_save else None
        if checkpoint is not None:
            # An interrupted run may have left a checkpoint of this step, which from here on is no longer complete.
            _mark_unfinished(checkpoint)
        super().save_model(output_dir, _internal_call)
        if checkpoint is not None:
            for callback in self.callback_handler.callbacks:
                if isinstance(callback, CheckpointPart):
                    callback.write_into(checkpoint)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        limit, self.args.save_total_limit = self.args.save_total_limit, None  # older ones go when this one is whole
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()  # each process writes the state of its random numbers
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial))
            newest = folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            _list_files(newest)
            if limit:
                older = [path for path in _checkpoints(folder) if path != newest]
                older.sort(key=lambda path: path.stat().st_mtime_ns)
                for path in older[: max(0, len(older) + 1 - limit)]:
                    _remove(path)


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


def checkpoint_damage(checkpoint: str | os.PathLike[str]) -> str | None:
    """What is wrong with a checkpoint, in a few words; None if it is whole.

    Every file must have the size and the hash that `checkpoint_files.json` has of it. In a checkpoint without that
    table, as earlier versions wrote it, the files must be there and hold together, as far as their formats tell.

    Args:
        checkpoint: Its folder.
    """
    checkpoint = Path(checkpoint)
    if not (checkpoint / TRAINER_STATE_NAME).is_file():
        return "was not written to its end"
    if not (checkpoint / FILES_FILE).is_file():
        return _visible_damage(checkpoint)
    try:
        files = dict(json.loads((checkpoint / FILES_FILE).read_text(encoding="utf-8")))
        files[TRAINER_STATE_NAME]
    except (OSError, ValueError, TypeError, KeyError):
        return f"has an unreadable {FILES_FILE}"
    for name, written in files.items():
        try:
            found = _size_and_hash(checkpoint / name)
        except OSError as error:
            return f"has no {name}" if isinstance(error, FileNotFoundError) else f"has an unreadable {name}"
        if found != written:
            return f"has a damaged {name}"
    return None


def newest_checkpoint(folder: str | os.PathLike[str]) -> tuple[str | None, dict[str, str]]:
    """Finds the newest whole checkpoint of a run.

    Args:
        folder: The output folder, which need not be there.

    Returns:
        The checkpoint's folder, or None; and what is wrong with each newer one, by its name.
    """
    damaged: dict[str, str] = {}
    for path in sorted(_checkpoints(Path(folder)), key=_step, reverse=True):
        damage = checkpoint_damage(path)
        if damage is None:
            return str(path), damaged
        damaged[path.name] = damage
    return None, damaged


def last_complete_checkpoint(folder: str | os.PathLike[str]) -> str | None:
    """The newest whole checkpoint in a folder, or None; the folder need not be there."""
    return newest_checkpoint(folder)[0]


def remove_checkpoints(folder: str | os.PathLike[str]) -> None:
    """Removes the checkpoints of a finished run from its output folder: they serve to resume, and hold pickles."""
    for path in _checkpoints(Path(folder)):
        _remove(path)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if _step(path) and path.is_dir()]


def _step(path: Path) -> int:
    """The step of a checkpoint by its name, from 1; 0 for what is none."""
    named = re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", path.name)
    return int(named[1]) if named else 0


def _remove(checkpoint: Path) -> None:
    """Removes a checkpoint so that what is left when the process is killed meanwhile is not taken for a whole one."""
    _mark_unfinished(checkpoint)
    shutil.rmtree(checkpoint)


def _mark_unfinished(checkpoint: Path) -> None:
    for name in (TRAINER_STATE_NAME, FILES_FILE):
        (checkpoint / name).unlink(missing_ok=True)


def _list_files(checkpoint: Path) -> None:
    """Writes the sizes and hashes of all files of a checkpoint, at once or not at all."""
    files = {
        path.relative_to(checkpoint).as_posix(): _size_and_hash(path)
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != FILES_FILE
    }
    partial = checkpoint / f".{FILES_FILE}"
    partial.write_text(json.dumps(files, indent=2), encoding="utf-8")
    os.replace(partial, checkpoint / FILES_FILE)


def _size_and_hash(path: Path) -> list[int | str]:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
        return [file.tell(), digest.hexdigest()]


def _visible_damage(checkpoint: Path) -> str | None:
    """What the formats of the files tell."""
    for name in NEEDED:
        if not any(checkpoint.glob(name)):
            return f"has no {name}"
    for path in sorted(checkpoint.iterdir()):
        try:
            READERS.get(path.suffix, Path.stat)(path)
        except (OSError, ValueError, SafetensorError, zipfile.BadZipFile):
            return f"has a damaged {path.name}"
    return None


def _read_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:
            raise zipfile.BadZipFile("a checksum differs")


def _read_tensors(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        file.keys()


NEEDED = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state*.pth", SETTINGS_FILE)
READERS: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".safetensors": _read_tensors,
    ".bin": _read_zip,
    ".pt": _read_zip,
    ".pth": _read_zip,
}
"""How a file of each ending is read to find out whether it holds together; torch writes zip archives."""
