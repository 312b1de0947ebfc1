"""The recordings that a classifier is most wrong about, to listen to and to look at."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hfaudio.data.excerpts import EXCERPT_SECONDS, Excerpt, color_map, encode_png, make_excerpt, richest_span
from hfaudio.evaluation.interpretation import Interpretation

__all__ = ["AudibleError", "Evidence", "Score", "audible_errors"]

SCORES = 3  # the likeliest classes, to which those of the recording are added
COLORS = 96

Evidence = Callable[[np.ndarray, int], np.ndarray]
"""Maps a waveform `(samples,)` and a class to what speaks for the class, `(frames,)`, from its first to its last."""


@dataclass(frozen=True, slots=True)
class Score:
    """The probability that was given to a class.

    Attributes:
        class_name: The class.
        probability: From 0 to 1.
        right: Whether the recording has the class.
    """

    class_name: str
    probability: float
    right: bool


@dataclass(frozen=True, slots=True)
class AudibleError:
    """A recording with a high loss.

    Attributes:
        file_name: The recording.
        label: What it is; several classes are separated by `;`.
        predicted: What it was taken for, likewise.
        loss: Its cross-entropy.
        seconds: Its length.
        scores: Of the likeliest classes and of its own, the highest first.
        excerpt: At most five seconds of it: where most speaks for the explained class, or else the loudest.
        explained: The class that `evidence` speaks for: the predicted one, in multi-label data the worst.
        evidence: A strip as wide as the excerpt's spectrogram, bright where the recording speaks for that class; None
            where it is not known.
    """

    file_name: str
    label: str
    predicted: str
    loss: float
    seconds: float
    scores: tuple[Score, ...]
    excerpt: Excerpt
    explained: str
    evidence: bytes | None


def audible_errors(interpretation: Interpretation, k: int, evidence: Evidence | None = None) -> list[AudibleError]:
    """Reads the recordings that the classifier is most wrong about.

    Args:
        interpretation: With waveforms; only those of the `k` recordings are read.
        k: How many, at most.
        evidence: Says where a recording speaks for a class, such as `evidence_over_time` of a model.

    Raises:
        ValueError: k is below 1, or the waveforms are not known.
    """
    rate, names = interpretation.sampling_rate, interpretation.class_names
    if interpretation.waveforms is None or rate is None:
        raise ValueError(
            "audible_errors needs the waveforms, found none; give them to Interpretation.from_predictions."
        )
    errors = []
    for row, index in zip(interpretation.top_losses(k), interpretation.hardest(k), strict=True):
        samples = np.asarray(interpretation.waveforms[index], dtype=np.float32)
        explained = row.get("worst_class", row["predicted"])
        amounts, step = np.square(samples, dtype=np.float64), 1.0
        if evidence is not None:
            amounts = evidence(samples, names.index(explained)).clip(min=0.0)
            step = len(samples) / len(amounts)
        length = round(EXCERPT_SECONDS * rate / step)
        start = richest_span(amounts, length)
        errors.append(
            AudibleError(
                file_name=row["file_name"],
                label=row["label"],
                predicted=row["predicted"],
                loss=row["loss"],
                seconds=len(samples) / rate,
                scores=_scores(interpretation, index),
                excerpt=make_excerpt(samples, rate, round(start * step)),
                explained=explained,
                evidence=None if evidence is None else _strip(amounts[start : start + length]),
            )
        )
    return errors


def _scores(interpretation: Interpretation, index: int) -> tuple[Score, ...]:
    probabilities, label = interpretation.probabilities[index], interpretation.labels[index]
    own = set(np.flatnonzero(label).tolist() if interpretation.multi_label else [int(label)])
    ranked = np.argsort(-probabilities, kind="stable").tolist()
    return tuple(
        Score(interpretation.class_names[name], float(probabilities[name]), name in own)
        for place, name in enumerate(ranked)
        if place < SCORES or name in own
    )


def _strip(amounts: np.ndarray) -> bytes:
    scaled = amounts / max(float(amounts.max()), 1e-12) * (COLORS - 1)
    return encode_png(np.rint(scaled).astype(np.uint8)[None], color_map(COLORS))
