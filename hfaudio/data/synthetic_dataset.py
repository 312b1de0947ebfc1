"""The built-in dataset, so that the training script runs with no data at all. It is synthetic and says so."""

import contextlib
import csv
import json
import logging
import os
import shutil
import uuid
from pathlib import Path

import datasets
import soundfile as sf

from hfaudio.data.errors import DataError
from hfaudio.data.sealed_file import folder_digest
from hfaudio.data.sound_synthesis import SYNTHETIC_CLASSES, synthesize_clip

__all__ = ["built_in_dataset", "write_synthetic_dataset"]

logger = logging.getLogger(__name__)

# Raise this when the same seed comes to give different sounds, so that an older folder is not taken for a current one.
SYNTHETIC_VERSION = 1
_CLIPS_PER_CLASS = (5, 10_000)
_FOLDS = 5


def built_in_dataset() -> Path:
    """The synthetic dataset in the cache, written if it is not there, and anew if files are missing or have changed.

    Returns:
        The folder.

    Raises:
        DataError: The cache cannot be written.
    """
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "hfaudio" / f"synthetic-{SYNTHETIC_VERSION}"
    seal = folder.with_suffix(".contents")
    try:
        changed = folder.is_dir() and seal.is_file() and seal.read_text(errors="replace") != folder_digest(folder)
        if not changed:
            with contextlib.suppress(FileExistsError):
                write_synthetic_dataset(folder)
                if not seal.is_file():
                    _write_seal(seal, folder)
                return folder
        logger.warning("Writing the built-in sounds anew: files in %s are missing or have changed", folder)
        gone = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
        os.replace(folder, gone)
        shutil.rmtree(gone)
        seal.unlink(missing_ok=True)
        write_synthetic_dataset(folder)
        _write_seal(seal, folder)
    except (OSError, sf.LibsndfileError) as error:
        found = str(error)
        if isinstance(error, sf.LibsndfileError):  # which calls a full disk a system error
            found = f"a file that is not whole, with {shutil.disk_usage(folder.parent).free:,} bytes free"
        raise DataError(
            f"Expected a cache that can be written, for the built-in sounds in {folder}, found {found}; set "
            "HF_DATASETS_CACHE to a folder of yours with room for 100 MB, or give a --dataset."
        ) from error
    return folder


def _write_seal(seal: Path, folder: Path) -> None:
    """At once, so that a run beside this one does not take half of it for that of other sounds."""
    partial = seal.with_name(f".{seal.name}-{uuid.uuid4().hex}")
    try:
        partial.write_text(folder_digest(folder))
        os.replace(partial, seal)
    finally:
        partial.unlink(missing_ok=True)


def write_synthetic_dataset(directory: str | os.PathLike[str], clips_per_class: int = 100, seed: int = 0) -> Path:
    """Write the synthetic dataset as a folder of 16-bit WAV files with a `metadata.csv`.

    The folder holds `audio/<class>/<class>_000.wav` and so on, `metadata.csv` with the columns `file_name`, `label`
    and `fold` ("1" to "5", balanced within each class), a `README.md` and the settings in `synthetic.json`. It appears
    all at once or not at all, and several processes may ask for the same one at the same time.

    Args:
        directory: Folder to write. One that this function wrote before with the same settings is kept as it is.
        clips_per_class: Number of clips in each of the ten classes, 5 to 10000.
        seed: Seed of every clip, 0 or more.

    Returns:
        The folder.

    Raises:
        ValueError: If `clips_per_class` or `seed` is out of bounds.
        FileExistsError: If there is something else at `directory`, which is left untouched.
    """
    fewest, most = _CLIPS_PER_CLASS
    if not fewest <= clips_per_class <= most:
        raise ValueError(f"Expected clips_per_class from {fewest} to {most}, found {clips_per_class}.")
    if seed < 0:
        raise ValueError(f"Expected a seed of 0 or more, found {seed}.")
    directory = Path(directory)
    settings = {"version": SYNTHETIC_VERSION, "seed": seed, "clips_per_class": clips_per_class}
    if _is_written(directory, settings):
        return directory

    target = directory.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    try:
        _write_files(unfinished, settings)
        os.replace(unfinished, target)
    except OSError:
        # Another process may have put the same dataset in place meanwhile, and a folder with files is never replaced.
        if not _is_written(directory, settings):
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return directory


def _metadata(clips_per_class: int) -> list[tuple[str, str, str]]:
    """List file name, label and fold of every clip."""
    return [
        (f"audio/{label}/{label}_{index:03d}.wav", label, str(index % _FOLDS + 1))
        for label in SYNTHETIC_CLASSES
        for index in range(clips_per_class)
    ]


def _is_written(directory: Path, settings: dict[str, int]) -> bool:
    """Tell a finished dataset with these settings (True) from a free place (False); raise on anything else."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return False
    try:
        found = json.loads((directory / "synthetic.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = "files that are not a synthetic dataset"
    if found == settings:
        names = ["metadata.csv", "README.md", *(row[0] for row in _metadata(settings["clips_per_class"]))]
        missing = [name for name in names if not (directory / name).is_file()]
        if not missing:
            return True
        found = f"that dataset without {missing[0]}"
    raise FileExistsError(
        f"Expected {directory} to be free or to hold the synthetic dataset {settings}, found {found}; "
        "choose another folder or remove this one."
    )


def _write_files(directory: Path, settings: dict[str, int]) -> None:
    """Write every file of the dataset to a new folder."""
    rows = _metadata(settings["clips_per_class"])
    for label in SYNTHETIC_CLASSES:
        (directory / "audio" / label).mkdir(parents=True)
    for position, (file_name, label, _) in enumerate(rows):
        waveform, rate = synthesize_clip(label, settings["seed"], position % settings["clips_per_class"])
        sf.write(directory / file_name, waveform.T, rate, subtype="PCM_16")
    with open(directory / "metadata.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file_name", "label", "fold"))
        writer.writerows(rows)
    (directory / "README.md").write_text(
        "# Synthetic sounds\n\n"
        f"Every sound in this folder is synthetic: hfaudio generated all of it from seed {settings['seed']}, with "
        f"{settings['clips_per_class']} clips for each of {len(SYNTHETIC_CLASSES)} classes. Nothing here was "
        "recorded.\n\n"
        "The clips are for trying the software out. A score on them says nothing about real recordings.\n",
        encoding="utf-8",
    )
    (directory / "synthetic.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
