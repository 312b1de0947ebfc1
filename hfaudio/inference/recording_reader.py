"""Reading recordings ahead of whoever asks for them, in windows, some at once."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Full, Queue
from threading import Event
from typing import Any

import numpy as np

from hfaudio.audio import Resampler, SilenceWatch, UnreadableAudioError, stream_audio
from hfaudio.inference.audio_windows import cut_blocks

__all__ = ["Audio", "Reading", "RecordingReader"]

WINDOWS_AHEAD = 4  # that are read of a recording before they are needed
RECORDINGS_AHEAD = 4  # for each thread that reads
MAX_AUDIO_CHANNELS = 64

Audio = str | os.PathLike[str] | bytes | Mapping[str, Any]
"""A path, the bytes of a file, or a mapping as `datasets` has it: `array` and `sampling_rate`, `bytes` or `path`."""


@dataclass
class Reading:
    """A recording on its way, as another thread reads it.

    Attributes:
        audio: What is read.
        name: Its path, if it has one.
        windows: Where each starts, in samples, and the window `(samples,)`; an exception, if one ended the reading;
            and None at the end.
        watch: Whether the recording is silent, once it is read.
    """

    audio: Audio
    name: str | None
    windows: "Queue[tuple[int, np.ndarray] | Exception | None]" = field(default_factory=lambda: Queue(WINDOWS_AHEAD))
    watch: SilenceWatch = field(default_factory=SilenceWatch)


class RecordingReader:
    """Reads recordings at a rate and cuts them into windows, in threads of its own.

    Args:
        sampling_rate: The rate wanted, in Hz.
        window: Length of a window, in samples.
        hop: Step from window to window, in samples, at most `window`.
        threads: That read.
    """

    def __init__(self, sampling_rate: int, window: int, hop: int, threads: int) -> None:
        self._sampling_rate = sampling_rate
        self._window = window
        self._hop = hop
        self._threads = threads

    def read(self, recordings: Iterable[Audio]) -> Iterator[Reading]:
        """Has recordings read ahead; each is given when it comes first in line.

        Args:
            recordings: Are asked for as they are needed.
        """
        ahead: deque[Reading] = deque()
        stopped = Event()
        pool = ThreadPoolExecutor(self._threads)
        try:
            for audio in recordings:
                reading = Reading(audio, _name(audio))
                pool.submit(self._fill, reading, stopped)
                ahead.append(reading)
                if len(ahead) == RECORDINGS_AHEAD * self._threads:
                    yield ahead.popleft()
            while ahead:
                yield ahead.popleft()
        finally:  # also when nobody asks for more
            stopped.set()
            pool.shutdown(cancel_futures=True)

    def _fill(self, reading: Reading, stopped: Event) -> None:
        def put(item: tuple[int, np.ndarray] | Exception | None) -> bool:
            while not stopped.is_set():
                try:
                    reading.windows.put(item, timeout=0.1)
                    return True
                except Full:
                    continue
            return False

        found = False
        try:
            blocks = _blocks(reading.audio, self._sampling_rate, reading.watch)
            for window in cut_blocks(blocks, self._window, self._hop):
                found = True
                if not put(window):
                    return
            if not found:
                put(UnreadableAudioError("holds no samples"))
        except Exception as error:  # whatever it is, the thread that asked for the predictions raises it
            put(error)
        put(None)


def _name(audio: Audio) -> str | None:
    if isinstance(audio, Mapping):
        audio = audio.get("path") or b""
    return None if isinstance(audio, bytes) else os.fspath(audio)


def _blocks(audio: Audio, sampling_rate: int, watch: SilenceWatch) -> Iterator[np.ndarray]:
    if isinstance(audio, Mapping) and audio.get("array") is not None:
        samples = _mono(np.asarray(audio["array"]))
        watch.add(samples)
        yield Resampler(int(audio["sampling_rate"]), sampling_rate).push(samples, last=True)
        return
    if isinstance(audio, Mapping):
        audio = audio.get("bytes") or audio.get("path") or b""
    yield from stream_audio(audio, sampling_rate, watch=watch)


def _mono(samples: np.ndarray) -> np.ndarray:
    if not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(
            f"An array must hold floating-point samples in [-1, 1], found {samples.dtype}; divide integers by their "
            "largest value first."
        )
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[0] <= MAX_AUDIO_CHANNELS):
        raise ValueError(
            f"An array must have the shape (samples,) or (channels, samples) with at most {MAX_AUDIO_CHANNELS} "
            f"channels, found {samples.shape}."
        )
    mono = samples.astype(np.float32, copy=False) if samples.ndim == 1 else samples.mean(axis=0, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise UnreadableAudioError("holds NaN or infinite samples")
    return mono
