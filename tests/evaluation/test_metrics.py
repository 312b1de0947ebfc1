from pathlib import Path

import evaluate
import numpy as np
import pytest
from transformers import EvalPrediction

import hfaudio.evaluation
from hfaudio.evaluation import (
    Accuracy,
    MacroF1,
    MeanAveragePrecision,
    compute_metrics,
    describe_metrics,
    prediction_rows,
)

FOLDER = Path(hfaudio.evaluation.__file__).parent
REFERENCES = [0, 0, 1, 1, 2, 2]
PREDICTIONS = [0, 1, 1, 1, 0, 2]
MACRO_F1 = (0.5 + 0.8 + 2 / 3) / 3


def test_values_by_hand() -> None:
    assert Accuracy().compute(predictions=PREDICTIONS, references=REFERENCES) == {"accuracy": 4 / 6}
    assert MacroF1().compute(predictions=PREDICTIONS, references=REFERENCES) == {"macro_f1": pytest.approx(MACRO_F1)}


def test_a_class_that_is_never_predicted_counts_as_zero() -> None:
    assert MacroF1().compute(predictions=[0, 0], references=[0, 1])["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


@pytest.mark.parametrize(("name", "value"), [("accuracy", 4 / 6), ("macro_f1", MACRO_F1)])
def test_evaluate_loads_the_modules_from_their_files_without_a_network(name: str, value: float) -> None:
    metric = evaluate.load(str(FOLDER / f"{name}.py"))
    assert metric.compute(predictions=PREDICTIONS, references=REFERENCES)[name] == pytest.approx(value)


def test_metrics_of_an_eval_prediction() -> None:
    logits = np.eye(3)[PREDICTIONS]
    metrics = compute_metrics(EvalPrediction(predictions=logits, label_ids=np.array(REFERENCES)))
    assert metrics == {"accuracy": pytest.approx(4 / 6), "macro_f1": pytest.approx(MACRO_F1)}


def test_prediction_rows_hold_probabilities() -> None:
    rows = prediction_rows(["a.wav", "b.wav"], [0, 1], np.array([[0.0, np.log(3.0)], [800.0, 0.0]]), ["x", "y"])
    assert rows == [
        {"file_name": "a.wav", "label": "x", "predicted": "y", "score": 0.75},
        {"file_name": "b.wav", "label": "y", "predicted": "x", "score": 1.0},
    ]


TRUTHS = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]]
SCORES = [[0.9, 0.2, 0.1], [0.4, 0.8, 0.1], [0.6, 0.3, 0.2], [0.1, 0.4, 0.1]]
# Of the first class ranks 1 and 3 are right, of the second ranks 1 and 3; the third does not occur.
MEAN_AVERAGE_PRECISION = (1 + 2 / 3) / 2
# Predicted are 0, 1, 0 and none: the first class is found once of twice and once wrong, the second once of twice.
MULTI_LABEL_MACRO_F1 = (2 / 4 + 2 / 3) / 2


def multi_label_metrics(scores: list[list[float]], truths: list[list[int]]) -> dict[str, float]:
    logits = np.log(np.array(scores) / (1 - np.array(scores)))
    return compute_metrics(EvalPrediction(predictions=logits, label_ids=np.array(truths, np.float32)))


def test_multi_label_values_by_hand() -> None:
    assert multi_label_metrics(SCORES, TRUTHS) == {
        "mean_average_precision": pytest.approx(MEAN_AVERAGE_PRECISION),
        "macro_f1": pytest.approx(MULTI_LABEL_MACRO_F1),
    }


def test_evaluate_loads_the_mean_average_precision_from_its_file() -> None:
    for metric in (MeanAveragePrecision(), evaluate.load(str(FOLDER / "mean_average_precision.py"))):
        value = metric.compute(predictions=SCORES, references=TRUTHS)["mean_average_precision"]
        assert value == pytest.approx(MEAN_AVERAGE_PRECISION)


def test_a_class_that_neither_occurs_nor_is_predicted_does_not_count() -> None:
    perfect = multi_label_metrics([[0.9, 0.1, 0.1], [0.2, 0.8, 0.1]], [[1, 0, 0], [0, 1, 0]])
    assert perfect == {"mean_average_precision": 1.0, "macro_f1": 1.0}
    wrong = multi_label_metrics([[0.9, 0.1, 0.6], [0.2, 0.8, 0.1]], [[1, 0, 0], [0, 1, 0]])
    assert wrong == {"mean_average_precision": 1.0, "macro_f1": pytest.approx(2 / 3)}


def test_a_single_class_is_judged_by_itself() -> None:
    metrics = multi_label_metrics([[0.9], [0.6], [0.4]], [[1], [0], [1]])
    assert metrics == {"mean_average_precision": pytest.approx((1 + 2 / 3) / 2), "macro_f1": pytest.approx(2 / 4)}


def test_where_nothing_occurs_the_metrics_are_zero() -> None:
    assert multi_label_metrics([[0.1, 0.2]], [[0, 0]]) == {"mean_average_precision": 0.0, "macro_f1": 0.0}


def test_metrics_in_words_are_those_that_were_measured() -> None:
    metrics = {"eval_accuracy": 0.875, "eval_macro_f1": 0.8641, "eval_loss": 0.2}
    assert describe_metrics(metrics) == {"accuracy": "87.5%", "macro-F1": "0.864"}
    metrics = {"eval_mean_average_precision": 0.5, "eval_macro_f1": 0.25}
    assert list(describe_metrics(metrics).items()) == [("mean average precision", "0.500"), ("macro-F1", "0.250")]


def test_multi_label_rows_hold_every_class_and_the_highest_probability() -> None:
    logits = np.array([[np.log(3.0), 0.0, -1.0], [-1.0, -2.0, -np.log(3.0)], [-800.0, 800.0, 1.0]])
    rows = prediction_rows(["a.wav", "b.wav", "c.wav"], [[0, 2], [], [1]], logits, ["x", "y", "z"])
    assert rows == [
        {"file_name": "a.wav", "label": "x;z", "predicted": "x;y", "score": 0.75},
        {"file_name": "b.wav", "label": "", "predicted": "", "score": pytest.approx(0.268941)},
        {"file_name": "c.wav", "label": "y", "predicted": "y;z", "score": 1.0},
    ]
