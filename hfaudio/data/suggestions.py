"""Flags of `scripts/train.py` that suit a data set, with the reason for each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import datasets
import numpy as np

from hfaudio.data.overlaps import Overlaps, natural_order
from hfaudio.data.splits import given_test_parts

__all__ = ["IMBALANCE", "Suggestion", "suggest_crop", "suggest_flags"]

CROPS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)  # seconds
TAKEN_WHOLE = 2.0  # seconds; what is so short was cut to its sound
CROP_SHARE = 2.0 / 3.0  # of the usual recording: each epoch hears another part of it
HELD_BY = 0.75  # share of the recordings that fill a crop
TOLERANCE = 1.025  # encoders and cutters do not hit the second
MANY = 0.1
SILENT_CROPS = 0.02
IMBALANCE = 3.0  # the largest class divided by the smallest
MADE_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A few flags.

    Attributes:
        flags: As they are typed; none where only a person can know the value.
        reason: A sentence with what was measured.
    """

    flags: tuple[str, ...]
    reason: str


def suggest_crop(seconds: np.ndarray) -> float:
    """Suggests the length of the training crops, in seconds.

    It is the largest round number that three quarters of the recordings fill, and that is at most two thirds of the
    median, so that crops differ from epoch to epoch; recordings of up to two seconds are taken whole.

    Args:
        seconds: Length of each recording, `(recordings,)`.
    """
    filled = float(np.quantile(seconds, 1.0 - HELD_BY, method="lower"))
    limit = min(filled, max(TAKEN_WHOLE, CROP_SHARE * float(np.median(seconds)))) * TOLERANCE
    return max([CROPS[0], *(crop for crop in CROPS if crop <= limit)])


def suggest_flags(
    dataset: datasets.Dataset,
    overlaps: Overlaps,
    crop_seconds: float,
    seconds: np.ndarray,
    silent: np.ndarray,
    class_counts: Sequence[int],
) -> Iterator[Suggestion]:
    """Suggests how to crop, pad, weigh and split.

    Args:
        dataset: Of a `PreparedAudio`.
        overlaps: What its recordings have in common.
        crop_seconds: Of `suggest_crop`.
        seconds: Length of each recording as prepared, `(recordings,)`.
        silent: How much of it is silent, in seconds, `(recordings,)`.
        class_counts: Recordings of each class.
    """
    yield from _cropping(crop_seconds, seconds, silent)
    largest, smallest = max(class_counts), max(1, min(class_counts))
    if largest >= IMBALANCE * smallest:
        yield Suggestion(
            ("--class_weights", "balanced"),
            f"The largest class has {largest / smallest:.3g} times as many recordings as the smallest; without "
            "weights the loss hardly hears the small ones.",
        )
    yield from _splitting(dataset, overlaps)


def _cropping(crop_seconds: float, seconds: np.ndarray, silent: np.ndarray) -> Iterator[Suggestion]:
    shorter = float(np.mean(seconds * TOLERANCE < crop_seconds))
    yield Suggestion(
        ("--crop_seconds", f"{crop_seconds:g}"),
        (f"{1.0 - shorter:.0%} of the recordings fill it" if shorter else "Every recording fills it")
        + f"; the usual one has {np.median(seconds):.3g} s, of which {np.median(seconds - silent):.3g} s sound.",
    )
    found = f"{shorter:.0%} of the recordings are shorter than the crop" if shorter else "No recording is shorter"
    if shorter > MANY:
        yield Suggestion(("--pad_mode", "repeat"), f"{found}: repeated, they fill it with sound.")
    else:
        yield Suggestion(("--pad_mode", "zero"), f"{found}; padding is hidden from the model.")
    missing = float(np.mean(silent >= crop_seconds))
    if missing > SILENT_CROPS:
        yield Suggestion(
            ("--trim_silence", "ends"),
            f"{missing:.0%} of the recordings hold {crop_seconds:g} s of silence or more, so that a crop of them may "
            "hold nothing else. Worth a comparison.",
        )


def _splitting(dataset: datasets.Dataset, overlaps: Overlaps) -> Iterator[Suggestion]:
    if overlaps.folds_leak and overlaps.groups >= MADE_FOLDS:
        yield Suggestion(
            ("--num_folds", str(MADE_FOLDS), "--eval_folds", "1"),
            "The given folds share sources or copies; folds that are made anew keep them together.",
        )
    elif overlaps.folds and not overlaps.folds_leak:
        parts = given_test_parts(dataset)
        chosen = parts or _last_fold(dataset)
        if chosen:
            found = "no source and no copy" if overlaps.groups else "no copy"
            reason = f"The {'given test part' if parts else 'last given fold'}; {found} stands in another."
            yield Suggestion(("--eval_folds", *chosen), reason)
    if not overlaps.groups:
        yield Suggestion(
            (),
            "No source is known. Where several recordings were cut from one, or come from one speaker, name it with "
            "--group_column or --group_pattern: a split at random would put it on both sides and flatter the score.",
        )


def _last_fold(dataset: datasets.Dataset) -> list[str]:
    """The last fold without which every class still has recordings, or nothing."""
    single = isinstance(dataset.features["label"], datasets.ClassLabel)
    pairs = {
        (fold, index)
        for fold, label in zip(dataset["fold"][:], dataset["label"][:], strict=True)
        for index in ([label] if single else label)
    }
    classes = {index for _, index in pairs}
    folds = {fold for fold, _ in pairs if fold is not None}
    for fold in sorted(folds, key=natural_order, reverse=True):
        if {index for other, index in pairs if other != fold} == classes:
            return [fold]
    return []
