"""What is measured of a classifier, and the table of its predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special

from hfaudio.evaluation.accuracy import Accuracy
from hfaudio.evaluation.macro_f1 import MacroF1
from hfaudio.evaluation.mean_average_precision import MeanAveragePrecision

__all__ = ["HEADLINES", "compute_metrics", "describe_metrics", "prediction_rows"]

HEADLINES = {
    "accuracy": ("accuracy", "{:.1%}"),
    "mean_average_precision": ("mean average precision", "{:.3f}"),
    "macro_f1": ("macro-F1", "{:.3f}"),
}
"""The metrics that are reported, with their names and formats for people."""

PRESENT = 0.5  # the probability from which on a class counts as predicted in multi-label data


def compute_metrics(prediction: Any) -> dict[str, float]:
    """Accuracy and macro-F1 of a `transformers.EvalPrediction`; mean average precision and macro-F1 if multi-label.

    Args:
        prediction: With `predictions (examples, num_labels)`, logits, and `label_ids`, `(examples,)` indices or
            `(examples, num_labels)` of 0 and 1.
    """
    logits, labels = prediction.predictions, prediction.label_ids
    metrics: dict[str, float] = {}
    if labels.ndim == 2:
        scores = scipy.special.expit(logits)
        metrics.update(MeanAveragePrecision(keep_in_memory=True).compute(predictions=scores, references=labels))
        metrics["macro_f1"] = _multi_label_macro_f1(labels.astype(bool), scores >= PRESENT)
        return metrics
    classes = logits.argmax(axis=-1)
    for metric in (Accuracy(keep_in_memory=True), MacroF1(keep_in_memory=True)):
        metrics.update(metric.compute(predictions=classes, references=labels))
    return metrics


def describe_metrics(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The reported metrics in words, name to value, as in `{"accuracy": "87.5%", "macro-F1": "0.864"}`.

    Args:
        metrics: With the keys of `compute_metrics`, each after `eval_`.
    """
    return {
        words: form.format(metrics[f"eval_{name}"])
        for name, (words, form) in HEADLINES.items()
        if f"eval_{name}" in metrics
    }


def prediction_rows(
    file_names: Sequence[str],
    labels: Sequence[int] | Sequence[Sequence[int]],
    logits: np.ndarray,
    class_names: Sequence[str],
) -> list[dict[str, Any]]:
    """One row a recording: what it is, what it was taken for, and the highest probability of a class.

    Args:
        file_names: Of the recordings.
        labels: Their class indices, or in multi-label data lists of them.
        logits: `(recordings, num_labels)`.
        class_names: In the order of the indices.

    Returns:
        Rows with `file_name`, `label`, `predicted` and `score`; several classes are separated by `;`.
    """
    rows = []
    for file_name, label, own in zip(file_names, labels, logits, strict=True):
        if isinstance(label, Sequence):
            scores = scipy.special.expit(own)
            truth, predicted = list(label), np.flatnonzero(scores >= PRESENT).tolist()
        else:
            scores = scipy.special.softmax(own)
            truth, predicted = [label], [int(scores.argmax())]
        rows.append(
            {
                "file_name": file_name,
                "label": ";".join(class_names[index] for index in truth),
                "predicted": ";".join(class_names[index] for index in predicted),
                "score": round(float(scores.max()), 6),
            }
        )
    return rows


def _multi_label_macro_f1(truths: np.ndarray, predicted: np.ndarray) -> float:
    """As `MacroF1`, of tables `(examples, num_labels)`; scikit-learn takes one of a single class for another thing."""
    hits = np.sum(truths & predicted, axis=0)
    named = truths.sum(axis=0) + predicted.sum(axis=0)
    counts = named > 0
    return float(np.mean(2.0 * hits[counts] / named[counts])) if counts.any() else 0.0
