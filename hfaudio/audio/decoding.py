"""Reading one recording: any format, rate and channel count, to mono at the rate that is asked for."""

import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import numpy as np
import soundfile

from hfaudio.audio.mp3_length import with_frame_count
from hfaudio.audio.resampling import resample
from hfaudio.audio.truncation import is_truncated

__all__ = [
    "AUDIO_EXTENSIONS",
    "DECODERS",
    "NOTHING_THERE",
    "OTHER_EXTENSIONS",
    "READABLE_EXTENSIONS",
    "NativeAudio",
    "UnreadableAudioError",
    "check_before_reading",
    "check_rate",
    "decode_audio",
    "first_line",
    "has_torchcodec",
    "mix_down",
    "open_soundfile",
    "read_audio",
    "read_blocks",
    "why_unreadable",
]

READABLE_EXTENSIONS = (".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav")
OTHER_EXTENSIONS = (".aac", ".amr", ".m4a", ".mka", ".mp4", ".webm", ".wma")
AUDIO_EXTENSIONS = frozenset(READABLE_EXTENSIONS + OTHER_EXTENSIONS)
"""Endings of recordings. Those that only torchcodec reads are listed too, so that they are left out by name."""

DECODERS = ("auto", "soundfile", "torchcodec")
BLOCK_SAMPLES = 1 << 20  # so that a long file, or one whose header lies, is never held with all its channels
PREROLL_FRAMES = {"MPEG_LAYER_III": 24_576, "OPUS": 3_840}
"""What a decoder must have read before its samples are right. An MP3 frame borrows bits from up to 511 bytes of those
before it, which at 8 kbit/s are 23 frames of 576 samples; Opus settles within 80 ms (RFC 7845, section 4.2)."""
LOWEST_RATE, HIGHEST_RATE = 1_000, 2_000_000  # Hz; elephants and bats lie within, the rates of damaged headers do not
FULL_SCALE = 0.999
UNKNOWN_FRAMES = 1 << 62  # libsndfile tells the largest 64-bit number of a FLAC stream without a length
TORCHCODEC_PLACE = re.compile(r"^\w+, \S+\.cpp:\d+, ")  # before the message, where in its source it was raised
NOTHING_THERE = "No audio frames were decoded"  # torchcodec, of a span
INSTALL_TORCHCODEC = "to read it, install FFmpeg and run: pip install 'hfaudio[torchcodec]'"


class UnreadableAudioError(ValueError):
    """A recording that nothing can be learned from; the message is the reason, without the file's name."""


@dataclass(frozen=True, slots=True)
class NativeAudio:
    """A recording as its file has it, but for the channels, which are averaged.

    Attributes:
        samples: `(frames,)`, float32.
        sampling_rate: In Hz.
        channels: Of the file.
        encoding: Container and sample format, such as `WAV PCM_16`.
        peak: The largest magnitude in any channel; 1.0 is full scale.
        clipped: Share of the frames in which three samples on end of some channel stand at full scale.
        truncated: Whether the file ends before its own headers say so.
    """

    samples: np.ndarray
    sampling_rate: int
    channels: int
    encoding: str
    peak: float
    clipped: float
    truncated: bool


def decode_audio(
    source: str | os.PathLike[str] | bytes,
    sampling_rate: int,
    decoder: str = "auto",
    start: float | None = None,
    end: float | None = None,
) -> np.ndarray:
    """Reads a recording as a mono waveform.

    Args:
        source: A path, or the bytes of a file.
        sampling_rate: The rate wanted, in Hz.
        decoder: One of `DECODERS`; see `read_audio`.
        start: Where to begin, in seconds.
        end: Where to end, in seconds.

    Returns:
        `(samples,)` in float32: the mean of the channels, resampled.

    Raises:
        UnreadableAudioError: Nothing can be learned from it; see `read_audio`.
    """
    audio = read_audio(source, decoder, start, end)
    return resample(audio.samples, audio.sampling_rate, sampling_rate)


def read_audio(
    source: str | os.PathLike[str] | bytes,
    decoder: str = "auto",
    start: float | None = None,
    end: float | None = None,
) -> NativeAudio:
    """Reads a recording, or the span of it that is asked for and nothing else, at its own rate.

    A recording that is damaged from some place on is read up to there, and marked as truncated.

    Args:
        source: A path, or the bytes of a file.
        decoder: `soundfile` (libsndfile: WAV, FLAC, Ogg, MP3, AIFF and more), `torchcodec` (FFmpeg: nearly anything),
            or `auto`, which takes soundfile where it can and torchcodec, if it is installed, for the rest.
        start: Where to begin, in seconds.
        end: Where to end, in seconds.

    Raises:
        UnreadableAudioError: It is empty, is no audio, holds no samples in that span, or NaN or infinite ones.
    """
    reasons: dict[str, str] = {}
    if decoder != "torchcodec":
        try:
            return _read_with_soundfile(source, start, end)
        except OSError as error:  # of a file that vanishes meanwhile
            raise _cannot_be_opened(error) from error
        # soundfile wants to be told the rate of a file that is named `.raw`, by a TypeError.
        except (soundfile.LibsndfileError, TypeError) as error:
            reasons["soundfile"] = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    check_before_reading(source, decoder)
    if decoder == "torchcodec" or (decoder == "auto" and has_torchcodec()):
        try:
            return _read_with_torchcodec(source, start, end)
        except UnreadableAudioError:
            raise
        except OSError as error:
            raise _cannot_be_opened(error) from error
        except (RuntimeError, ValueError) as error:
            reasons["torchcodec"] = str(error)
    raise UnreadableAudioError(why_unreadable(source, decoder, reasons))


def check_before_reading(source: str | os.PathLike[str] | bytes, decoder: str) -> None:
    """Raises an UnreadableAudioError for what no decoder could read: an empty or missing file, a missing decoder."""
    if _size(source) == 0:
        raise UnreadableAudioError("the file is empty (0 bytes)")
    if decoder == "torchcodec" and not has_torchcodec():
        raise UnreadableAudioError(f"not read: torchcodec cannot be imported; {INSTALL_TORCHCODEC}")


def why_unreadable(source: str | os.PathLike[str] | bytes, decoder: str, reasons: Mapping[str, str]) -> str:
    """The reason, from those of each decoder that was tried."""
    if decoder != "auto":
        return f"not readable by {decoder} ({first_line(reasons[decoder])})"
    only_torchcodec = not isinstance(source, bytes) and Path(source).suffix.lower() in OTHER_EXTENSIONS
    reason = reasons.get("torchcodec", reasons["soundfile"]) if only_torchcodec else reasons["soundfile"]
    hint = f"; {INSTALL_TORCHCODEC}" if only_torchcodec and not has_torchcodec() else ""
    return f"not readable as audio ({first_line(reason)}){hint}"


def _size(source: str | os.PathLike[str] | bytes) -> int:
    if isinstance(source, bytes):
        return len(source)
    try:
        with open(source, "rb") as file:
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise _cannot_be_opened(error) from error


def _cannot_be_opened(error: OSError) -> UnreadableAudioError:
    return UnreadableAudioError(f"cannot be opened ({error.strerror})")


def first_line(reason: str) -> str:
    """What a decoder has to say, in one line."""
    line = next(iter(reason.strip().splitlines()), "no reason given").strip()
    return TORCHCODEC_PLACE.sub("", line)


@lru_cache(maxsize=1)
def has_torchcodec() -> bool:
    """Whether torchcodec and the FFmpeg libraries that it needs can be imported."""
    try:
        torchcodec = import_module("torchcodec")
    except (ImportError, OSError, RuntimeError):  # the last two: releases before 0.17 that find no FFmpeg
        return False
    return getattr(torchcodec, "ffmpeg_major_version", 0) is not None  # None: 0.17 finds no FFmpeg


def _read_with_soundfile(
    source: str | os.PathLike[str] | bytes, start: float | None, end: float | None
) -> NativeAudio:
    with open_soundfile(source) as (file, length_known):
        check_rate(file.samplerate)
        first, past = _span(start, end, file.samplerate, file.frames)
        mix, peak, clipped = mix_down(read_blocks(file, first, past))
        if len(mix) == 0:
            raise UnreadableAudioError("holds no samples" + _span_words(start, end))
        return NativeAudio(
            mix,
            file.samplerate,
            file.channels,
            f"{file.format} {file.subtype}",
            peak,
            clipped,
            is_truncated(source, past - first, len(mix) if length_known else None),
        )


class _ForwardFile(soundfile.SoundFile):
    """A file that is read from one place on; of others soundfile seeks after every read, and decoders settle anew."""

    def seekable(self) -> bool:
        return False


@contextmanager
def open_soundfile(source: str | os.PathLike[str] | bytes) -> Iterator[tuple[soundfile.SoundFile, bool]]:
    """A file, and whether libsndfile knows its length."""
    # As bytes a name need not be UTF-8.
    with _ForwardFile(io.BytesIO(source) if isinstance(source, bytes) else os.fsencode(source)) as file:
        counted = with_frame_count(source, file.samplerate) if file.format == "MP3" else None
        if counted is None:
            yield file, file.frames < UNKNOWN_FRAMES
            return
    with _ForwardFile(io.BytesIO(counted)) as file:
        yield file, False


def read_blocks(file: soundfile.SoundFile, first: int, past: int) -> Iterator[np.ndarray]:
    """The samples from one frame to another, `(frames, channels)` in float32, in blocks."""
    position = first - min(first, PREROLL_FRAMES.get(file.subtype, 0))
    if position > 0:
        file.seek(position)
    while position < past:
        frames = min(past - position, max(1, BLOCK_SAMPLES // file.channels))
        block = np.empty((frames, file.channels), np.float32)
        if file.format == "FLAC":
            block[:, 0] = np.nan
        try:
            block = block[: file.buffer_read_into(block, "float32")]
        except soundfile.LibsndfileError:
            if file.format != "FLAC":
                raise
            # A stream that was cut off, or does not tell its length: what came before the error is good.
            past = position
            block = block[: frames - np.count_nonzero(np.isnan(block[:, 0]))]
            if position == first and len(block) == 0:
                raise
        if len(block) == 0:
            return
        yield block[max(0, first - position) :]
        position += len(block)


def _read_with_torchcodec(
    source: str | os.PathLike[str] | bytes, start: float | None, end: float | None
) -> NativeAudio:
    decoder_class = import_module("torchcodec.decoders").AudioDecoder
    decoder = decoder_class(source if isinstance(source, bytes) else os.fspath(source))
    try:
        samples = decoder.get_samples_played_in_range(start or 0.0, end)
    except RuntimeError as error:
        if NOTHING_THERE in str(error):
            raise UnreadableAudioError("holds no samples" + _span_words(start, end)) from error
        raise
    check_rate(samples.sample_rate)
    mix, peak, clipped = mix_down([samples.data.t().numpy()])
    if len(mix) == 0:
        raise UnreadableAudioError("holds no samples" + _span_words(start, end))
    return NativeAudio(
        mix,
        samples.sample_rate,
        samples.data.shape[0],
        decoder.metadata.codec or "unknown",
        peak,
        clipped,
        is_truncated(source, len(mix), None),
    )


def check_rate(sampling_rate: int) -> None:
    """Raises an UnreadableAudioError for a rate that only a damaged header would give."""
    if not LOWEST_RATE <= sampling_rate <= HIGHEST_RATE:
        raise UnreadableAudioError(
            f"a sampling rate of {sampling_rate} Hz is outside {LOWEST_RATE} Hz to {HIGHEST_RATE} Hz"
        )


def _span(start: float | None, end: float | None, rate: int, frames: int) -> tuple[int, int]:
    first = min(round((start or 0.0) * rate), frames)
    past = frames if end is None else min(round(end * rate), frames)
    return first, max(first, past)


def _span_words(start: float | None, end: float | None) -> str:
    if start is None and end is None:
        return ""
    return f" from {start or 0.0:g} s to " + ("its end" if end is None else f"{end:g} s")


def mix_down(blocks: Iterable[np.ndarray]) -> tuple[np.ndarray, float, float]:
    """The mean of the channels, the largest magnitude, and the share of clipped frames."""
    mixes, peak, clipped = [], 0.0, 0
    for block in blocks:
        block_peak = max(float(block.max(initial=0.0)), -float(block.min(initial=0.0)))
        if not math.isfinite(block_peak):
            raise UnreadableAudioError("holds NaN or infinite samples")
        peak = max(peak, block_peak)
        if block_peak >= FULL_SCALE:
            full = np.abs(block) >= FULL_SCALE
            clipped += int(np.count_nonzero((full[:-2] & full[1:-1] & full[2:]).any(axis=1)))
        channels = block.shape[1]
        mixes.append(block[:, 0] if channels == 1 else block @ np.full(channels, 1.0 / channels, np.float32))
    if not mixes:
        return np.empty(0, np.float32), 0.0, 0.0
    mix = mixes[0] if len(mixes) == 1 else np.concatenate(mixes)
    return mix, peak, clipped / max(len(mix), 1)
