"""Making one answer of what the windows of a recording score."""

from typing import Literal, get_args

import numpy as np

__all__ = ["POOLINGS", "Pooling", "WindowPool", "to_probabilities"]

Pooling = Literal["mean", "max", "vote"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


def to_probabilities(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """The sigmoid of logits `(batch, num_labels)`, or their softmax where a recording has one class; in float32."""
    logits = logits.astype(np.float64)
    if multi_label:
        # Without overflow on either side.
        probabilities = np.exp(-np.logaddexp(0.0, -logits))
    else:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32)


class WindowPool:
    """Pools the probabilities of windows, one after another; it holds one sum, however many there are.

    Args:
        pooling: `mean`; `max`, each class's highest (which sum to more than 1); or `vote`, the share of windows in
            which a class comes first, or with several classes a recording, in which it is more probable than not.
        multi_label: Whether a recording can have any number of classes.
    """

    def __init__(self, pooling: Pooling, multi_label: bool) -> None:
        self.pooling = pooling
        self.multi_label = multi_label
        self.count = 0  # windows that were taken in
        self._pooled = np.zeros(1)

    def add(self, probabilities: np.ndarray) -> None:
        """Takes in those of one window, `(num_labels,)`."""
        self.count += 1
        if self.pooling == "max":
            self._pooled = np.maximum(self._pooled, probabilities)
            return
        if self.pooling == "vote":
            wins = probabilities > 0.5 if self.multi_label else np.arange(len(probabilities)) == probabilities.argmax()
            probabilities = wins.astype(np.float32)
        self._pooled = self._pooled + probabilities

    def result(self) -> np.ndarray:
        """`(num_labels,)` in float32, of all windows that were taken in."""
        pooled = self._pooled if self.pooling == "max" else self._pooled / max(1, self.count)
        return pooled.astype(np.float32)
