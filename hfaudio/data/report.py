"""What there is to know about a data set before training on it: the facts of the report."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc

from hfaudio.data.overlaps import Overlaps, find_overlaps
from hfaudio.data.preparation import PreparedAudio
from hfaudio.data.recordings import LeftOut
from hfaudio.data.suggestions import Suggestion, suggest_crop, suggest_flags
from hfaudio.data.suspicions import Suspicion, find_suspicions

__all__ = ["ClassFacts", "DatasetReport", "Distribution", "class_members", "describe_dataset"]

LENGTH_BINS = 30
LOGARITHMIC_FROM = 30.0  # times the shortest: with even bins, short recordings would all stand in one
LEVEL_STEP = 3.0  # dB
READ_AT_ONCE = 1000  # rows
MEASURED = ["seconds", "native_sampling_rate", "channels", "encoding", "peak", "level", "clipped", "silence"]


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """One class.

    Attributes:
        name: Of the class.
        recordings: How many have it.
        seconds: Length of all of them.
        median_seconds: Length of the usual one.
        median_level: RMS of the usual one, in dB below full scale.
        groups: Sources that they come from; None where no source is known.
    """

    name: str
    recordings: int
    seconds: float
    median_seconds: float
    median_level: float
    groups: int | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """How a measurement is distributed over the recordings.

    Attributes:
        minimum: The lowest value.
        lower: 10 % of the recordings lie below it.
        median: Half of them do.
        upper: 90 % of them do.
        maximum: The highest value.
        edges: Limits of the bins, one more than there are bins.
        counts: Recordings in each bin.
        logarithmic: The bins grow by the same factor, not by the same step.
    """

    minimum: float
    lower: float
    median: float
    upper: float
    maximum: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """All facts about a data set.

    Attributes:
        name: For people.
        multi_label: A recording can have any number of classes.
        sampling_rate: That all recordings were brought to, in Hz.
        found: Recordings that the source names.
        kept: Those that can be learned from; all that follows is about them.
        left_out: The others, and why.
        seconds: Length of all recordings as prepared, that is, after silence was cut out, where that was asked for.
        seconds_in_files: Length of all recordings before.
        crop_seconds: The suggested length of the training crops.
        classes: In the order of their indices.
        lengths: Of the recordings as prepared, in seconds.
        levels: RMS of the mono mix, in dB below full scale.
        silence: Share of the time below -60 dB, from 0 to 1.
        at_full_scale: Recordings whose peak reaches full scale.
        sampling_rates: Recordings at each rate in Hz, before they were resampled.
        channels: Recordings with each number of channels.
        encodings: Recordings in each encoding.
        suspicions: What somebody should look at.
        overlaps: Copies, near-duplicates, and what folds share.
        suggestions: Flags to train with.
    """

    name: str
    multi_label: bool
    sampling_rate: int
    found: int
    kept: int
    left_out: tuple[LeftOut, ...]
    seconds: float
    seconds_in_files: float
    crop_seconds: float
    classes: tuple[ClassFacts, ...]
    lengths: Distribution
    levels: Distribution
    silence: Distribution
    at_full_scale: int
    sampling_rates: dict[str, int]
    channels: dict[str, int]
    encodings: dict[str, int]
    suspicions: tuple[Suspicion, ...]
    overlaps: Overlaps
    suggestions: tuple[Suggestion, ...]

    @property
    def suspicious(self) -> int:
        """Recordings about which anything is suspicious."""
        return len({suspicion.file_name for suspicion in self.suspicions})

    @property
    def imbalance(self) -> float:
        """How many times as many recordings the largest class has as the smallest."""
        counts = [own.recordings for own in self.classes]
        return max(counts) / max(1, min(counts))

    @property
    def headline(self) -> str:
        """One line: how many recordings were found, kept, left out and are suspicious."""
        return (
            f"{self.found} recordings found, {self.kept} kept, {len(self.left_out)} left out, "
            f"{self.suspicious} suspicious"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as dictionaries, lists, text and numbers, for JSON."""
        return {**dataclasses.asdict(self), "suspicious": self.suspicious, "imbalance": self.imbalance}


def describe_dataset(audio: PreparedAudio, name: str) -> DatasetReport:
    """Computes the facts, from what was measured while decoding: no waveform is read.

    Args:
        audio: What was prepared.
        name: Of the data set, for people.
    """
    dataset = audio.dataset
    table = dataset.select_columns(MEASURED).with_format("numpy")[:]
    lengths = _prepared_lengths(dataset) / audio.sampling_rate
    silent = np.minimum(table["seconds"] * table["silence"], lengths)
    if lengths.sum() < 0.999 * table["seconds"].sum():
        silent = np.zeros_like(lengths)  # what was measured before the silence was cut out says nothing of the rest
    classes = tuple(_class_facts(audio, lengths, table["level"]))
    overlaps = find_overlaps(dataset)
    crop_seconds = suggest_crop(lengths)
    return DatasetReport(
        name=name,
        multi_label=audio.multi_label,
        sampling_rate=audio.sampling_rate,
        found=len(dataset) + len(audio.left_out),
        kept=len(dataset),
        left_out=audio.left_out,
        seconds=float(lengths.sum()),
        seconds_in_files=float(table["seconds"].sum()),
        crop_seconds=crop_seconds,
        classes=classes,
        lengths=_distribution(lengths, *_length_edges(lengths)),
        levels=_distribution(table["level"], _level_edges(table["level"])),
        silence=_distribution(table["silence"], np.linspace(0.0, 1.0, 21)),
        at_full_scale=int((table["peak"] >= 1.0 - 2.0**-15).sum()),
        sampling_rates=_tally(table["native_sampling_rate"]),
        channels=_tally(table["channels"]),
        encodings=_tally(table["encoding"]),
        suspicions=tuple(find_suspicions(dataset)),
        overlaps=overlaps,
        suggestions=tuple(
            suggest_flags(dataset, overlaps, crop_seconds, lengths, silent, [own.recordings for own in classes])
        ),
    )


def class_members(audio: PreparedAudio) -> list[list[int]]:
    """The indices of the recordings of each class, in the order of the classes."""
    members: list[list[int]] = [[] for _ in audio.class_names]
    multi_label = audio.multi_label
    for row, label in enumerate(audio.dataset["label"][:]):
        for index in label if multi_label else [label]:
            members[index].append(row)
    return members


def _prepared_lengths(dataset: datasets.Dataset) -> np.ndarray:
    """Samples of each waveform, `(recordings,)`, from their offsets alone."""
    batches = dataset.select_columns("waveform").with_format("arrow").iter(READ_AT_ONCE)
    return np.concatenate([pc.list_value_length(batch["waveform"]).to_numpy() for batch in batches])


def _class_facts(audio: PreparedAudio, lengths: np.ndarray, levels: np.ndarray) -> Iterable[ClassFacts]:
    groups = audio.dataset["group"][:]
    known = any(group is not None for group in groups)
    for name, rows in zip(audio.class_names, class_members(audio), strict=True):
        yield ClassFacts(
            name,
            recordings=len(rows),
            seconds=float(lengths[rows].sum()),
            median_seconds=float(np.median(lengths[rows])),
            median_level=float(np.median(levels[rows])),
            groups=len({groups[row] for row in rows} - {None}) if known else None,
        )


def _distribution(values: np.ndarray, edges: np.ndarray, logarithmic: bool = False) -> Distribution:
    counts, _ = np.histogram(values, edges)
    minimum, lower, median, upper, maximum = np.quantile(values.astype(np.float64), [0.0, 0.1, 0.5, 0.9, 1.0]).tolist()
    return Distribution(
        minimum, lower, median, upper, maximum, tuple(edges.tolist()), tuple(counts.tolist()), logarithmic
    )


def _length_edges(seconds: np.ndarray) -> tuple[np.ndarray, bool]:
    longest = float(seconds.max())
    shortest = max(float(seconds.min()), 1e-3)
    if longest > LOGARITHMIC_FROM * shortest:
        edges = np.geomspace(shortest, longest, LENGTH_BINS + 1)
        edges[0], edges[-1] = min(shortest, float(seconds.min())), longest  # rounding must leave nobody out
        return edges, True
    step = longest / LENGTH_BINS
    magnitude = 10.0 ** math.floor(math.log10(step))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= step)
    return np.arange(math.floor(longest / step) + 2) * step, False


def _level_edges(levels: np.ndarray) -> np.ndarray:
    lowest = math.floor(float(levels.min()) / LEVEL_STEP) * LEVEL_STEP
    return np.arange(lowest, max(float(levels.max()), -LEVEL_STEP) + LEVEL_STEP, LEVEL_STEP)


def _tally(values: np.ndarray) -> dict[str, int]:
    return {str(value): count for value, count in Counter(values.tolist()).most_common()}
