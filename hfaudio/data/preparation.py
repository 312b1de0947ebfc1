"""From files to a cached `datasets.Dataset` of 16 kHz waveforms."""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import datasets
import torch

from hfaudio.data.decoding import UnreadableAudioError, decode_audio
from hfaudio.data.errors import DataError
from hfaudio.data.sources import Recording, list_recordings

__all__ = ["LeftOut", "PreparedAudio", "available_cores", "load_audio_dataset", "prepare_recordings"]

logger = logging.getLogger(__name__)

CACHE_VERSION = 1  # raise it whenever the same file would be decoded to other samples
NAMED_AT_MOST = 20  # files in the warning; left_out.csv has them all
ROWS_HELD = 16  # decoded recordings that each process holds before they go to the disk
FILES_PER_PROCESS = 32  # starting a process costs more than decoding fewer files


@dataclass(frozen=True)
class LeftOut:
    """A recording that nothing can be learned from, and why."""

    file_name: str
    reason: str


@dataclass(frozen=True)
class PreparedAudio:
    """Recordings ready to learn from.

    Attributes:
        dataset: One row a recording: `file_name`, `waveform` (float32 samples, mono), `label` (a `ClassLabel`),
            `fold` and `group` (text, or None where unknown).
        left_out: The recordings that could not be used.
        sampling_rate: Of every waveform, in Hz.
    """

    dataset: datasets.Dataset
    left_out: tuple[LeftOut, ...]
    sampling_rate: int

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of their indices."""
        names: list[str] = self.dataset.features["label"].names
        return names


def available_cores() -> int:
    """The CPU cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_audio_dataset(
    folder: str | os.PathLike[str],
    label_column: str | None = None,
    fold_column: str | None = None,
    group_column: str | None = None,
    sampling_rate: int = 16_000,
    num_proc: int | None = None,
) -> PreparedAudio:
    """Lists, decodes and resamples the recordings of a folder, once: a second call reads the `datasets` cache.

    Args:
        folder: Class sub-folders, or a folder with `metadata.csv`; see `list_recordings`.
        label_column: Column of the labels in `metadata.csv`.
        fold_column: Column of given folds.
        group_column: Column of sources or speakers.
        sampling_rate: The rate wanted, in Hz.
        num_proc: Processes that decode; None takes one for each CPU core.

    Raises:
        DataError: Nothing there can be learned from.

    Example:
        >>> audio = load_audio_dataset("sounds")  # doctest: +SKIP
        >>> audio.dataset.train_test_split(test_size=0.2)  # doctest: +SKIP
    """
    recordings = list_recordings(folder, label_column, fold_column, group_column)
    return prepare_recordings(recordings, sampling_rate, num_proc)


def prepare_recordings(
    recordings: Sequence[Recording], sampling_rate: int = 16_000, num_proc: int | None = None
) -> PreparedAudio:
    """Decodes and resamples recordings into the `datasets` cache, in parallel, with a progress bar.

    The cache is keyed by every file's path, size and times of change and by the settings, so that a changed file or
    setting never meets old samples.

    Args:
        recordings: What `list_recordings` found.
        sampling_rate: The rate wanted, in Hz.
        num_proc: Processes that decode; None takes one for each CPU core.

    Raises:
        DataError: No recording is readable, or fewer than two classes are left.
    """
    class_names = sorted({recording.label for recording in recordings})
    if len(class_names) < 2:
        raise DataError(
            f"Expected recordings of at least two classes, found only {', '.join(class_names) or 'none'}; "
            "add another class."
        )
    processes = num_proc or available_cores()
    decoded = datasets.Dataset.from_generator(
        _decode_rows,
        features=datasets.Features(
            {
                "file_name": datasets.Value("string"),
                "waveform": datasets.LargeList(datasets.Value("float32")),
                "label": datasets.ClassLabel(names=class_names),
                "fold": datasets.Value("string"),
                "group": datasets.Value("string"),
                "unreadable": datasets.Value("string"),
            }
        ),
        gen_kwargs={"recordings": [asdict(recording) for recording in recordings], "sampling_rate": sampling_rate},
        num_proc=max(1, min(processes, len(recordings) // FILES_PER_PROCESS)),
        fingerprint=_fingerprint(recordings, sampling_rate),
        writer_batch_size=ROWS_HELD,
    )
    reasons = decoded.with_format("arrow")[:]["unreadable"].to_pylist()
    left_out = tuple(
        LeftOut(recording.file_name, reason)
        for recording, reason in zip(recordings, reasons, strict=True)
        if reason is not None
    )
    readable = [index for index, reason in enumerate(reasons) if reason is None]
    _check_classes_remain(decoded, readable, class_names, left_out)
    if left_out:
        named = ", ".join(f"{recording.file_name} ({recording.reason})" for recording in left_out[:NAMED_AT_MOST])
        named += ", and more" if len(left_out) > NAMED_AT_MOST else ""
        logger.warning("Left out %d of %d recordings: %s", len(left_out), len(recordings), named)
    dataset = decoded.select(readable).remove_columns("unreadable")
    return PreparedAudio(dataset, left_out, sampling_rate)


def _decode_rows(recordings: list[dict[str, str | None]], sampling_rate: int) -> Iterator[dict[str, object]]:
    # Several processes decode at once: each keeps to one thread, which a forked process must do with OpenMP anyway.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for recording in recordings:
            row = {name: value for name, value in recording.items() if name != "path"}
            try:
                yield {**row, "waveform": decode_audio(recording["path"] or "", sampling_rate), "unreadable": None}
            except UnreadableAudioError as error:
                yield {**row, "waveform": [], "unreadable": str(error)}
    finally:
        torch.set_num_threads(threads)


def _fingerprint(recordings: Sequence[Recording], sampling_rate: int) -> str:
    digest = hashlib.sha256(f"{CACHE_VERSION} {sampling_rate}".encode())
    for recording in recordings:
        status = os.stat(recording.path)
        fields = (os.path.abspath(recording.path), *asdict(recording).values(), status.st_size, status.st_mtime_ns)
        fields += (status.st_ctime_ns,)  # changes with the permission to read, too
        digest.update("\0".join(map(str, fields)).encode())
    return digest.hexdigest()[:32]


def _check_classes_remain(
    decoded: datasets.Dataset, readable: Sequence[int], class_names: Sequence[str], left_out: Sequence[LeftOut]
) -> None:
    labels = decoded.with_format("numpy")["label"][:]
    remaining = {class_names[label] for label in labels[list(readable)]}
    gone = [name for name in class_names if name not in remaining]
    if gone:
        raise DataError(
            f"Expected at least one readable recording of every class, found none of {', '.join(gone)}: "
            f"{left_out[0].file_name} {left_out[0].reason}"
            + (f", and {len(left_out) - 1} more" if len(left_out) > 1 else "")
            + "; replace the files or remove the class."
        )
