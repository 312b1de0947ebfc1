"""A typical recording of each class, to listen to and to look at."""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile
import torch
import torchaudio

from hfaudio.audio import resample
from hfaudio.data.preparation import PreparedAudio
from hfaudio.data.report import class_members
from hfaudio.data.suspicions import find_suspicions

__all__ = ["Example", "encode_mp3", "encode_png", "log_mel_image", "make_example", "typical_recordings"]

EXCERPT_SECONDS = 5.0
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # Hz
PLAYED_PEAK = 0.7

WINDOW_SECONDS = 0.032
BANDS = 112
MOST_COLUMNS = 360
DYNAMIC_RANGE = 75.0  # dB; what lies lower is drawn black
COLORS = 96
LEVEL_TOLERANCE = 6.0  # dB that count as much as a length that differs by the factor e

# The magma colour map of matplotlib, at even steps; CC0, github.com/BIDS/colormap.
MAGMA = ["000004", "180f3d", "440f76", "721f81", "9e2f7f", "cd4071", "f1605d", "fd9668", "feca8d", "fcfdbf"]


@dataclass(frozen=True, slots=True)
class Example:
    """An excerpt of a recording.

    Attributes:
        class_name: What it is an example of.
        file_name: The recording.
        seconds: Length of the recording as prepared.
        level: RMS of the recording, in dB below full scale.
        start: Where the excerpt begins in it, in seconds.
        excerpt_seconds: Length of the excerpt.
        highest: The highest frequency of the spectrogram, in Hz.
        mp3: The excerpt, its peak brought to -3 dB.
        png: Its log-mel spectrogram: time from left to right, mel bands (HTK scale) from 0 Hz at the bottom upwards.
    """

    class_name: str
    file_name: str
    seconds: float
    level: float
    start: float
    excerpt_seconds: float
    highest: float
    mp3: bytes
    png: bytes


def typical_recordings(audio: PreparedAudio, most: int) -> Iterator[tuple[str, int]]:
    """Picks a recording of each class whose length and level are nearest to the medians of its class.

    Suspicious recordings are picked only where a class has no other.

    Args:
        audio: What was prepared.
        most: Classes at most; the largest ones are taken.

    Yields:
        The class, and the index of the recording.
    """
    dataset = audio.dataset
    table = dataset.select_columns(["seconds", "level"]).with_format("numpy")[:]
    odd = {suspicion.file_name for suspicion in find_suspicions(dataset)}
    suspicious = np.array([name in odd for name in dataset["file_name"][:]])
    names, members = audio.class_names, class_members(audio)
    largest = sorted(range(len(members)), key=lambda index: -len(members[index]))[:most]
    for index in sorted(largest):
        rows = np.array(members[index])
        seconds, level = np.log(table["seconds"][rows]), table["level"][rows]
        distance = np.abs(seconds - np.median(seconds)) + np.abs(level - np.median(level)) / LEVEL_TOLERANCE
        yield names[index], int(rows[np.lexsort((distance, suspicious[rows]))[0]])


def make_example(audio: PreparedAudio, class_name: str, index: int) -> Example:
    """Reads one recording and makes the picture and the sound of its loudest five seconds.

    Args:
        audio: What was prepared.
        class_name: What the recording is an example of.
        index: Of the recording.
    """
    row = audio.dataset.select_columns(["file_name", "waveform", "level"]).with_format("numpy")[index]
    rate = audio.sampling_rate
    start, excerpt = _loudest(row["waveform"].astype(np.float32), round(EXCERPT_SECONDS * rate))
    return Example(
        class_name=class_name,
        file_name=str(row["file_name"]),
        seconds=len(row["waveform"]) / rate,
        level=float(row["level"]),
        start=start / rate,
        excerpt_seconds=len(excerpt) / rate,
        highest=rate / 2,
        mp3=encode_mp3(excerpt, rate),
        png=encode_png(log_mel_image(excerpt, rate), _palette()),
    )


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
            (b"PLTE", palette.astype(np.uint8).tobytes()),
            (b"IDAT", zlib.compress(rows.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


def _loudest(samples: np.ndarray, length: int) -> tuple[int, np.ndarray]:
    """Where the loudest excerpt begins, and the excerpt."""
    if len(samples) <= length:
        return 0, samples
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return start, samples[start : start + length]


def _palette() -> np.ndarray:
    colors = np.array([list(bytes.fromhex(color)) for color in MAGMA])
    places = np.linspace(0.0, len(colors) - 1.0, COLORS)
    return np.stack([np.interp(places, np.arange(len(colors)), channel) for channel in colors.T], axis=1).round()
