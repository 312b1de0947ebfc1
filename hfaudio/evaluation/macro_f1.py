"""Macro-averaged F1, as an `evaluate` module that needs no network."""

from collections.abc import Sequence

import datasets
import evaluate
from sklearn.metrics import f1_score

__all__ = ["MacroF1"]


class MacroF1(evaluate.Metric):
    """The F1 score of each class that occurs, averaged with equal weight.

    A class counts if it is predicted or is the right one at least once.

    Example:
        >>> MacroF1().compute(predictions=[0, 1, 1], references=[0, 1, 0])["macro_f1"]
        0.6666666666666666
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="The F1 score of each class that occurs, averaged with equal weight.",
            citation="",
            inputs_description="predictions, references: class indices, one for each example.",
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"macro_f1": float(f1_score(references, predictions, average="macro", zero_division=0.0))}
