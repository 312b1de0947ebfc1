"""Which recordings a classifier gets wrong, and what it takes them for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.special
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from hfaudio.evaluation.classification import PRESENT
from hfaudio.evaluation.confusion_matrix_plot import draw_confusion_matrix
from hfaudio.evaluation.prediction_arrays import (
    check_at_least_one,
    check_lengths,
    label_array,
    logit_array,
    probability_array,
)
from hfaudio.evaluation.top_losses_plot import draw_top_losses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Interpretation"]


@dataclass(frozen=True, eq=False)
class Interpretation:
    """The predictions for a set of recordings, and views of them that show the errors.

    Make one with `from_predictions`, which checks what it is given.

    Attributes:
        file_names: Of the recordings.
        labels: `(recordings,)` class indices, or in multi-label data `(recordings, num_labels)` of bool.
        logits: `(recordings, num_labels)` in float64.
        class_names: In the order of the indices.
        waveforms: By recording, float32 `(samples,)`; read only for what is drawn. None if there is nothing to draw.
        sampling_rate: Of the waveforms, in Hz.

    Example:
        >>> errors = Interpretation.from_predictions(
        ...     ["a.wav", "b.wav", "c.wav"], [0, 1, 1], np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0]]), ["cat", "dog"]
        ... )
        >>> errors.most_confused()
        [{'label': 'dog', 'predicted': 'cat', 'count': 1}]
    """

    file_names: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray
    class_names: tuple[str, ...]
    waveforms: Any = field(default=None, repr=False)
    sampling_rate: int | None = None

    @classmethod
    def from_predictions(
        cls,
        file_names: Sequence[str],
        labels: Any,
        logits: Any,
        class_names: Sequence[str],
        waveforms: Any = None,
        sampling_rate: int | None = None,
    ) -> "Interpretation":
        """Takes what a `Trainer` predicted, and what is known of the recordings.

        Args:
            file_names: Of the recordings.
            labels: A class index for each; in multi-label data a list of them for each, or an array
                `(recordings, num_labels)` of 0 and 1.
            logits: `(recordings, num_labels)`.
            class_names: In the order of the indices.
            waveforms: Anything indexable by recording that gives a waveform `(samples,)`, such as the column
                `waveform` of a data set. Read only for what is drawn.
            sampling_rate: Of the waveforms, in Hz.

        Raises:
            ValueError: The parts do not fit each other, or logits are not finite.
        """
        logits = logit_array(logits, len(class_names))
        parts = {"file_names": file_names, "labels": labels}
        if waveforms is not None:
            if sampling_rate is None or sampling_rate <= 0:
                raise ValueError(
                    f"sampling_rate must be given in Hz where waveforms are, found {sampling_rate!r}; pass both."
                )
            if hasattr(waveforms, "__len__"):
                parts["waveforms"] = waveforms
        check_lengths(parts, len(logits))
        return cls(
            tuple(file_names), label_array(labels, len(class_names)), logits, tuple(class_names), waveforms,
            sampling_rate,
        )  # fmt: skip

    @property
    def multi_label(self) -> bool:
        """Whether a recording can have any number of classes."""
        return self.labels.ndim == 2

    @property
    def probabilities(self) -> np.ndarray:
        """Of each class, `(recordings, num_labels)`: over a softmax, or a sigmoid a class if multi-label."""
        return probability_array(self.logits, self.multi_label)

    @property
    def predicted(self) -> np.ndarray:
        """What was predicted, in the form of `labels`; in multi-label data what has a probability of at least 0.5."""
        return self.probabilities >= PRESENT if self.multi_label else self.logits.argmax(axis=1)

    @property
    def losses(self) -> np.ndarray:
        """The cross-entropy of each recording, `(recordings,)`; the mean over the classes if multi-label."""
        return self._class_losses().mean(axis=1) if self.multi_label else self._class_losses().sum(axis=1)

    def confusion_matrix(self) -> np.ndarray:
        """Counts what was taken for what.

        Returns:
            `(num_labels, num_labels)` of integers; a row for each true class, a column for each predicted one.

        Raises:
            ValueError: The data is multi-label.
        """
        self._refuse_multi_label("confusion matrix")
        return np.asarray(confusion_matrix(self.labels, self.predicted, labels=range(len(self.class_names))))

    def most_confused(self, min_count: int = 1) -> list[dict[str, Any]]:
        """Lists the pairs of classes that were taken for each other, the most frequent first.

        Args:
            min_count: Pairs with fewer errors are left out.

        Returns:
            Rows with `label`, `predicted` and `count`.

        Raises:
            ValueError: The data is multi-label, or min_count is below 1.
        """
        self._refuse_multi_label("list of confused pairs")
        check_at_least_one("min_count", min_count)
        counts = self.confusion_matrix()
        np.fill_diagonal(counts, 0)
        pairs = sorted(np.argwhere(counts >= min_count).tolist(), key=lambda pair: -counts[tuple(pair)])
        return [
            {"label": self.class_names[row], "predicted": self.class_names[column], "count": int(counts[row, column])}
            for row, column in pairs
        ]

    def per_class(self) -> list[dict[str, Any]]:
        """Judges each class by itself, in the order of the classes.

        Returns:
            Rows with `class`, `recordings` (of this class), `precision`, `recall`, `f1` and, unless the data is
            multi-label, `confused_with`: what it is most often taken for, or "". A number that is not defined is None:
            the precision of what is never predicted, the recall of what does not occur.
        """
        known, found = self._as_table(self.labels), self._as_table(self.predicted)
        rows: list[dict[str, Any]] = []
        for index, name in enumerate(self.class_names):
            # Class by class: scikit-learn takes a table of a single class for another thing.
            scores = precision_recall_fscore_support(
                known[:, index], found[:, index], average="binary", zero_division=np.nan
            )[:3]
            row = {"class": name, "recordings": int(known[:, index].sum())}
            row |= {
                key: None if np.isnan(score) else float(score)
                for key, score in zip(("precision", "recall", "f1"), scores, strict=True)
            }
            rows.append(row)
        if not self.multi_label:
            counts = self.confusion_matrix()
            np.fill_diagonal(counts, 0)
            for row, errors in zip(rows, counts, strict=True):
                row["confused_with"] = self.class_names[int(errors.argmax())] if errors.any() else ""
        return rows

    def hardest(self, k: int) -> list[int]:
        """Lists the indices of the recordings with the highest cross-entropy, the highest first.

        Args:
            k: How many, at most.

        Raises:
            ValueError: k is below 1.
        """
        check_at_least_one("k", k)
        return np.argsort(-self.losses, kind="stable")[:k].tolist()

    def top_losses(self, k: int) -> list[dict[str, Any]]:
        """Lists the recordings that the classifier is most wrong about.

        Args:
            k: How many, at most.

        Returns:
            Rows with `file_name`, `label`, `predicted`, `probability` and `loss`, the highest cross-entropy first. The
            probability is that of the label. In multi-label data several classes are separated by `;`, and the
            probability is that of `worst_class`, a further column: the class that adds most to the loss, missed if it
            is one of the labels and else wrongly found.

        Raises:
            ValueError: k is below 1.
        """
        losses, probabilities, predicted = self.losses, self.probabilities, self.predicted
        worst = self._class_losses().argmax(axis=1) if self.multi_label else self.labels
        rows = []
        for index in self.hardest(k):
            row = {
                "file_name": self.file_names[index],
                "label": self._names(self.labels[index]),
                "predicted": self._names(predicted[index]),
                "probability": round(float(probabilities[index, worst[index]]), 6),
                "loss": round(float(losses[index]), 6),
            }
            rows.append(row | ({"worst_class": self.class_names[worst[index]]} if self.multi_label else {}))
        return rows

    def plot_confusion_matrix(self) -> "Figure":
        """Draws the confusion matrix, coloured by the share of each true class.

        Raises:
            ValueError: The data is multi-label.
        """
        return draw_confusion_matrix(self.confusion_matrix(), self.class_names)

    def plot_top_losses(self, k: int = 9) -> "Figure":
        """Draws log-mel spectrograms of the recordings that the classifier is most wrong about.

        Args:
            k: How many, at most.

        Raises:
            ValueError: k is below 1, the waveforms are not known, or one of them is none.
        """
        if self.waveforms is None or self.sampling_rate is None:
            raise ValueError(
                "plot_top_losses needs the waveforms, found none; give waveforms and sampling_rate to "
                "from_predictions, or use top_losses for a table."
            )
        rows, indices = self.top_losses(k), self.hardest(k)
        if not self.multi_label:
            for row, probability in zip(rows, self.probabilities[indices].max(axis=1), strict=True):
                row["predicted_probability"] = float(probability)
        return draw_top_losses(rows, (self.waveforms[index] for index in indices), self.sampling_rate)

    def _class_losses(self) -> np.ndarray:
        """What each class adds to the loss, `(recordings, num_labels)`; only the label's own unless multi-label."""
        known = self._as_table(self.labels)
        if self.multi_label:
            return np.logaddexp(0.0, np.where(known, -self.logits, self.logits))
        return np.where(known, -scipy.special.log_softmax(self.logits, axis=1), 0.0)

    def _as_table(self, labels: np.ndarray) -> np.ndarray:
        return labels if labels.ndim == 2 else labels[:, None] == np.arange(len(self.class_names))

    def _names(self, label: np.ndarray) -> str:
        indices = np.flatnonzero(label) if label.ndim else [label]
        return ";".join(self.class_names[index] for index in indices)

    def _refuse_multi_label(self, what: str) -> None:
        if self.multi_label:
            raise ValueError(
                f"A {what} needs one class for each recording, found multi-label data; use per_class() for the errors "
                "of each class."
            )
