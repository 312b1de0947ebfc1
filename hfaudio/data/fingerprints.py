"""The acoustic fingerprints of a data set and the groups that sound alike, computed once and kept by content."""

import multiprocessing
import os
import sys
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeAlias

import datasets
import numpy as np
import xxhash
from threadpoolctl import threadpool_limits

from hfaudio.available_cores import available_cores
from hfaudio.data.errors import DataError
from hfaudio.data.near_duplicates import FINGERPRINT_SIZE, MAX_SECONDS, acoustic_fingerprint, near_duplicate_groups
from hfaudio.data.sealed_file import SealedFile, is_sealed

__all__ = ["alike_groups_of", "fingerprints_of"]

FINGERPRINT_VERSION = 2  # raise it whenever the same waveforms would have other fingerprints or groups
AT_ONCE = 16  # recordings
WAITING = 4  # times as many for each process, read before they are needed
WORTH_PROCESSES = 2000  # recordings; fewer take less time than processes to start

Sound: TypeAlias = tuple[np.ndarray, int]
"""The beginning of a waveform, `(samples,)`, and its rate in Hz."""


def fingerprints_of(dataset: datasets.Dataset) -> np.ndarray:
    """The fingerprint of every recording.

    They are computed apart from decoding: only a split or a report asks for them. The cache knows them by the contents
    of all recordings, in their order.

    Args:
        dataset: Of a `PreparedAudio`.

    Returns:
        `(recordings, FINGERPRINT_SIZE)` in float16; see `hfaudio.data.near_duplicates.acoustic_fingerprint`.

    Raises:
        DataError: The system ended a process.
    """
    path = _folder() / f"{_key(dataset)}.fingerprints"
    found = _kept(path, np.float16, len(dataset) * FINGERPRINT_SIZE)
    if found is None:
        found = np.empty((len(dataset), FINGERPRINT_SIZE), np.float16)
        row = 0
        with datasets.utils.tqdm(total=len(dataset), desc="Comparing", unit=" recordings") as progress:
            for some in _described(dataset):
                found[row : row + len(some)] = some
                row += len(some)
                progress.update(len(some))
        _keep(path, found)
    return found.reshape(len(dataset), FINGERPRINT_SIZE)


def alike_groups_of(dataset: datasets.Dataset) -> np.ndarray:
    """The group of recordings that sound alike to which each belongs; kept like the fingerprints.

    Args:
        dataset: Of a `PreparedAudio`.

    Returns:
        `(recordings,)` in int64; see `hfaudio.data.near_duplicates.near_duplicate_groups`.

    Raises:
        DataError: The system ended a process.
    """
    path = _folder() / f"{_key(dataset)}.groups"
    found = _kept(path, np.int64, len(dataset))
    if found is None:
        found = near_duplicate_groups(fingerprints_of(dataset))
        _keep(path, found)
    return found


def _folder() -> Path:
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "hfaudio" / f"fingerprints-{FINGERPRINT_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _key(dataset: datasets.Dataset) -> str:
    digest = xxhash.xxh3_128()
    # Of the same content other silence may have been cut out.
    table = dataset.with_format("arrow", columns=["content_hash", "samples", "sampling_rate"])[:]
    for row in zip(*(table[name].to_pylist() for name in ("content_hash", "samples", "sampling_rate")), strict=True):
        digest.update(f"{row}\n".encode())
    return digest.hexdigest()


def _kept(path: Path, kind: type[np.generic], count: int) -> np.ndarray | None:
    """What `_keep` wrote, `(count,)`; None where there is nothing, or the file is damaged."""
    return np.fromfile(path, kind, count) if is_sealed(path) else None


def _keep(path: Path, values: np.ndarray) -> None:
    """Writes the values, whole or not at all; a run beside this one writes the same."""
    partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with SealedFile(partial, "wb") as file:
            file.write(values.tobytes())
            file.seal()
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _sounds(dataset: datasets.Dataset) -> Iterator[list[Sound]]:
    """Some recordings at a time, of which memory holds what is compared."""
    # select_columns would copy the lists of the table's pieces, which takes seconds where there are many.
    for batch in dataset.with_format("arrow", columns=["waveform", "sampling_rate"]).iter(AT_ONCE):
        rates = batch.column("sampling_rate").to_pylist()
        yield [
            (waveform.values[: MAX_SECONDS * rate].to_numpy(), rate)
            for waveform, rate in zip(batch.column("waveform"), rates, strict=True)
        ]


def _described(dataset: datasets.Dataset) -> Iterator[np.ndarray]:
    """The fingerprints of some recordings at a time, in their order."""
    processes = available_cores()
    if len(dataset) < WORTH_PROCESSES or processes == 1:
        yield from map(_describe, _sounds(dataset))
        return
    # Processes get plain arrays: a table of many mapped files with columns joined on cannot be pickled.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    waiting: deque[Future[np.ndarray]] = deque()
    with threadpool_limits(1), ProcessPoolExecutor(processes, context) as pool:
        try:
            for sounds in _sounds(dataset):
                waiting.append(pool.submit(_describe, sounds))
                if len(waiting) > WAITING * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise DataError(
                "Expected the processes that compare recordings to live, found one ended by the system, as it does "
                "when memory runs out; close other programs and run the same command again."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _describe(sounds: list[Sound]) -> np.ndarray:
    return np.stack([acoustic_fingerprint(*sound) for sound in sounds])
