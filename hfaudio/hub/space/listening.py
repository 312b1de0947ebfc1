"""What a model hears in a recording: in the whole of it, and from window to window."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from transformers.audio_utils import mel_filter_bank

__all__ = [
    "SILENT",
    "UNKNOWN",
    "Classifier",
    "Heard",
    "classify",
    "judge",
    "listen",
    "read_recording",
    "window_starts",
]

Classifier = Any  # the pipeline that comes with the model, whose class is known when it is loaded
UNKNOWN = "unknown"
SILENT = "wholly silent"

MOST_MINUTES = 30
MOST_WINDOWS = 200  # further apart in longer recordings
BATCH_SIZE = 8

BANDS = 96
MOST_COLUMNS = 900
FRAME_SECONDS = 0.05
LOWEST_POWER = 1e-10


@dataclass(frozen=True)
class Heard:
    """What a model hears in a recording.

    Attributes:
        seconds: Length of the recording.
        highest: Half its sampling rate, in Hz.
        spectrogram: `(bands, columns)` in dB, bands from 0 Hz to the highest frequency, even on the HTK mel scale.
        scores: The probability of each class in the whole recording, the most probable first; empty of silence.
        window_middles: `(windows,)`, in seconds.
        window_scores: The probability of each class in each window, `(windows,)`; 0 in those that are silent.
    """

    seconds: float
    highest: float
    spectrogram: np.ndarray
    scores: dict[str, float]
    window_middles: np.ndarray
    window_scores: dict[str, np.ndarray]


def read_recording(path: str) -> tuple[np.ndarray, int]:
    """Reads a file as a mono waveform.

    Args:
        path: What soundfile reads, such as WAV, FLAC, Ogg or MP3.

    Returns:
        `(samples,)` in float32, and the sampling rate in Hz.

    Raises:
        ValueError: It cannot be read, holds nothing, or is longer than `MOST_MINUTES`.
    """
    name = Path(path).name
    try:
        with open(path, "rb") as opened, soundfile.SoundFile(opened) as file:
            rate = file.samplerate
            minutes = file.frames / rate / 60
            if minutes > MOST_MINUTES:
                raise ValueError(
                    f"{name} is {minutes:.0f} minutes long, and {MOST_MINUTES} are read here at most: cut it."
                )
            blocks = [block.mean(axis=1) for block in file.blocks(2**16, dtype="float32", always_2d=True)]
    # TypeError: soundfile wants to be told the rate of a file that is named `.raw`.
    except (soundfile.LibsndfileError, TypeError) as error:
        reason = getattr(error, "error_string", "it has no header").rstrip(".")
        raise ValueError(f"{name} cannot be read as audio ({reason}): use WAV, FLAC, Ogg or MP3.") from error
    if not blocks:
        raise ValueError(f"{name} holds no sound: not a single sample.")
    return np.concatenate(blocks), rate


def classify(classifier: Classifier, samples: np.ndarray, rate: int) -> dict[str, float]:
    """The probability of each class in a waveform, the most probable first; none of digital silence.

    Args:
        classifier: The pipeline that comes with the model.
        samples: `(samples,)`.
        rate: In Hz.

    Raises:
        ValueError: The pipeline refuses the waveform.
    """
    return _scores(classifier({"array": samples, "sampling_rate": rate}, batch_size=BATCH_SIZE))


def listen(classifier: Classifier, path: str) -> Heard:
    """Hears a recording as a whole and in windows of the length that the model was trained on.

    Args:
        classifier: The pipeline that comes with the model.
        path: Of the recording.

    Raises:
        ValueError: The recording cannot be read.
    """
    samples, rate = read_recording(path)
    scores = classify(classifier, samples, rate)
    window = round(classifier.feature_extractor.crop_seconds * rate)
    starts = window_starts(len(samples), window)
    windows = [{"array": samples[start : start + window], "sampling_rate": rate} for start in starts]
    answers = [_scores(answer) for answer in classifier(windows, batch_size=BATCH_SIZE)]
    return Heard(
        seconds=len(samples) / rate,
        highest=rate / 2,
        spectrogram=_spectrogram(samples, rate),
        scores=scores,
        window_middles=(starts + min(window, len(samples)) / 2) / rate,
        window_scores={label: np.array([answer.get(label, 0.0) for answer in answers]) for label in scores},
    )


def judge(scores: dict[str, float], threshold: float, multi_label: bool) -> str:
    """The class of a recording, or its classes; `unknown` if none is as probable as a threshold; or that it is silent.

    Args:
        scores: The most probable first; empty of silence.
        threshold: From 0 to 1.
        multi_label: Whether a recording can have several classes.
    """
    if not scores:
        return SILENT
    labels = [label for label, score in scores.items() if score >= threshold]
    return ", ".join(labels if multi_label else labels[:1]) or UNKNOWN


def window_starts(samples: int, window: int) -> np.ndarray:
    """The first samples of windows a quarter of a window apart, from the first sample to the last.

    Args:
        samples: Length of the recording.
        window: Length of a window.

    Returns:
        `(windows,)`, at most `MOST_WINDOWS`; one where the recording is no longer than a window.
    """
    last = max(samples - window, 0)
    number = min(1 + math.ceil(4 * last / window), MOST_WINDOWS)
    return np.linspace(0, last, number).round().astype(int)


def _scores(answer: list[dict[str, float]]) -> dict[str, float]:
    return {str(one["label"]): one["score"] for one in answer}


def _spectrogram(samples: np.ndarray, rate: int) -> np.ndarray:
    frame = round(FRAME_SECONDS * rate)
    n_fft = 2 ** math.ceil(math.log2(2 * frame))  # twice the frame, so that the lowest bands hold a bin
    padded = np.pad(samples, frame // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[:: max(frame // 5, 1)]
    # Of long recordings many frames share a column; they are transformed a column at a time.
    columns = np.array_split(frames, min(len(frames), MOST_COLUMNS))
    window = np.hanning(frame)
    power = np.stack([np.mean(np.abs(np.fft.rfft(column * window, n_fft)) ** 2, axis=0) for column in columns], axis=1)
    filters = mel_filter_bank(n_fft // 2 + 1, BANDS, 0.0, rate / 2, rate, mel_scale="htk")
    return 10 * np.log10(filters.T @ power + LOWEST_POWER)
