"""The recordings that the runs of a cross-validation held out, to listen to after the runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets

from hfaudio.data import PreparedAudio
from hfaudio.training.checkpoints import CheckpointError
from hfaudio.training.pretrained import load_feature_extractor
from hfaudio.training.run_arguments import RunArguments
from hfaudio.training.training_data import load_training_data

__all__ = ["held_out_recordings", "pooled_waveforms"]


def held_out_recordings(run: RunArguments, folder: Path, file_names: Sequence[str]) -> PreparedAudio:
    """Opens in the cache what a finished run held out.

    Args:
        run: Its settings.
        folder: Its output folder.
        file_names: What it has predicted.

    Raises:
        hfaudio.training.CheckpointError: With these settings others are held out now.
    """
    rate = load_feature_extractor(folder).sampling_rate
    with run.training.main_process_first(desc="opening the recordings"):
        held_out = load_training_data(run.data, rate, run.training.seed).split["test"]
    if held_out["file_name"][:] != list(file_names):
        raise CheckpointError(
            f"Expected the recordings that {folder} was evaluated on, found others: the data set has changed since; "
            "start anew in another --output_dir."
        )
    return PreparedAudio(held_out, (), rate)


def pooled_waveforms(folds: Sequence[PreparedAudio | None]) -> tuple[Any, int | None]:
    """Lines up the waveforms of all folds without reading any.

    Args:
        folds: In their order; None where the recordings are not known.

    Returns:
        The waveforms by recording, `(samples,)` each, and their sampling rate in Hz; both None unless all are known.
    """
    known = [fold for fold in folds if fold is not None]
    if len(known) < len(folds):
        return None, None
    together = datasets.concatenate_datasets([fold.dataset.select_columns("waveform") for fold in known])
    return together.with_format("numpy")["waveform"], known[0].sampling_rate
