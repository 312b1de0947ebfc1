"""What is measured of a classifier, and the table of its predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hfaudio.evaluation.accuracy import Accuracy
from hfaudio.evaluation.macro_f1 import MacroF1

__all__ = ["compute_metrics", "prediction_rows"]


def compute_metrics(prediction: Any) -> dict[str, float]:
    """Accuracy and macro-F1 of a `transformers.EvalPrediction`.

    Args:
        prediction: With `predictions (examples, num_labels)` and `label_ids (examples,)`.
    """
    classes = prediction.predictions.argmax(axis=-1)
    metrics: dict[str, float] = {}
    for metric in (Accuracy(keep_in_memory=True), MacroF1(keep_in_memory=True)):
        metrics.update(metric.compute(predictions=classes, references=prediction.label_ids))
    return metrics


def prediction_rows(
    file_names: Sequence[str], labels: Sequence[int], logits: np.ndarray, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """One row a recording: what it is, what it was taken for, and the probability of that.

    Args:
        file_names: Of the recordings.
        labels: Their class indices.
        logits: `(recordings, num_labels)`.
        class_names: In the order of the indices.

    Returns:
        Rows with `file_name`, `label`, `predicted` and `score`.
    """
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return [
        {
            "file_name": file_name,
            "label": class_names[label],
            "predicted": class_names[int(row.argmax())],
            "score": round(float(row.max()), 6),
        }
        for file_name, label, row in zip(file_names, labels, scores, strict=True)
    ]
