import re

import datasets
import numpy as np
import pytest
import torch

from hfaudio.evaluation.prediction_arrays import label_array, logit_array


@pytest.mark.parametrize(
    "labels",
    [[2, 0], (2, 0), np.array([2, 0]), np.array([2.0, 0.0], np.float32), torch.tensor([2, 0])],
    ids=["list", "tuple", "array", "float array", "tensor"],
)
def test_one_class_a_recording_becomes_indices(labels) -> None:
    array = label_array(labels, 3)
    assert array.dtype == np.int64
    assert array.tolist() == [2, 0]


@pytest.mark.parametrize(
    "labels",
    [
        [[0, 2], []],
        [np.array([2, 0]), np.array([], np.int64)],
        np.array([[1, 0, 1], [0, 0, 0]], np.float32),
        torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]),
        datasets.Dataset.from_dict({"label": [[0, 2], []]})["label"],
    ],
    ids=["lists", "list of arrays", "table", "tensor", "column of a data set"],
)
def test_several_classes_a_recording_become_a_table(labels) -> None:
    array = label_array(labels, 3)
    assert array.dtype == bool
    assert array.tolist() == [[True, False, True], [False, False, False]]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 3], "A label must be a class index from 0 to 2, found 3 for recording 1; give class_names in the order"),
        ([0, -1], "A label must be a class index from 0 to 2, found -1 for recording 1"),
        ([0, 0.5], "A label must be a class index from 0 to 2, found 0.5 for recording 1"),
        ([0, "dog"], "A label must be a class index from 0 to 2, found 'dog' for recording 1"),
        ([[0], ["dog"]], "A label must be a class index from 0 to 2, found 'dog' for recording 1"),
        (
            [[0], None],
            "all be class indices or all be lists of them, found None for recording 1 among lists; write []",
        ),
        (
            [[1], [0, 1, 0]],
            "must name a class once, found 0 twice for recording 1; give labels of 0 and 1 as an array",
        ),
        (
            np.zeros((2, 4)),
            "one column for each of the 3 classes, found the shape (2, 4); give the labels in the order",
        ),
        (np.array([[0, 0, 1], [0, 0.7, 0]]), "must hold 0 and 1 only, found 0.7 for recording 1; round probabilities"),
    ],
)
def test_other_labels_are_refused(labels, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        label_array(labels, 3)


def test_logits_become_double_precision() -> None:
    assert logit_array(np.zeros((2, 3), np.float16), 3).dtype == np.float64


@pytest.mark.parametrize(
    ("logits", "sentence"),
    [
        (
            np.zeros((2, 4)),
            "logits must have the shape (recordings, 3), a column for each of class_names and at least",
        ),
        (np.zeros((0, 3)), "at least one recording, found (0, 3)."),
        (np.zeros(3), "at least one recording, found (3,)."),
        (
            [[0, 0, 0], [0, np.nan, 0], [np.inf, 0, 0]],
            "logits must be finite, found NaN or infinity for 2 of 3 recordings, the first recording 1; a training "
            "that diverged needs a lower learning rate.",
        ),
    ],
)
def test_other_logits_are_refused(logits, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        logit_array(logits, 3)
