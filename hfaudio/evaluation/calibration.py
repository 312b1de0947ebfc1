"""How far probabilities can be believed, and the one number that makes them believable."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.optimize
import scipy.special

from hfaudio.data.stratification import deal_out
from hfaudio.evaluation.calibration_plot import ReliabilityBin, draw_calibration
from hfaudio.evaluation.prediction_arrays import (
    check_at_least_one,
    check_lengths,
    label_array,
    logit_array,
    probability_array,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Calibration",
    "calibration_parts",
    "expected_calibration_error",
    "fewest_recordings",
    "fit_temperature",
    "reliability",
    "unknown_threshold",
]

LOWEST, HIGHEST = 0.01, 100.0  # temperatures that are searched
LEAST_KEPT, MOST_KEPT = 0.1, 10.0
"""Temperatures that a model may be given. Published ones lie between 0.5 and 5; at a tenth or ten times of the usual
logits all probabilities are as good as 0 and 1, or alike, and a fit that ends there has found scores that say nothing.
"""
FEWEST_TO_CALIBRATE = 50
"""Recordings from which on a temperature may be kept. Simulated with 2 to 50 classes, with and without wrong labels:
fitted on 50 recordings and always kept it made the calibration error of others worse by a point or more in 29 % of the
cases; kept as `Calibration.cross_fitted` keeps it, in 2 % of those where it was; on 20 in 44 % and 11 %.
"""
PARTS = 5
BINS = 15  # as Guo et al. have them
ROUNDING = 1e-9  # of a rate such as 0.07, which is no binary fraction
BELOW_ONE = float(np.nextafter(1.0, 0.0))


@dataclass(frozen=True, eq=False)
class Calibration:
    """A temperature, and the scores that tell what it is worth: it was fitted without them.

    Make one with `of_temperature` or `cross_fitted`.

    Attributes:
        temperature: By which logits are to be divided; 1 where none is worth it.
        labels: `(recordings,)` class indices, or in multi-label data `(recordings, num_labels)` of bool.
        before: The logits of the recordings, `(recordings, num_labels)`.
        after: These, divided by temperatures that were fitted on other recordings.
        refusal: Why no temperature was kept, as the end of a sentence; None where one was, or none was asked for.
    """

    temperature: float
    labels: np.ndarray
    before: np.ndarray
    after: np.ndarray
    refusal: str | None = None

    @classmethod
    def of_temperature(cls, temperature: float, logits: Any, labels: Any, refusal: str | None = None) -> "Calibration":
        """Judges a temperature that is known by recordings on which it was not fitted.

        Args:
            temperature: Of another `Calibration`, or 1, which changes nothing.
            logits: `(recordings, num_labels)`.
            labels: Their classes, as `fit_temperature` takes them.
            refusal: Why it is 1, if one was looked for.
        """
        logits, labels = _arrays(logits, labels)
        return cls(temperature, labels, logits, logits / temperature, refusal)

    @classmethod
    def cross_fitted(cls, logits: Any, labels: Any, parts: Sequence[Any] | np.ndarray) -> "Calibration":
        """Fits a temperature on all recordings, and judges each part of them by one that was fitted on the others.

        It is kept where it is shown to help: there are at least 50 recordings of two or more classes in two or more
        parts, it lies from 0.1 to 10, and with the temperatures of other parts the negative log-likelihood of the
        labels falls by more than the standard error of its mean, and the calibration error does not rise. Otherwise
        it is 1, and `refusal` says why.

        Args:
            logits: `(recordings, num_labels)`.
            labels: Their classes, as `fit_temperature` takes them.
            parts: The part of each recording, such as its fold; what belongs together lies in one.
        """
        logits, labels = _arrays(logits, labels)
        part_of = np.asarray(parts)
        refusal = _too_little(labels, part_of)
        if refusal is not None:
            return cls.of_temperature(1.0, logits, labels, refusal)
        temperature, after = fit_temperature(logits, labels), logits.copy()
        for part in np.unique(part_of):
            own = part_of == part
            after[own] /= fit_temperature(logits[~own], labels[~own])
        found = cls(temperature, labels, logits, after)
        refusal = found._no_help()
        return found if refusal is None else cls.of_temperature(1.0, logits, labels, refusal)

    def _no_help(self) -> str | None:
        """Why the temperature is not to be kept."""
        if not LEAST_KEPT <= self.temperature <= MOST_KEPT:
            return (
                f"the best one lies outside of {LEAST_KEPT:g} to {MOST_KEPT:g}: the scores say too little of the "
                "classes, or nothing wrong was seen"
            )
        gains = _likelihood_losses(self.before, self.labels) - _likelihood_losses(self.after, self.labels)
        gain, doubt = float(gains.mean()), float(gains.std(ddof=1)) / math.sqrt(len(gains))
        if not gain > doubt:
            return (
                f"fitted on other parts of the {len(gains)} recordings it does not make the labels more likely "
                "beyond chance"
            )
        if self.error_after > self.error_before:
            return (
                f"fitted on other parts of the {len(gains)} recordings it makes the calibration error "
                f"{self.error_after:.1%} in place of {self.error_before:.1%}"
            )
        return None

    @property
    def multi_label(self) -> bool:
        """Whether a recording can have any number of classes."""
        return self.labels.ndim == 2

    @property
    def error_before(self) -> float:
        """The expected calibration error of the logits as they were."""
        return expected_calibration_error(probability_array(self.before, self.multi_label), self.labels)

    @property
    def error_after(self) -> float:
        """The expected calibration error with temperatures that were fitted on other recordings."""
        return expected_calibration_error(probability_array(self.after, self.multi_label), self.labels)

    def plot(self) -> "Figure":
        """Draws how often what has a probability is right, before and after; once where nothing is changed."""
        sides = {"As the model scores": self.before}
        if not np.array_equal(self.before, self.after):
            sides = {"Before": self.before, "After": self.after}
        titled = {}
        for name, logits in sides.items():
            bins = reliability(probability_array(logits, self.multi_label), self.labels)
            titled[f"{name}: calibration error {_error(bins):.1%}"] = bins
        return draw_calibration(titled, self.multi_label)


def fit_temperature(logits: Any, labels: Any) -> float:
    """The number that logits are to be divided by, so that their probabilities can be believed.

    It makes the negative log-likelihood of the labels smallest (temperature scaling: Guo et al. 2017,
    arXiv:1706.04599, section 4.2); in multi-label data that of each class by itself. Labels count as though one
    recording more, of no class in particular, had been shared out among them, much like the targets of Platt 1999
    (Probabilistic outputs for support vector machines): or else a model that makes no mistake on a few recordings
    would be given any certainty.

    Args:
        logits: `(recordings, num_labels)`, of recordings that were not trained on.
        labels: A class index for each, or a list of them for each, or `(recordings, num_labels)` of 0 and 1.

    Returns:
        From 0.01 to 100; above 1 where the model is too sure of itself.

    Raises:
        ValueError: They do not fit each other, or logits are not finite.
    """
    logits, labels = _arrays(logits, labels)
    doubt = 1.0 / (len(logits) + 1.0)
    if labels.ndim == 2:
        targets = (1.0 - doubt) * labels + doubt / 2

        def loss(log_temperature: float) -> float:
            scaled = logits / math.exp(log_temperature)
            return float(np.mean(np.logaddexp(0.0, scaled) - targets * scaled))

    else:
        targets = np.full(logits.shape, doubt / logits.shape[1])
        targets[np.arange(len(labels)), labels] += 1.0 - doubt

        def loss(log_temperature: float) -> float:
            scaled = logits / math.exp(log_temperature)
            return float(np.mean(scipy.special.logsumexp(scaled, axis=1) - np.sum(targets * scaled, axis=1)))

    found = scipy.optimize.minimize_scalar(
        loss, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded", options={"xatol": 1e-4}
    )
    return float(math.exp(found.x))


def expected_calibration_error(probabilities: Any, labels: Any, bins: int = BINS) -> float:
    """How far probabilities lie from the share that is right, on average (Guo et al. 2017, arXiv:1706.04599, eq. 3).

    Recordings are put into bins by their highest probability; of each bin the mean probability is compared with the
    share of right predictions, and the differences are averaged over the recordings. In multi-label data every
    probability of every class is put into a bin, and compared with how often the class is there.

    Args:
        probabilities: `(recordings, num_labels)`.
        labels: Their classes, as `fit_temperature` takes them.
        bins: Equally wide ones, from 0 to 1.

    Returns:
        From 0, where all can be believed, to 1.

    Raises:
        ValueError: They do not fit each other, or there is no bin.
    """
    return _error(reliability(probabilities, labels, bins))


def reliability(probabilities: Any, labels: Any, bins: int = BINS) -> list[ReliabilityBin]:
    """What `expected_calibration_error` compares.

    Args:
        probabilities: `(recordings, num_labels)`.
        labels: Their classes, as `fit_temperature` takes them.
        bins: Equally wide ones, from 0 to 1.

    Returns:
        Those bins that are not empty.
    """
    check_at_least_one("bins", bins)
    probabilities, labels = _arrays(probabilities, labels)
    if labels.ndim == 2:
        confidence, right = probabilities.ravel(), labels.ravel()
    else:
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    # A bin includes its upper bound, as in the paper.
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        ReliabilityBin(float(confidence[own].mean()), float(right[own].mean()), int(own.sum()))
        for own in (bin_of == index for index in np.unique(bin_of))
    ]


def unknown_threshold(probabilities: Any, false_reject_rate: float) -> float:
    """The least probability that the best class must have, where a share of known recordings may be called unknown.

    It is the k-th lowest of the highest probabilities, k = rate * (recordings + 1) rounded down: a new recording of
    the same kind then lies below it with a probability of k / (recordings + 1), at most the rate, as in conformal
    prediction (Angelopoulos and Bates 2021, arXiv:2107.07511).

    Args:
        probabilities: `(recordings, num_labels)`, of recordings that were not trained on.
        false_reject_rate: In (0, 1).

    Raises:
        ValueError: The rate lies outside its bounds, or there are too few recordings for it.
    """
    best = np.asarray(probabilities, np.float64).max(axis=1)
    fewest = fewest_recordings(false_reject_rate)
    if len(best) < fewest:
        raise ValueError(
            f"A false_reject_rate of {false_reject_rate:g} needs at least {fewest} recordings that were not trained "
            f"on, found {len(best)}; give a higher rate or more recordings."
        )
    rank = math.floor(false_reject_rate * (len(best) + 1) + ROUNDING)
    # A model that is sure of everything has 1 here, below which nothing else would be known.
    return min(float(np.sort(best)[rank - 1]), BELOW_ONE)


def fewest_recordings(false_reject_rate: float) -> int:
    """How many recordings `unknown_threshold` needs at least for a rate in (0, 1).

    Raises:
        ValueError: The rate lies outside its bounds.
    """
    if not 0.0 < false_reject_rate < 1.0:
        raise ValueError(f"false_reject_rate must be above 0 and below 1, found {false_reject_rate!r}.")
    return max(1, math.ceil(1.0 / false_reject_rate - ROUNDING) - 1)


def calibration_parts(labels: np.ndarray, seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Divides recordings into five parts, or as many as there are groups, with the classes in proportion.

    Args:
        labels: `(recordings,)` class indices, or `(recordings, num_labels)` of 0 and 1.
        seed: Of the order.
        groups: `(recordings,)`, an index for each of what stays together; None leaves each by itself.

    Returns:
        `(recordings,)`, the part of each.
    """
    listed = [np.flatnonzero(own).tolist() if labels.ndim == 2 else [int(own)] for own in labels]
    groups = np.arange(len(listed)) if groups is None else groups
    number = min(PARTS, len(np.unique(groups)))
    return deal_out(listed, groups, [1.0 / number] * number, seed)


def _too_little(labels: np.ndarray, part_of: np.ndarray) -> str | None:
    """Why no temperature can be judged by these recordings."""
    if len(labels) < FEWEST_TO_CALIBRATE:
        return f"it needs at least {FEWEST_TO_CALIBRATE} recordings that were not trained on, found {len(labels)}"
    if len(np.unique(part_of)) < 2:
        return "it needs recordings of several parts, to judge each by the others, found one fold or source"
    # In multi-label data that no class is ever there, or every one always, is as little to learn from.
    if len(np.unique(labels)) < 2:
        return "it needs recordings of several classes, found those of one"
    return None


def _likelihood_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The negative log-likelihood of each recording's labels; in multi-label data the mean over the classes."""
    if labels.ndim == 2:
        return np.asarray(np.mean(np.logaddexp(0.0, logits) - labels * logits, axis=1))
    chosen = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return np.asarray(scipy.special.logsumexp(logits, axis=1) - chosen)


def _error(bins: Sequence[ReliabilityBin]) -> float:
    return sum(own.number * abs(own.confidence - own.right) for own in bins) / sum(own.number for own in bins)


def _arrays(scores: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    scores = np.asarray(scores, np.float64)
    scores = logit_array(scores, scores.shape[-1] if scores.ndim else 0)
    check_lengths({"labels": labels}, len(scores))
    return scores, label_array(labels, scores.shape[1])
