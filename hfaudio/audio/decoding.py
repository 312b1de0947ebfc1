"""Reading one recording: any format, rate and channel count, to mono at the rate that is asked for."""

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import numpy as np
import soundfile

from hfaudio.audio.file_kinds import GLANCE, OTHER_EXTENSIONS, name_content
from hfaudio.audio.opening import HIGHEST_RATE, LOWEST_RATE, is_possible_rate, open_audio, open_bytes
from hfaudio.audio.resampling import resample
from hfaudio.audio.truncation import is_truncated
from hfaudio.regular_files import NotRegularError

__all__ = [
    "DECODERS",
    "NOTHING_THERE",
    "NativeAudio",
    "UnreadableAudioError",
    "audio_seconds",
    "cannot_be_opened",
    "check_before_reading",
    "check_magnitude",
    "check_rate",
    "decode_audio",
    "first_line",
    "has_torchcodec",
    "mix_down",
    "read_audio",
    "why_unreadable",
]

DECODERS = ("auto", "soundfile", "torchcodec")
LARGEST_SAMPLE = 2.0**31
"""What a sample can be at most: an integer of 32 bits, as some programs write it into a file of floats. What is larger
comes from damage, and from about 1e14 on its power is more than a float32 holds."""
FULL_SCALE = 0.999
TORCHCODEC_PLACE = re.compile(r"^\w+, \S+\.cpp:\d+, ")  # before the message, where in its source it was raised
NOTHING_THERE = "No audio frames were decoded"  # torchcodec, of a span
INSTALL_TORCHCODEC = "to read it, install FFmpeg and run: pip install 'hfaudio[torchcodec]'"


class UnreadableAudioError(ValueError):
    """The recording is unusable; the message is the reason, without the file's name."""


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
        truncated: Whether the file ends before its own headers say so, or goes on where they say that it ends.
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
            raise cannot_be_opened(error) from error
        except soundfile.LibsndfileError as error:
            reasons["soundfile"] = error.error_string
    check_before_reading(source, decoder)
    if decoder == "torchcodec" or (decoder == "auto" and has_torchcodec()):
        try:
            return _read_with_torchcodec(source, start, end)
        except UnreadableAudioError:
            raise
        except OSError as error:
            raise cannot_be_opened(error) from error
        except (RuntimeError, ValueError) as error:
            reasons["torchcodec"] = str(error)
    raise UnreadableAudioError(why_unreadable(source, decoder, reasons))


def audio_seconds(source: str | os.PathLike[str] | bytes) -> float:
    """How long a recording is, in seconds, without decoding it; 0 where libsndfile cannot tell.

    Args:
        source: A path, or the bytes of a file.
    """
    try:
        with open_audio(source) as opened:
            seconds = opened.seconds()
    except (OSError, soundfile.LibsndfileError):
        return 0.0
    return seconds or 0.0


def check_before_reading(source: str | os.PathLike[str] | bytes, decoder: str) -> None:
    """Raises an UnreadableAudioError for what no decoder could read: an empty or missing file, a missing decoder."""
    if _size(source) == 0:
        raise UnreadableAudioError("the file is empty (0 bytes)")
    if decoder == "torchcodec" and not has_torchcodec():
        raise UnreadableAudioError(f"not read: torchcodec cannot be imported; {INSTALL_TORCHCODEC}")


def why_unreadable(source: str | os.PathLike[str] | bytes, decoder: str, reasons: Mapping[str, str]) -> str:
    """The reason, from what the file shows, or from those of each decoder that was tried."""
    with open_bytes(source) as file:
        kind = name_content(file.read(GLANCE))
    if kind is not None:
        return f"not readable as audio (it is {kind})"
    if decoder != "auto":
        return f"not readable by {decoder} ({first_line(reasons[decoder])})"
    only_torchcodec = not isinstance(source, bytes) and Path(source).suffix.lower() in OTHER_EXTENSIONS
    reason = reasons.get("torchcodec", reasons["soundfile"]) if only_torchcodec else reasons["soundfile"]
    hint = f"; {INSTALL_TORCHCODEC}" if only_torchcodec and not has_torchcodec() else ""
    return f"not readable as audio ({first_line(reason)}){hint}"


def _size(source: str | os.PathLike[str] | bytes) -> int:
    try:
        with open_bytes(source) as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise cannot_be_opened(error) from error


def cannot_be_opened(error: OSError) -> UnreadableAudioError:
    """The reason, from the system's."""
    if isinstance(error, NotRegularError):
        return UnreadableAudioError(str(error))
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
    with open_audio(source) as opened:
        rate = opened.samplerate
        check_rate(rate)
        blocks = opened.blocks(round((start or 0.0) * rate), None if end is None else round(end * rate))
        mix, peak, clipped = mix_down(blocks)
        if len(mix) == 0:
            raise UnreadableAudioError("holds no samples" + _span_words(start, end))
        return NativeAudio(mix, rate, opened.channels, opened.encoding, peak, clipped, opened.truncated)


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


def check_magnitude(peak: float) -> None:
    """Raises an UnreadableAudioError for a largest magnitude that no recording has."""
    if not math.isfinite(peak):
        raise UnreadableAudioError("holds NaN or infinite samples")
    if peak > LARGEST_SAMPLE:
        raise UnreadableAudioError(f"holds samples of {peak:.2g} times full scale, which no recording has")


def check_rate(sampling_rate: int) -> None:
    """Raises an UnreadableAudioError for a rate that only a damaged header would give."""
    if not is_possible_rate(sampling_rate):
        raise UnreadableAudioError(
            f"a sampling rate of {sampling_rate} Hz is outside {LOWEST_RATE} Hz to {HIGHEST_RATE} Hz"
        )


def _span_words(start: float | None, end: float | None) -> str:
    if start is None and end is None:
        return ""
    return f" from {start or 0.0:g} s to " + ("its end" if end is None else f"{end:g} s")


def mix_down(blocks: Iterable[np.ndarray]) -> tuple[np.ndarray, float, float]:
    """The mean of the channels, the largest magnitude, and the share of clipped frames."""
    mixes, peak, clipped = [], 0.0, 0
    for block in blocks:
        block_peak = max(float(block.max(initial=0.0)), -float(block.min(initial=0.0)))
        check_magnitude(block_peak)
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
