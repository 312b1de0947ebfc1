"""What a classifier says of a recording, or of a window of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Prediction"]


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of a recording, or of a window of it.

    Attributes:
        file: The name of the recording, or None where it came without one.
        start: Where it begins, in seconds; 0 for a whole recording.
        end: Where it ends, in seconds.
        class_names: In the order of the probabilities.
        probabilities: `(num_labels,)` in float32; they sum to 1 unless a recording can have several classes. Empty if
            the recording could not be read.
        error: Why it could not be read, or None.
    """

    file: str | None
    start: float
    end: float
    class_names: tuple[str, ...]
    probabilities: np.ndarray
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The most probable class; None if the recording could not be read."""
        return None if self.error is not None else self.class_names[int(self.probabilities.argmax())]

    @property
    def score(self) -> float | None:
        """The probability of that class."""
        return None if self.error is not None else float(self.probabilities.max())

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The most probable classes, with their probabilities, the first first; of equal ones the earlier class.

        Args:
            count: How many, at most.
        """
        order: Sequence[int] = np.argsort(-self.probabilities, kind="stable")[:count].tolist()
        return [(self.class_names[index], float(self.probabilities[index])) for index in order]
