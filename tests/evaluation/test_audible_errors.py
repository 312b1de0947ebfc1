import io

import numpy as np
import pytest
from matplotlib.image import imread

from hfaudio.evaluation import Interpretation, audible_errors

RATE = 8_000
NAMES = ["cat", "dog", "owl", "bee", "ant"]


class Waveforms:
    """Twelve seconds of quiet with a loud tenth of a second at the eighth; and a note of what was read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __getitem__(self, index: int) -> np.ndarray:
        self.read.append(index)
        samples = np.random.default_rng(index).normal(0, 0.001, 12 * RATE).astype(np.float32)
        samples[8 * RATE : 8 * RATE + 800] += 0.5
        return samples


@pytest.fixture
def single() -> Interpretation:
    logits = np.log([[0.6, 0.1, 0.1, 0.1, 0.1], [0.5, 0.25, 0.15, 0.06, 0.04], [0.1, 0.1, 0.6, 0.1, 0.1]])
    return Interpretation.from_predictions(["a", "b", "c"], [0, 4, 1], logits, NAMES, Waveforms(), RATE)


def test_the_worst_are_read_and_no_others(single) -> None:
    first, second = audible_errors(single, 2)
    assert single.waveforms.read == [1, 2]
    assert (first.file_name, first.label, first.predicted, first.explained) == ("b", "ant", "cat", "cat")
    assert (first.loss, first.seconds, first.evidence) == (pytest.approx(-np.log(0.04), abs=1e-6), 12.0, None)
    scores = [(score.class_name, round(score.probability, 6), score.right) for score in first.scores]
    assert scores == [("cat", 0.5, False), ("dog", 0.25, False), ("owl", 0.15, False), ("ant", 0.04, True)]
    assert [score.right for score in second.scores] == [False, False, True]
    assert first.excerpt.start <= 8.0 <= first.excerpt.start + first.excerpt.seconds - 0.1


def test_the_excerpt_is_where_most_speaks_for_the_prediction(single) -> None:
    asked = []

    def evidence(samples: np.ndarray, label: int) -> np.ndarray:
        asked.append(label)
        found = np.full(1201, -5.0, np.float32)
        found[250:270] = 2.0
        found[270:280] = 1.0
        return found

    (error,) = audible_errors(single, 1, evidence)
    assert asked == [0]  # cat
    assert error.excerpt.start <= 2.5
    assert error.excerpt.start + error.excerpt.seconds >= 2.8
    strip = imread(io.BytesIO(error.evidence), format="png")[0, :, :3].sum(axis=1)
    assert len(strip) == 500
    brightest = np.flatnonzero(strip == strip.max()) / 100 + error.excerpt.start
    assert (brightest.min(), brightest.max()) == pytest.approx((2.5, 2.69), abs=0.02)
    assert (np.sort(np.unique(strip))[:1] < 0.05).all()


def test_several_classes_are_explained_by_the_worst() -> None:
    logits = np.array([[3.0, -4.0, -3.0, -3.0, -3.0]])
    several = Interpretation.from_predictions(["a"], [[0, 1]], logits, NAMES, Waveforms(), RATE)
    (error,) = audible_errors(several, 1, lambda samples, label: np.full(100, float(label == 1)))
    assert (error.label, error.predicted, error.explained) == ("cat;dog", "cat", "dog")
    assert [score.class_name for score in error.scores if score.right] == ["cat", "dog"]
    assert imread(io.BytesIO(error.evidence), format="png").min() > 0.5  # bright throughout: it was asked for dogs


def test_without_waveforms_nothing_can_be_heard() -> None:
    silent = Interpretation.from_predictions(["a"], [0], [[1.0, 0.0]], ["x", "y"])
    with pytest.raises(ValueError, match="needs the waveforms, found none; give them to Interpretation"):
        audible_errors(silent, 1)
