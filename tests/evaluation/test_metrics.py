from pathlib import Path

import evaluate
import numpy as np
import pytest
from transformers import EvalPrediction

import hfaudio.evaluation
from hfaudio.evaluation import Accuracy, MacroF1, compute_metrics, prediction_rows

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
