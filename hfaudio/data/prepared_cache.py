"""The cache of decoded recordings: Arrow shards, each written whole or not at all."""

import errno
import gc
import hashlib
import logging
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import torch
import xxhash
from threadpoolctl import threadpool_limits

from hfaudio.audio import DECODERS, OTHER_EXTENSIONS, has_torchcodec
from hfaudio.data.errors import DataError
from hfaudio.data.measurements import MEASUREMENTS, measure_recording
from hfaudio.data.recordings import EmbeddedAudio, Recording
from hfaudio.data.sealed_file import SealedFile, is_sealed
from hfaudio.data.silence import TRIM_MODES
from hfaudio.regular_files import NotRegularError, only_regular

__all__ = ["DecodingSettings", "cached_shards"]

logger = logging.getLogger(__name__)

CACHE_VERSION = 6  # raise it whenever the same file would be decoded to other samples or measured otherwise
ROWS_HELD = 16  # decoded recordings that a process holds before they go to the disk ...
SAMPLES_HELD = 1 << 23  # ... unless they are long
READ_AT_ONCE = 1 << 16  # bytes
PARTIAL_SECONDS = 86_400  # after which a file that nobody has finished is taken for that of a dead process
PARENT_SECONDS = 1.0  # between two looks at whether the process that gives out work lives
SMALLEST_SHARD = 32  # recordings, roughly; of many, shards have more
MOST_SHARDS = 512
SHARD_NAME = re.compile(r"[0-9a-f]{32}\.arrow")
DISK_ERRORS = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO, errno.EEXIST, errno.EISDIR, errno.ENOTDIR,
    errno.ENAMETOOLONG,
}  # fmt: skip

SCHEMA = pa.schema([("waveform", pa.large_list(pa.float32())), *MEASUREMENTS.items()])


@dataclass(frozen=True)
class DecodingSettings:
    """What decides the samples of a recording.

    Attributes:
        sampling_rate: The rate wanted, in Hz.
        decoder: One of `hfaudio.audio.DECODERS`.
        trim_silence: One of `hfaudio.data.silence.TRIM_MODES`.

    Raises:
        ValueError: There is no such rate, decoder or mode.
    """

    sampling_rate: int = 16_000
    decoder: str = "auto"
    trim_silence: str = "none"

    def __post_init__(self) -> None:
        if self.sampling_rate < 1:
            raise ValueError(f"sampling_rate must be at least 1 Hz, found {self.sampling_rate}.")
        for name, choices in (("decoder", DECODERS), ("trim_silence", TRIM_MODES)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, found {getattr(self, name)!r}.")


def cached_shards(recordings: Sequence[Recording], settings: DecodingSettings, num_proc: int) -> list[Path]:
    """Decodes recordings in parallel, with a progress bar, and returns the files that hold them.

    A shard is named by what its files hold and by the settings. A second name, of their paths, sizes and times of
    change, leads to the first: unchanged files are not read again, and moved or touched ones are not decoded again.
    What an interrupted run has finished, the next one finds. Where a shard ends depends on the names of its files: a
    recording that is added changes its shard, and at times one or two more. A damaged shard is made anew, and that is
    said; see `is_sealed`.

    Args:
        recordings: What to decode.
        settings: How.
        num_proc: Processes at most.

    Returns:
        Arrow stream files, which hold one row for each recording, in their order.

    Raises:
        DataError: The cache cannot be read or written, the disk is full, or a decoder ended its process.
    """
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "hfaudio" / f"decoded-{CACHE_VERSION}"
    with _disk_sentences(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return _cached_shards(recordings, settings, num_proc, folder)


def _cached_shards(
    recordings: Sequence[Recording], settings: DecodingSettings, num_proc: int, folder: Path
) -> list[Path]:
    has_torchcodec_package = find_spec("torchcodec") is not None  # asked once: for each shard it would show
    jobs = [ShardJob(tuple(shard), settings, folder, has_torchcodec_package) for shard in _divide(recordings)]
    found = [job.finished() for job in jobs]
    waiting = [job for job, path in zip(jobs, found, strict=True) if path is None]
    if waiting:
        _prepare_to_write(folder)
    written = iter(_run(waiting, num_proc) if waiting else [])
    return [path or next(written) for path in found]


def _divide(recordings: Sequence[Recording]) -> Iterator[Sequence[Recording]]:
    size = SMALLEST_SHARD
    while size * MOST_SHARDS < len(recordings):
        size *= 8
    first = 0
    for past, recording in enumerate(recordings, start=1):
        # No checksum: of names that count up, the lower bits of a CRC take few values.
        ends = xxhash.xxh64_intdigest(recording.file_name.encode()) % size == 0
        if ends or past - first == 2 * size or past == len(recordings):
            yield recordings[first:past]
            first = past


@dataclass(frozen=True)
class ShardJob:
    """Decoding some recordings into one file.

    Attributes:
        recordings: What to decode.
        settings: How.
        folder: Where the file goes.
        has_torchcodec_package: Whether torchcodec is installed; it may still lack FFmpeg.
    """

    recordings: tuple[Recording, ...]
    settings: DecodingSettings
    folder: Path
    has_torchcodec_package: bool

    def finished(self) -> Path | None:
        """The file, if these very files have been decoded before and it is undamaged."""
        try:
            with open(self._name_file, encoding="ascii", errors="replace", opener=only_regular) as file:
                written = file.read()
        except (FileNotFoundError, NotRegularError):
            return None
        name = written.partition(" ")[0]
        whole = SHARD_NAME.fullmatch(name) and written == self._leading_to(name)
        return self._usable(self.folder / name) if whole else None

    def _leading_to(self, shard: str) -> str:
        """What the second name has to hold, so that a damaged one or that of other files leads nowhere."""
        return f"{shard} {xxhash.xxh3_64_hexdigest(f'{self._name_file.stem} {shard}'.encode())}"

    def _usable(self, path: Path) -> Path | None:
        if is_sealed(path):
            return path
        if path.exists():
            logger.warning("Decoding %d recordings anew: %s is damaged", len(self.recordings), path)
        return None

    def write(self, room: np.ndarray) -> Path:
        """Decodes the recordings, unless others with the same content have been decoded.

        Args:
            room: Where samples may be put meanwhile; it is asked for because new memory costs time for each shard.
        """
        name_file = self._name_file
        path = self.folder / f"{self._content_key()}.arrow"
        if self._usable(path) is None:
            with _replacing(path) as partial, SealedFile(partial, "wb") as sink:
                with pa.ipc.new_stream(sink, SCHEMA) as writer:
                    for batch in _decoded(self.recordings, self.settings, room):
                        writer.write_batch(batch)
                sink.seal()
        with _replacing(name_file) as partial:
            partial.write_text(self._leading_to(path.name), encoding="ascii")
        return path

    @cached_property  # from before the files are read: one that changes meanwhile is decoded again
    def _name_file(self) -> Path:
        digest = self._digest()
        for recording in self.recordings:
            audio = recording.audio
            if isinstance(audio, EmbeddedAudio):
                place: tuple[object, ...] = (audio.table._fingerprint, audio.row)
            else:
                place = (os.path.abspath(audio), *_state(audio))
            digest.update(f"{place}\0{recording.start}\0{recording.end}\0".encode(errors="surrogateescape"))
        return self.folder / f"{digest.hexdigest()[:32]}.name"

    def _content_key(self) -> str:
        digest = self._digest()
        for recording in self.recordings:
            digest.update(_content_digest(recording.encoded()))
            digest.update(f"{recording.start}\0{recording.end}\0".encode())
        return digest.hexdigest()[:32]

    def _digest(self) -> "hashlib._Hash":
        # What soundfile cannot read becomes readable when torchcodec comes; to import it takes seconds.
        needed = self.settings.decoder != "soundfile" and any(
            recording.file_name.lower().endswith(OTHER_EXTENSIONS) for recording in self.recordings
        )
        torchcodec = has_torchcodec() if needed else self.has_torchcodec_package
        return hashlib.sha256(f"{CACHE_VERSION}\0{self.settings}\0{torchcodec}\0".encode())


def _state(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns  # the last changes with the permission to read, too


def _content_digest(content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return xxhash.xxh3_128_digest(content)
    digest = xxhash.xxh3_128()
    try:
        with open(content, "rb", buffering=0, opener=only_regular) as file:
            while block := file.read(READ_AT_ONCE):
                digest.update(block)
    except OSError as error:
        return str(error.errno).encode()
    return digest.digest()


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    with _disk_sentences(path.parent):
        try:
            yield partial
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def _prepare_to_write(folder: Path) -> None:
    """Finds out before the work whether the cache can be written, and removes what runs that were killed have left."""
    with tempfile.TemporaryFile(dir=folder):
        pass
    for partial in folder.glob(".*-*"):
        with suppress(FileNotFoundError):  # its process lives, and has just finished it
            if time.time() - partial.stat().st_mtime > PARTIAL_SECONDS:
                partial.unlink()


@contextmanager
def _disk_sentences(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"Expected room for decoded recordings in {folder} (64 kB a second at 16 kHz), found the disk "
                "full; free some, or set HF_DATASETS_CACHE to a larger disk."
            ) from error
        if error.errno in DISK_ERRORS:
            raise DataError(
                f"Expected a cache of decoded recordings that can be read and written in {folder}, found "
                f"{os.strerror(error.errno)} ({error.filename or folder}); set HF_DATASETS_CACHE to a folder of yours."
            ) from error
        raise


def _room() -> np.ndarray:
    return np.empty(SAMPLES_HELD, np.float32)


def _decoded(
    recordings: Sequence[Recording], settings: DecodingSettings, room: np.ndarray
) -> Iterator[pa.RecordBatch]:
    """Batches, each of which lies in `room` and is good until the next one is asked for."""
    ends: list[int] = [0]
    rows: list[dict[str, object]] = []
    for recording in recordings:
        waveform, measurements = measure_recording(
            recording, settings.sampling_rate, settings.decoder, settings.trim_silence
        )
        if rows and (len(rows) == ROWS_HELD or ends[-1] + len(waveform) > len(room)):
            yield _as_batch(room, ends, rows)
            ends, rows = [0], []
        if len(waveform) > len(room):
            yield _as_batch(waveform, [0, len(waveform)], [measurements])
            continue
        ends.append(ends[-1] + len(waveform))
        rows.append(measurements)
        room[ends[-2] : ends[-1]] = waveform
    if rows:
        yield _as_batch(room, ends, rows)


def _as_batch(samples: np.ndarray, ends: list[int], rows: list[dict[str, object]]) -> pa.RecordBatch:
    waveforms = pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), samples[: ends[-1]])
    measured = [pa.array([row[name] for row in rows], kind) for name, kind in MEASUREMENTS.items()]
    return pa.RecordBatch.from_arrays([waveforms, *measured], schema=SCHEMA)


_jobs: Sequence[ShardJob] = ()  # of a worker process
_worker_room = np.empty(0, np.float32)


def _start_worker(jobs: Sequence[ShardJob]) -> None:
    global _jobs, _worker_room
    _jobs, _worker_room = jobs, _room()
    # On Ctrl-C the terminal interrupts every process: this one finishes its shard, and the first one says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # Each process keeps to one thread, which a forked one must do with OpenMP anyway.
    torch.set_num_threads(1)
    gc.freeze()


def _end_with(parent: int) -> None:
    """Ends this process when the one that started it was killed; it would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


def _write_job(index: int) -> Path:
    return _jobs[index].write(_worker_room)


def _run(jobs: Sequence[ShardJob], num_proc: int) -> list[Path]:
    """Has processes write the shards, the longest first, and returns their files in the order of the jobs."""
    # A forked process starts in milliseconds and inherits the jobs; elsewhere they are sent.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    total = sum(len(job.recordings) for job in jobs)
    order = sorted(range(len(jobs)), key=lambda index: -len(jobs[index].recordings))
    with (
        threadpool_limits(1),
        ProcessPoolExecutor(min(num_proc, len(jobs)), context, _start_worker, (jobs,)) as pool,
        datasets.utils.tqdm(total=total, desc="Decoding", unit=" recordings") as progress,
    ):
        indices = {pool.submit(_write_job, index): index for index in order}
        paths: dict[int, Path] = {}
        try:
            for future in as_completed(indices):
                index = indices[future]
                paths[index] = future.result()
                progress.update(len(jobs[index].recordings))
        except BrokenProcessPool as error:
            raise DataError(
                "Expected the decoding processes to live, found one ended by the system, as it does when memory runs "
                f"out; try --preparation_processes {max(1, num_proc // 2)}. What is decoded is kept."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
    return [paths[index] for index in range(len(jobs))]
