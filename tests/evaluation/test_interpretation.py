import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import hfaudio.evaluation
from hfaudio.evaluation import Interpretation

NAMES = ["cat", "dog", "owl"]
FILES = [f"{letter}.wav" for letter in "abcdef"]
LABELS = [0, 0, 1, 1, 1, 2]
# The probabilities, with log as logits; cats are taken for dogs once, dogs for cats twice, and no owl is found.
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]]
)

SEVERAL = [[0], [0, 1], [1], []]
# As in test_metrics: the first class is found once of twice and once wrong, the second once of twice.
SIGMOIDS = np.array([[0.9, 0.2, 0.1], [0.4, 0.8, 0.1], [0.6, 0.3, 0.2], [0.1, 0.4, 0.1]])


class Waveforms:
    """Noise, and a note of what was read."""

    def __init__(self, recordings: int) -> None:
        self.recordings = recordings
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.recordings

    def __getitem__(self, index: int) -> np.ndarray:
        self.read.append(index)
        return np.random.default_rng(index).uniform(-1, 1, 8_000).astype(np.float32)


@pytest.fixture
def single() -> Interpretation:
    return Interpretation.from_predictions(FILES, LABELS, np.log(PROBABILITIES), NAMES, Waveforms(6), 16_000)


@pytest.fixture
def several() -> Interpretation:
    logits = np.log(SIGMOIDS / (1 - SIGMOIDS))
    return Interpretation.from_predictions(FILES[:4], SEVERAL, logits, NAMES, Waveforms(4), 16_000)


def test_rows_of_the_confusion_matrix_are_true_classes(single) -> None:
    matrix = single.confusion_matrix()
    assert matrix.tolist() == [[1, 1, 0], [2, 1, 0], [0, 1, 0]]
    assert np.issubdtype(matrix.dtype, np.integer)


def test_pairs_stand_in_falling_order_and_equal_ones_in_that_of_the_classes(single) -> None:
    assert single.most_confused() == [
        {"label": "dog", "predicted": "cat", "count": 2},
        {"label": "cat", "predicted": "dog", "count": 1},
        {"label": "owl", "predicted": "dog", "count": 1},
    ]
    assert single.most_confused(min_count=2) == [{"label": "dog", "predicted": "cat", "count": 2}]
    assert single.most_confused(min_count=3) == []


def test_each_class_by_hand(single) -> None:
    assert single.per_class() == [
        {"class": "cat", "recordings": 2, "precision": pytest.approx(1 / 3), "recall": 0.5,
         "f1": pytest.approx(2 / 5), "confused_with": "dog"},
        {"class": "dog", "recordings": 3, "precision": pytest.approx(1 / 3), "recall": pytest.approx(1 / 3),
         "f1": pytest.approx(1 / 3), "confused_with": "cat"},
        {"class": "owl", "recordings": 1, "precision": None, "recall": 0.0, "f1": 0.0, "confused_with": "dog"},
    ]  # fmt: skip


def test_a_class_that_does_not_occur_has_no_recall() -> None:
    rows = Interpretation.from_predictions(["a.wav"], [0], [[2.0, 1.0, 0.0]], NAMES).per_class()
    assert [row["recall"] for row in rows] == [1.0, None, None]
    assert [row["f1"] for row in rows] == [1.0, None, None]
    assert [row["confused_with"] for row in rows] == ["", "", ""]


def test_the_highest_losses_come_first(single) -> None:
    assert single.top_losses(3) == [
        {"file_name": "f.wav", "label": "owl", "predicted": "dog", "probability": 0.1, "loss": 2.302585},
        {"file_name": "c.wav", "label": "dog", "predicted": "cat", "probability": 0.2, "loss": 1.609438},
        {"file_name": "b.wav", "label": "cat", "predicted": "dog", "probability": 0.3, "loss": 1.203973},
    ]
    assert [row["file_name"] for row in single.top_losses(99)] == [f"{letter}.wav" for letter in "fcbdae"]


def test_losses_of_sure_errors_stay_finite() -> None:
    certain = Interpretation.from_predictions(["a.wav"], [0], [[-800.0, 800.0]], ["x", "y"])
    assert certain.losses.tolist() == [1600.0]
    certain = Interpretation.from_predictions(["a.wav"], [[0]], [[-800.0, 800.0]], ["x", "y"])
    assert certain.losses.tolist() == [800.0]


def test_each_class_of_several_by_hand(several) -> None:
    assert several.multi_label
    assert several.per_class() == [
        {"class": "cat", "recordings": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        {"class": "dog", "recordings": 2, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)},
        {"class": "owl", "recordings": 0, "precision": None, "recall": None, "f1": None},
    ]


def test_a_single_class_of_multi_label_data_is_judged_by_itself() -> None:
    rows = Interpretation.from_predictions(FILES[:3], [[0], [], [0]], [[1.0], [1.0], [-1.0]], ["cat"]).per_class()
    assert rows == [{"class": "cat", "recordings": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5}]


def test_half_a_probability_counts_as_found() -> None:
    half = Interpretation.from_predictions(["a.wav"], [[0]], [[0.0, -0.1]], ["x", "y"])
    assert half.predicted.tolist() == [[True, False]]


def test_the_highest_losses_of_several_name_the_worst_class(several) -> None:
    # The third: cat was found with 0.6 and is absent, dog was missed with 0.3, owl is absent with 0.2.
    loss = -np.log([0.4, 0.3, 0.8]).mean()
    first, second = several.top_losses(2)
    assert first == {
        "file_name": "c.wav", "label": "dog", "predicted": "cat", "probability": 0.3,
        "loss": pytest.approx(loss, abs=1e-6), "worst_class": "dog",
    }  # fmt: skip
    assert (second["file_name"], second["label"], second["predicted"]) == ("b.wav", "cat;dog", "dog")
    assert (second["worst_class"], second["probability"]) == ("cat", 0.4)


@pytest.mark.parametrize("method", ["confusion_matrix", "most_confused", "plot_confusion_matrix"])
def test_multi_label_data_has_no_confusion_matrix(several, method: str) -> None:
    with pytest.raises(ValueError, match=r"needs one class for each recording, found multi-label data; use per_class"):
        getattr(several, method)()


def test_numbers_below_one_are_refused(single) -> None:
    with pytest.raises(ValueError, match=r"^min_count must be at least 1, found 0\.$"):
        single.most_confused(min_count=0)
    for method in (single.top_losses, single.plot_top_losses):
        with pytest.raises(ValueError, match=r"^k must be at least 1, found 0\.$"):
            method(0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"file_names": ["a.wav"]}, "file_names must be as many as the 6 rows of logits, found 1; give those of the"),
        ({"labels": [0, 1]}, "labels must be as many as the 6 rows of logits, found 2"),
        (
            {"waveforms": Waveforms(5), "sampling_rate": 8_000},
            "waveforms must be as many as the 6 rows of logits, fou",
        ),
        ({"waveforms": Waveforms(6)}, "sampling_rate must be given in Hz where waveforms are, found None; pass both."),
        ({"class_names": ["cat", "dog"]}, "logits must have the shape (recordings, 2), a column for each of class_n"),
        ({"labels": [0, 0, 1, 1, 1, 3]}, "A label must be a class index from 0 to 2, found 3 for recording 5"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, sentence: str) -> None:
    parts = {"file_names": FILES, "labels": LABELS, "logits": np.log(PROBABILITIES), "class_names": NAMES}
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Interpretation.from_predictions(**{**parts, **change})


def test_only_what_is_drawn_is_read(single) -> None:
    single.per_class()
    single.top_losses(6)
    assert single.waveforms.read == []
    figure = single.plot_top_losses(2)
    assert single.waveforms.read == [5, 2]
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "owl (10%) → dog (80%)\nf.wav, loss 2.30",
        "dog (20%) → cat (70%)\nc.wav, loss 1.61",
    ]


def test_pictures_of_several_classes_name_the_worst(several) -> None:
    titles = [axes.get_title(loc="left") for axes in several.plot_top_losses().axes]
    assert titles[0] == "dog → cat\nworst class: dog (30%)\nc.wav, loss 0.78"
    assert titles[1].startswith("cat; dog → dog\nworst class: cat (40%)")
    assert titles[2].startswith("none → none\nworst class: dog (40%)")
    assert len(titles) == 4


def test_without_waveforms_there_is_nothing_to_draw() -> None:
    silent = Interpretation.from_predictions(FILES, LABELS, np.log(PROBABILITIES), NAMES)
    with pytest.raises(ValueError, match=r"needs the waveforms, found none; give waveforms and sampling_rate to from"):
        silent.plot_top_losses()


def test_the_confusion_matrix_is_drawn(single) -> None:
    axes = single.plot_confusion_matrix().axes[0]
    assert axes.get_title(loc="left") == "2 of 6 right (33.3%)"


def test_matplotlib_is_imported_where_something_is_drawn_and_not_before() -> None:
    package = Path(hfaudio.evaluation.__file__).parents[1]
    space = package / "hub" / "space"  # a program of its own, which always draws
    for path in package.rglob("*.py"):
        if path.is_relative_to(space):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(module.split(".")[0] == "matplotlib" for module in modules), path


def test_drawing_leaves_pyplot_alone(single) -> None:
    loaded = "matplotlib.pyplot" in sys.modules
    single.plot_confusion_matrix()
    single.plot_top_losses(1)
    assert ("matplotlib.pyplot" in sys.modules) == loaded
