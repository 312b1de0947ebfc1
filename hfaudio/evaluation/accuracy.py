"""Accuracy, as an `evaluate` module that needs no network."""

from collections.abc import Sequence

import datasets
import evaluate
from sklearn.metrics import accuracy_score

__all__ = ["Accuracy"]


class Accuracy(evaluate.Metric):
    """The share of examples whose predicted class is the right one.

    Example:
        >>> Accuracy().compute(predictions=[0, 1, 1], references=[0, 1, 0])["accuracy"]
        0.6666666666666666
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="The share of examples whose predicted class is the right one.",
            citation="",
            inputs_description="predictions, references: class indices, one for each example.",
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"accuracy": float(accuracy_score(references, predictions))}
