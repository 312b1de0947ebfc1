"""A typical recording of each class, to listen to and to look at."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hfaudio.data.excerpts import EXCERPT_SECONDS, Excerpt, make_excerpt, richest_span
from hfaudio.data.preparation import PreparedAudio
from hfaudio.data.report import class_members
from hfaudio.data.suspicions import find_suspicions

__all__ = ["Example", "make_example", "typical_recordings"]

LEVEL_TOLERANCE = 6.0  # dB that count as much as a length that differs by the factor e


@dataclass(frozen=True, slots=True)
class Example:
    """A recording that stands for a class.

    Attributes:
        class_name: What it is an example of.
        file_name: The recording.
        seconds: Length of the recording as prepared.
        level: RMS of the recording, in dB below full scale.
        excerpt: Its loudest five seconds.
    """

    class_name: str
    file_name: str
    seconds: float
    level: float
    excerpt: Excerpt


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
    # select_columns would take half a second where the table has many pieces.
    row = audio.dataset.with_format("numpy", columns=["file_name", "waveform", "level"])[index]
    rate, samples = audio.sampling_rate, row["waveform"].astype(np.float32)
    loudest = richest_span(np.square(samples, dtype=np.float64), round(EXCERPT_SECONDS * rate))
    return Example(
        class_name=class_name,
        file_name=str(row["file_name"]),
        seconds=len(samples) / rate,
        level=float(row["level"]),
        excerpt=make_excerpt(samples, rate, loudest),
    )
