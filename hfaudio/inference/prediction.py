"""What a classifier says of a recording, or of a window of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["UNKNOWN", "Prediction"]

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of a recording, or of a window of it.

    Attributes:
        file: The name of the recording, or None where it came without one.
        start: Where it begins, in seconds; 0 for a whole recording.
        end: Where it ends, in seconds.
        class_names: In the order of the probabilities.
        probabilities: `(num_labels,)` in float32; they sum to 1 unless a recording can have several classes. Empty if
            the recording could not be read, or is silent.
        error: Why it could not be read, or None.
        unknown_threshold: Below it the highest probability makes the label `unknown`; None always names a class.
    """

    file: str | None
    start: float
    end: float
    class_names: tuple[str, ...]
    probabilities: np.ndarray
    error: str | None = None
    unknown_threshold: float | None = None

    @property
    def silent(self) -> bool:
        """Whether it was read and is digital silence, which is no sound of any class."""
        return self.error is None and len(self.probabilities) == 0

    @property
    def label(self) -> str | None:
        """The most probable class, or `unknown` if it is not probable enough; None of silence and after an error."""
        if len(self.probabilities) == 0:
            return None
        best = int(self.probabilities.argmax())
        if self.unknown_threshold is not None and self.probabilities[best] < self.unknown_threshold:
            return UNKNOWN
        return self.class_names[best]

    @property
    def score(self) -> float | None:
        """The probability of the most probable class, also of one that is called unknown; None without a label."""
        return None if len(self.probabilities) == 0 else float(self.probabilities.max())

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The most probable classes, with their probabilities, the first first; of equal ones the earlier class.

        Those of an unknown recording too; of silence there are none.

        Args:
            count: How many, at most.
        """
        order: Sequence[int] = np.argsort(-self.probabilities, kind="stable")[:count].tolist()
        return [(self.class_names[index], float(self.probabilities[index])) for index in order]
