"""Training on mixtures of two recordings, with the share of each as the target."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hfaudio.data import Crops, ExampleKey, StreamedTable

__all__ = ["MIXINGS", "MixedCrops", "MixedStream", "Mixing", "mix_between_classes"]

MIXINGS = ("none", "between_class", "mixup", "mixup_features")

MIX_STREAM = 2  # the crop is drawn from the seed alone, the masks from the seed and 1
STREAM_MEMORY = 16  # examples of a stream among which one of another class is looked for
LEVEL_WINDOW = 0.1  # seconds
QUIETEST = 1e-5  # RMS, -100 dB


def mix_between_classes(one: np.ndarray, other: np.ndarray, ratio: float, sampling_rate: int) -> np.ndarray:
    """Mixes two waveforms so that `ratio` is the share of the first in what is heard, whatever their levels.

    As between-class learning has it (Tokozume et al. 2018, arXiv:1711.10282, eq. 2 to 4), but for the level: here the
    loudest tenth of a second by its RMS, there by its A-weighted pressure.

    Args:
        one: `(samples,)`.
        other: `(samples,)`.
        ratio: From 0 to 1.
        sampling_rate: In Hz.

    Returns:
        `(samples,)` in float32, as loud as one of them alone.
    """
    louder = loudest_rms(one, sampling_rate) / loudest_rms(other, sampling_rate)
    share = 1.0 / (1.0 + louder * (1.0 - ratio) / max(ratio, 1e-6))
    mixed: np.ndarray = (share * one + (1.0 - share) * other) / np.hypot(share, 1.0 - share)
    return mixed.astype(np.float32, copy=False)


def loudest_rms(samples: np.ndarray, sampling_rate: int) -> float:
    """The RMS of the loudest window of 0.1 seconds of `(samples,)`, at least -100 dB."""
    window = min(round(LEVEL_WINDOW * sampling_rate), len(samples))
    hop = max(1, window // 2)
    windows = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
    return max(float(np.sqrt(np.einsum("ij,ij->i", windows, windows).max() / window)), QUIETEST)


@dataclass(frozen=True)
class Mixing:
    """How two training examples become one.

    Attributes:
        kind: `between_class` (waveforms of different classes, by what is heard of them), `mixup` (waveforms of any
            two, by their samples; Zhang et al. 2018, arXiv:1710.09412) or `mixup_features` (the same with features,
            which the collator does).
        alpha: Shares are drawn from Beta(alpha, alpha); 1 makes all equally likely.
        probability: Of an example being mixed at all.

    Raises:
        ValueError: A value is none of these, or lies outside its bounds.
    """

    kind: str = "between_class"
    alpha: float = 1.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in MIXINGS[1:]:
            raise ValueError(f"kind must be one of {', '.join(MIXINGS[1:])}, found {self.kind!r}.")
        if not 0.0 < self.alpha < np.inf:
            raise ValueError(f"alpha must be above 0, found {self.alpha!r}.")
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must be from 0 to 1, found {self.probability!r}.")

    def mix(
        self, one: dict[str, Any], other: dict[str, Any], rng: np.random.Generator, sampling_rate: int
    ) -> dict[str, Any]:
        """Makes one training example of two.

        Args:
            one: As `Crops` has it, with soft `labels (num_labels,)`; its seed stays.
            other: Another.
            rng: Where the share comes from.
            sampling_rate: In Hz.

        Returns:
            The example; of `mixup_features` with `partner`, the other waveform, and `ratio`, the share of the first.
        """
        ratio = float(rng.beta(self.alpha, self.alpha))
        labels = np.float32(ratio) * one["labels"] + np.float32(1.0 - ratio) * other["labels"]
        mixed = {**one, "labels": labels}
        first, second = _of_one_length(one["waveform"], other["waveform"], rng)
        if self.kind == "mixup_features":
            return {**mixed, "waveform": first, "partner": second, "ratio": ratio}
        if self.kind == "mixup":
            return {**mixed, "waveform": np.float32(ratio) * first + np.float32(1.0 - ratio) * second}
        return {**mixed, "waveform": mix_between_classes(first, second, ratio, sampling_rate)}


class MixedCrops(torch.utils.data.Dataset[dict[str, Any]]):
    """Training examples of which each is a mixture of two crops.

    The partner and the share follow from the example's seed alone, so that neither the batch nor the number of
    workers, processes or accumulated batches changes an example.

    Args:
        crops: Where both come from.
        mixing: How they are mixed.
        num_labels: Number of classes.
        sampling_rate: In Hz.
    """

    def __init__(self, crops: Crops, mixing: Mixing, num_labels: int, sampling_rate: int) -> None:
        self.crops = crops
        self.mixing = mixing
        self.num_labels = num_labels
        self.sampling_rate = sampling_rate
        _, self._class_of = np.unique(crops.targets, axis=0, return_inverse=True)
        self._by_class = np.argsort(self._class_of, kind="stable")
        self._ends = np.cumsum(np.bincount(self._class_of))

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        """Returns an example of `Crops` with soft `labels (num_labels,)` in float32."""
        index, seed, progress = ExampleKey(*key)
        rng = np.random.default_rng([seed, MIX_STREAM])
        example = soften(self.crops[key], self.num_labels)
        if rng.random() >= self.mixing.probability:
            return example
        partner = self._draw_partner(index, rng)
        other = self.crops[ExampleKey(partner, int(rng.integers(2**32)), progress)]
        return self.mixing.mix(example, soften(other, self.num_labels), rng, self.sampling_rate)

    def _draw_partner(self, index: int, rng: np.random.Generator) -> int:
        """Any recording; between classes one of another class, or of other classes where it has several."""
        own = int(self._class_of[index])
        first, past = (int(self._ends[own - 1]) if own else 0), int(self._ends[own])
        others = len(self) - (past - first)
        if self.mixing.kind != "between_class" or others == 0:
            return int(rng.integers(len(self)))
        place = int(rng.integers(others))  # in the order of the classes, without its own
        return int(self._by_class[place if place < first else place + past - first])


class MixedStream(torch.utils.data.IterableDataset[dict[str, Any]]):
    """Streamed training examples, each mixed with the one that came before it.

    Between classes it is the last one of another class, unless the stream had none for a while.

    Args:
        stream: Where they come from.
        mixing: How they are mixed.
        num_labels: Number of classes.
        sampling_rate: In Hz.
    """

    def __init__(self, stream: StreamedTable, mixing: Mixing, num_labels: int, sampling_rate: int) -> None:
        self.stream = stream
        self.mixing = mixing
        self.num_labels = num_labels
        self.sampling_rate = sampling_rate

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yields examples of `StreamedTable` with soft `labels (num_labels,)` in float32."""
        before: deque[dict[str, Any]] = deque(maxlen=STREAM_MEMORY)
        for example in self.stream:
            example = soften(example, self.num_labels)
            rng = np.random.default_rng([example["seed"], MIX_STREAM])
            if not before or rng.random() >= self.mixing.probability:
                yield example
            else:
                yield self.mixing.mix(example, self._partner(example, before), rng, self.sampling_rate)
            before.appendleft(example)

    def _partner(self, example: dict[str, Any], before: Sequence[dict[str, Any]]) -> dict[str, Any]:
        others = (other for other in before if not np.array_equal(other["labels"], example["labels"]))
        return next(others, before[0]) if self.mixing.kind == "between_class" else before[0]


def soften(example: dict[str, Any], num_labels: int) -> dict[str, Any]:
    """The example with its class, or its classes, as a float32 vector `(num_labels,)`."""
    labels = np.asarray(example["labels"])
    if labels.ndim == 1:
        return example
    soft = np.zeros(num_labels, np.float32)
    soft[labels] = 1.0
    return {**example, "labels": soft}


def _of_one_length(one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two waveforms, the shorter with silence around it, at a random place of the longer."""
    length = max(len(one), len(other))
    return _placed(one, length, rng), _placed(other, length, rng)


def _placed(samples: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    missing = length - len(samples)
    if missing == 0:
        return samples
    before = int(rng.integers(missing + 1))
    return np.pad(samples, (before, missing - before))
