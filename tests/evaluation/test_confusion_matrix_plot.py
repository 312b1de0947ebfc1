import warnings
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hfaudio.evaluation.confusion_matrix_plot import draw_confusion_matrix


def texts(labels) -> list[str]:
    return [label.get_text() for label in labels]


def boxes(figure, artists):
    return [artist.get_window_extent(figure.canvas.get_renderer()) for artist in artists]


def drawn(figure):
    FigureCanvasAgg(figure).draw()
    return figure


@pytest.fixture
def small():
    return draw_confusion_matrix(np.array([[1500, 0, 500], [1, 1, 0], [0, 0, 0]]), ["cat", "dog", "owl"])


def test_axes_and_title_say_what_is_drawn(small) -> None:
    axes, bar = small.axes
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "predicted")
    assert texts(axes.get_yticklabels()) == texts(axes.get_xticklabels()) == ["cat", "dog", "owl"]
    assert axes.get_title(loc="left") == "1,501 of 2,002 right (75.0%)"
    assert bar.get_ylabel() == "share of the true class"


def test_colours_are_shares_of_a_row_and_what_did_not_happen_has_none(small) -> None:
    image = small.axes[0].get_images()[0]
    shares = image.get_array()
    np.testing.assert_allclose(shares.filled(-1), [[0.75, -1, 0.25], [0.5, 0.5, -1], [-1, -1, -1]])
    assert image.get_clim() == (0.0, 1.0)


def test_counts_stand_where_something_was_counted(small) -> None:
    written = {text.get_position(): text.get_text() for text in small.axes[0].texts}
    assert written == {(0, 0): "1,500", (2, 0): "500", (0, 1): "1", (1, 1): "1"}
    colors = {text.get_text(): text.get_color() for text in small.axes[0].texts}
    assert (colors["1,500"], colors["500"]) == ("white", "black")


@pytest.mark.parametrize("number", [1, 2, 10, 35])
def test_counts_fit_into_their_cells(number: int) -> None:
    counts = np.diag([12_345] * number)
    figure = drawn(draw_confusion_matrix(counts, [f"class {index}" for index in range(number)]))
    axes = figure.axes[0]
    side = boxes(figure, [axes])[0].width / number
    assert len(axes.texts) == number
    assert all(box.width < side and box.height < side for box in boxes(figure, axes.texts))


def test_many_classes_have_no_counts_but_their_names() -> None:
    figure = draw_confusion_matrix(np.eye(50, dtype=int), [f"class {index}" for index in range(50)])
    axes = figure.axes[0]
    assert not axes.texts
    assert len(axes.get_xticklabels()) == len(axes.get_yticklabels()) == 50


@pytest.mark.parametrize("number", [1, 2, 10, 50])
@pytest.mark.parametrize("name", ["x", "Accelerating and revving, and vroom, of a motorcycle", "W" * 60])
def test_names_neither_overlap_nor_leave_the_picture(number: int, name: str) -> None:
    figure = drawn(draw_confusion_matrix(np.eye(number, dtype=int), [name] * number))
    axes, bar = figure.axes
    below, beside = boxes(figure, axes.get_xticklabels()), boxes(figure, axes.get_yticklabels())
    for names in (below, beside):
        assert not any(one.overlaps(other) for one, other in pairwise(names))
    predicted, true, share, title = boxes(
        figure, [axes.xaxis.label, axes.yaxis.label, bar.yaxis.label, axes._left_title]
    )
    assert min(box.y0 for box in below) > predicted.y1
    assert min(box.x0 for box in beside) > true.x1
    for box in (predicted, true, share, title, *below, *beside):
        assert min(box.x0, box.y0) >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height


def test_names_that_would_overlap_are_left_out() -> None:
    axes = draw_confusion_matrix(np.eye(300, dtype=int), [f"class {index}" for index in range(300)]).axes[0]
    assert texts(axes.get_xticklabels())[:3] == texts(axes.get_yticklabels())[:3] == ["class 0", "class 2", "class 4"]


@pytest.mark.parametrize(("number", "name", "most"), [(500, "name", 23), (2, "W" * 200, 7)])
def test_the_picture_stays_of_a_size_to_look_at(number: int, name: str, most: float) -> None:
    assert draw_confusion_matrix(np.eye(number, dtype=int), [name] * number).get_size_inches().max() < most


def test_dollar_signs_are_no_formula() -> None:
    figure = draw_confusion_matrix(np.eye(2, dtype=int), [r"$\nonsense$", "b"])
    with warnings.catch_warnings(action="error"):
        drawn(figure)
    assert figure.axes[0].get_yticklabels()[0].get_text() == r"$\nonsense$"


def test_no_recordings_at_all_can_be_drawn() -> None:
    figure = draw_confusion_matrix(np.zeros((2, 2), dtype=int), ["a", "b"])
    assert figure.axes[0].get_title(loc="left") == "0 of 0 right (0.0%)"
