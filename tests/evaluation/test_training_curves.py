import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hfaudio.evaluation import plot_training_curves

HISTORY = [
    {"loss": 2.0, "grad_norm": 1.0, "learning_rate": 1e-3, "epoch": 1.0, "step": 10},
    {"eval_loss": 1.8, "eval_accuracy": 0.5, "eval_macro_f1": 0.4, "eval_runtime": 1.0, "epoch": 1.0, "step": 10},
    {"loss": 1.0, "grad_norm": 1.0, "learning_rate": 5e-4, "epoch": 2.0, "step": 20},
    {"eval_loss": 1.2, "eval_accuracy": 0.75, "eval_macro_f1": 0.7, "eval_runtime": 1.0, "epoch": 2.0, "step": 20},
    {"train_runtime": 3.0, "train_loss": 1.5, "epoch": 2.0, "step": 20},
]


def draw(history):
    with warnings.catch_warnings(action="error"):
        figure = plot_training_curves(history)
        FigureCanvasAgg(figure).draw()
    return {
        axes.get_title(loc="left"): {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
        for axes in figure.axes
    }


def test_losses_metrics_and_learning_rate_are_drawn_over_epochs() -> None:
    assert draw(HISTORY) == {
        "Loss": {"training": [[1, 2.0], [2, 1.0]], "evaluation": [[1, 1.8], [2, 1.2]]},
        "Evaluation metrics": {"accuracy": [[1, 0.5], [2, 0.75]], "macro-F1": [[1, 0.4], [2, 0.7]]},
        "Learning rate": {"learning rate": [[1, 1e-3], [2, 5e-4]]},
    }
    axes = plot_training_curves(HISTORY).axes
    assert [one.get_xlabel() for one in axes] == ["epoch"] * 3
    assert [one.get_xlim()[0] for one in axes] == [0.0] * 3
    assert axes[1].get_ylim() == (0.0, 1.02)
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["training", "evaluation"]


def test_multi_label_runs_show_their_metrics() -> None:
    entry = {"eval_mean_average_precision": 0.5, "eval_macro_f1": 0.25, "epoch": 1.0}
    assert draw([entry]) == {"Evaluation metrics": {"mean average precision": [[1, 0.5]], "macro-F1": [[1, 0.25]]}}


def test_what_was_not_logged_is_left_out() -> None:
    assert list(draw([entry for entry in HISTORY if "loss" in entry])) == ["Loss", "Learning rate"]
    assert list(draw([entry for entry in HISTORY if "eval_loss" in entry])) == ["Loss", "Evaluation metrics"]


def test_a_single_point_has_a_marker() -> None:
    figure = plot_training_curves(HISTORY[:1])
    assert [axes.get_lines()[0].get_marker() for axes in figure.axes] == ["o", "o"]
    many = [{"loss": 1.0, "epoch": float(index)} for index in range(100)]
    assert plot_training_curves(many).axes[0].get_lines()[0].get_marker() == "None"


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_a_gap_that_is_named(broken: float) -> None:
    history = [{"loss": loss, "epoch": epoch} for epoch, loss in enumerate([2.0, broken, 1.0, broken])]
    figure = plot_training_curves(history)
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    np.testing.assert_equal(axes.get_lines()[0].get_ydata(), [2.0, np.nan, 1.0, np.nan])
    assert [text.get_text() for text in axes.texts] == ["training: not finite at 2 of 4 points, the first at epoch 1"]


def test_nothing_but_nan_can_be_drawn() -> None:
    nan = float("nan")
    draw([{"loss": nan, "eval_loss": nan, "eval_accuracy": nan, "learning_rate": nan, "epoch": 1.0}])


@pytest.mark.parametrize("history", [[], [{"train_runtime": 3.0, "epoch": 1.0}], [{"loss": 1.0}]])
def test_where_nothing_was_logged_the_picture_says_so(history) -> None:
    figure = plot_training_curves(history)
    assert not figure.axes
    assert [text.get_text() for text in figure.texts] == ["Nothing was logged during the training."]


def test_without_epochs_steps_are_drawn() -> None:
    history = [{name: value for name, value in entry.items() if name != "epoch"} for entry in HISTORY]
    assert draw(history)["Loss"]["training"] == [[10, 2.0], [20, 1.0]]
    assert plot_training_curves(history).axes[0].get_xlabel() == "step"


def test_a_run_that_stands_at_zero_can_be_drawn() -> None:
    draw([{"loss": 0.0, "learning_rate": 0.0, "epoch": 0.0}])
