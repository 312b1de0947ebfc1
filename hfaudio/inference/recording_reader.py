"""Reading recordings ahead of whoever asks for them, in windows, some at once."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Full, Queue
from threading import Event
from typing import Any
from urllib.request import urlopen

import numpy as np

from hfaudio.audio import Resampler, SilenceWatch, UnreadableAudioError, check_magnitude, stream_audio
from hfaudio.audio.decoding import check_rate, first_line
from hfaudio.inference.audio_windows import cut_blocks

__all__ = ["Audio", "Reading", "RecordingReader"]

WINDOWS_AHEAD = 4  # that are read of a recording before they are needed
RECORDINGS_AHEAD = 4  # for each thread that reads
MAX_AUDIO_CHANNELS = 8  # of an array, as the pipelines have it; an array of more is rather a batch
FETCHING_SECONDS = 60.0  # that a server may be silent

Audio = str | os.PathLike[str] | bytes | Mapping[str, Any]
"""A path, an http(s) address or the bytes of a file; a mapping as `datasets` has it, of `array` or `raw` and their
`sampling_rate`, or of `bytes` or `path`; or, as `datasets` decodes, torchcodec's `AudioDecoder`."""


@dataclass
class Reading:
    """A recording on its way, as another thread reads it.

    Attributes:
        audio: What is read.
        name: Its path, if it has one.
        windows: Where each starts, in samples, and the window `(samples,)`; an error, if one ended the reading; and
            None at the end.
        watch: Whether the recording is silent, once it is read.
    """

    audio: Audio
    name: str | None
    windows: "Queue[tuple[int, np.ndarray] | UnreadableAudioError | None]" = field(
        default_factory=lambda: Queue(WINDOWS_AHEAD)
    )
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
        def put(item: tuple[int, np.ndarray] | UnreadableAudioError | None) -> bool:
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
        except UnreadableAudioError as error:
            put(error)
        except Exception as error:  # whatever a recording of others' making raises, the next one is still read
            reason = first_line(str(error))
            put(UnreadableAudioError(f"cannot be read ({type(error).__name__}: {reason})"))
        put(None)


def _name(audio: Any) -> str | None:
    if isinstance(audio, Mapping):
        audio = audio.get("path")
    return os.fsdecode(audio) if isinstance(audio, (str, os.PathLike)) else None


def _blocks(audio: Any, sampling_rate: int, watch: SilenceWatch) -> Iterator[np.ndarray]:
    if isinstance(audio, Mapping):
        samples = next((audio[key] for key in ("array", "raw") if audio.get(key) is not None), None)
        if samples is not None:
            yield _resampled(samples, _rate(audio.get("sampling_rate")), sampling_rate, watch)
            return
        found = ", ".join(map(str, audio)) or "nothing"
        audio = audio.get("path") if audio.get("bytes") is None else audio["bytes"]
        if audio is None:
            raise UnreadableAudioError(
                f"expected array or raw with their sampling_rate, bytes or path in the mapping, found {found}"
            )
    if hasattr(audio, "get_all_samples"):
        decoded = audio.get_all_samples()
        yield _resampled(decoded.data, _rate(decoded.sample_rate), sampling_rate, watch)
        return
    if not isinstance(audio, (str, os.PathLike, bytes)):
        hint = "; of an array give the sampling_rate too" if hasattr(audio, "ndim") else ""
        raise UnreadableAudioError(
            "expected a recording as a path, bytes, a decoder of torchcodec's, or a mapping with array and "
            f"sampling_rate, bytes or path, found {type(audio).__name__}{hint}"
        )
    if isinstance(audio, str) and audio.startswith(("http://", "https://")):
        audio = _fetch(audio)
    if not isinstance(audio, bytes) and "\0" in os.fsdecode(audio):
        raise UnreadableAudioError("cannot be opened (no path holds a null character)")
    yield from stream_audio(audio, sampling_rate, watch=watch)


def _resampled(samples: Any, rate: int, sampling_rate: int, watch: SilenceWatch) -> np.ndarray:
    mono = _mono(samples)
    watch.add(mono)
    return Resampler(rate, sampling_rate).push(mono, last=True)


def _fetch(address: str) -> bytes:
    try:
        with urlopen(address, timeout=FETCHING_SECONDS) as response:
            content: bytes = response.read()
    except OSError as error:
        raise UnreadableAudioError(f"cannot be fetched ({error})") from error
    return content


def _rate(value: Any) -> int:
    if value is None:
        raise UnreadableAudioError("expected the sampling_rate of the array beside it, in Hz, found none")
    try:
        rate = float(value)
    except (TypeError, ValueError) as error:
        raise UnreadableAudioError(f"expected a sampling_rate in Hz, found {value!r}") from error
    if not rate.is_integer():  # nor are NaN and infinity
        raise UnreadableAudioError(f"expected a sampling_rate of whole Hz, found {rate:g}")
    check_rate(int(rate))
    return int(rate)


def _mono(samples: Any) -> np.ndarray:
    if hasattr(samples, "detach"):  # a tensor of torch, which need not be imported here
        samples = samples.detach().cpu()
        samples = samples.float() if samples.is_floating_point() else samples
    samples = np.asarray(samples)
    if not np.issubdtype(samples.dtype, np.floating):
        raise UnreadableAudioError(
            f"an array must hold floating-point samples in [-1, 1], found {samples.dtype}; divide integers by their "
            "largest value first"
        )
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[0] <= MAX_AUDIO_CHANNELS):
        raise UnreadableAudioError(
            f"an array must have the shape (samples,) or (channels, samples) with at most {MAX_AUDIO_CHANNELS} "
            f"channels, found {samples.shape}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        mono = samples.astype(np.float32, copy=False) if samples.ndim == 1 else samples.mean(axis=0, dtype=np.float32)
    check_magnitude(float(np.abs(mono).max(initial=0.0)))
    return mono
