"""Some seconds of a recording, to listen to and to look at."""

import io
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import soundfile
import torch
import torchaudio

from hfaudio.audio import resample

__all__ = [
    "EXCERPT_SECONDS",
    "Excerpt",
    "color_map",
    "encode_mp3",
    "encode_png",
    "log_mel_image",
    "make_excerpt",
    "richest_span",
]

EXCERPT_SECONDS = 5.0  # of longer recordings
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # Hz
PLAYED_PEAK = 0.7

WINDOW_SECONDS = 0.032
BANDS = 112
MOST_COLUMNS = 360
DYNAMIC_RANGE = 75.0  # dB; what lies lower is drawn black
COLORS = 96

# The magma colour map of matplotlib, at even steps; CC0, github.com/BIDS/colormap.
MAGMA = ["000004", "180f3d", "440f76", "721f81", "9e2f7f", "cd4071", "f1605d", "fd9668", "feca8d", "fcfdbf"]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a recording as a sound and a picture that browsers show.

    Attributes:
        start: Where it begins in the recording, in seconds.
        seconds: Its length.
        highest: The highest frequency of the spectrogram, in Hz.
        mp3: Its sound, the peak brought to -3 dB.
        png: Its log-mel spectrogram: time from left to right, mel bands (HTK scale) from 0 Hz at the bottom upwards.
    """

    start: float
    seconds: float
    highest: float
    mp3: bytes
    png: bytes


def make_excerpt(samples: np.ndarray, sampling_rate: int, start: int) -> Excerpt:
    """Makes the sound and the picture of five seconds of a recording, or of all where it is shorter.

    Args:
        samples: `(samples,)` in float32, the recording.
        sampling_rate: In Hz.
        start: The excerpt's first sample.
    """
    excerpt = samples[start : start + round(EXCERPT_SECONDS * sampling_rate)]
    return Excerpt(
        start=start / sampling_rate,
        seconds=len(excerpt) / sampling_rate,
        highest=sampling_rate / 2,
        mp3=encode_mp3(excerpt, sampling_rate),
        png=encode_png(log_mel_image(excerpt, sampling_rate), color_map(COLORS)),
    )


def richest_span(amounts: np.ndarray, length: int) -> int:
    """Where the span begins that holds most.

    Args:
        amounts: `(n,)`, at least 0, such as the energy of each sample.
        length: Of the span; 0 is returned where it is not shorter than the whole.
    """
    if len(amounts) <= length:
        return 0
    summed = np.concatenate([[0.0], np.cumsum(amounts, dtype=np.float64)])
    return int(np.argmax(summed[length:] - summed[:-length]))


def encode_mp3(samples: np.ndarray, sampling_rate: int) -> bytes:
    """Encodes a mono waveform, with its peak brought to -3 dB.

    Args:
        samples: `(samples,)`.
        sampling_rate: In Hz; one that MP3 does not know is resampled.
    """
    rate = next((known for known in MP3_RATES if known >= sampling_rate), MP3_RATES[-1])
    if rate != sampling_rate:
        samples = resample(samples, sampling_rate, rate)
    samples = samples * (PLAYED_PEAK / max(float(np.abs(samples).max()), 1e-6))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="MP3", subtype="MPEG_LAYER_III")
    return file.getvalue()


def log_mel_image(samples: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Draws a log-mel spectrogram.

    Args:
        samples: `(samples,)`.
        sampling_rate: In Hz.

    Returns:
        `(BANDS, columns)` in uint8, from 0 for what lies 75 dB or more below the loudest, to `COLORS - 1`; the lowest
        frequency is the last row.
    """
    window = max(16, round(WINDOW_SECONDS * sampling_rate))
    n_fft = 4 << (window - 1).bit_length()  # finer than the window resolves, so that low bands are not empty
    hop = max(1, math.ceil(len(samples) / MOST_COLUMNS))
    spectrum = torch.stft(
        torch.from_numpy(samples), n_fft, hop, window, torch.hann_window(window), pad_mode="constant",
        return_complex=True,
    )  # fmt: skip
    filters = torchaudio.functional.melscale_fbanks(n_fft // 2 + 1, 0.0, sampling_rate / 2, BANDS, sampling_rate)
    power = (filters.T @ spectrum.abs().square()).numpy()
    levels = 10.0 * np.log10(np.maximum(power / max(float(power.max()), 1e-20), 1e-12))
    scaled = np.clip(1.0 + levels / DYNAMIC_RANGE, 0.0, 1.0) * (COLORS - 1)
    return np.ascontiguousarray(np.rint(scaled).astype(np.uint8)[::-1])


def encode_png(image: np.ndarray, palette: np.ndarray) -> bytes:
    """Encodes a picture with a palette.

    Args:
        image: `(height, width)` in uint8, indices of colours.
        palette: `(colors, 3)` in uint8.
    """
    height, width = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    rows = np.pad(image, ((0, 0), (1, 0)))  # each row begins with its filter, 0 for none
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", header),
            (b"PLTE", palette.tobytes()),
            (b"IDAT", zlib.compress(rows.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


def color_map(colors: int) -> np.ndarray:
    """The magma colour map, from black over purple to a pale yellow.

    Args:
        colors: How many steps of it.

    Returns:
        `(colors, 3)` in uint8.
    """
    magma = np.array([list(bytes.fromhex(color)) for color in MAGMA])
    places = np.linspace(0.0, len(magma) - 1.0, colors)
    steps = [np.interp(places, np.arange(len(magma)), channel) for channel in magma.T]
    return np.stack(steps, axis=1).round().astype(np.uint8)
