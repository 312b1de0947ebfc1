"""Mean average precision, as an `evaluate` module that needs no network."""

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np
from sklearn.metrics import average_precision_score

__all__ = ["MeanAveragePrecision"]


class MeanAveragePrecision(evaluate.Metric):
    """The average precision of each class that occurs, averaged with equal weight; for multi-label data.

    Example:
        >>> scores, references = [[0.9, 0.2], [0.4, 0.8]], [[1, 0], [0, 1]]
        >>> MeanAveragePrecision().compute(predictions=scores, references=references)["mean_average_precision"]
        1.0
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="The average precision of each class that occurs, averaged with equal weight.",
            citation="",
            inputs_description="predictions: a score for each class; references: 0 or 1 for each class.",
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float32")),
                    "references": datasets.List(datasets.Value("float32")),
                }
            ),
        )

    def _compute(
        self, predictions: Sequence[Sequence[float]], references: Sequence[Sequence[float]]
    ) -> dict[str, float]:
        scores, truths = np.array(predictions), np.array(references)
        # Class by class: scikit-learn takes a table of a single class for another thing.
        averages = [
            average_precision_score(truth, score)
            for truth, score in zip(truths.T, scores.T, strict=True)
            if truth.any()
        ]
        return {"mean_average_precision": float(np.mean(averages)) if averages else 0.0}
