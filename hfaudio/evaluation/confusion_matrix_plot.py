"""The picture of a confusion matrix, for two classes as for hundreds."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hfaudio.evaluation.text_fitting import POINTS, fit_text, fonts_for, text_inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["draw_confusion_matrix"]

# Inches.
LARGEST_SIDE = 20.0  # more classes than fit get smaller cells
CELL_FOR_COUNTS = 0.3  # below which digits cannot be read
CELL_FOR_GRID = 0.12  # below which lines hide the cells
LONGEST_NAME = 2.2
BESIDE = {"left": 0.45, "right": 1.05, "bottom": 0.45, "top": 0.45}  # for what is written around matrix and names
BAR = (0.15, 0.15, 4.0)  # distance, width and largest height of the scale of colours

FAINTEST = 0.06  # of the colour map, so that a single error among thousands is not white
DARKEST = 0.92
DARK = 0.55  # luminance below which digits are white


def draw_confusion_matrix(counts: np.ndarray, class_names: Sequence[str]) -> "Figure":
    """Draws a confusion matrix: colours are shares of a row, digits are counts, and what did not happen is white.

    Args:
        counts: `(num_labels, num_labels)`, a row for each true class.
        class_names: In the order of the indices.
    """
    with fonts_for(class_names) as drawable:
        return _draw(counts, [drawable(name) for name in class_names])


def _draw(counts: np.ndarray, class_names: Sequence[str]) -> "Figure":
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    number = len(class_names)
    cell = min(float(np.interp(number, (2, 10, 50), (1.0, 0.55, 0.24))), LARGEST_SIDE / number)
    side = cell * number
    font = float(np.clip(cell * POINTS * 0.62, 5.0, 10.0))
    names = [fit_text(name, font, LONGEST_NAME) for name in class_names]
    longest = max(text_inches(name, font) for name in names)
    level = longest < 0.9 * cell
    # Laid out by hand, because the layout engines shrink a square matrix when its names are long.
    left, bottom = BESIDE["left"] + longest, BESIDE["bottom"] + (1.5 * font / POINTS if level else longest)
    width, height = left + side + BESIDE["right"], bottom + side + BESIDE["top"]
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # A perceptually uniform map from nearly white to nearly black.
    colors = ListedColormap(colormaps["magma_r"](np.linspace(FAINTEST, DARKEST, 256)))
    image = axes.imshow(np.ma.masked_where(counts == 0, shares), cmap=colors, vmin=0.0, vmax=1.0)
    step = math.ceil(font / POINTS / cell)  # names that would overlap are left out
    axes.set_xticks(range(0, number, step), names[::step], rotation=0 if level else 90, fontsize=font)
    axes.set_yticks(range(0, number, step), names[::step], fontsize=font)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a name with two dollar signs is no formula
    axes.set_xlabel("predicted", fontsize=11)
    axes.set_ylabel("true", fontsize=11)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_color("0.75")
    right, total = int(np.trace(counts)), int(counts.sum())
    axes.set_title(f"{right:,} of {total:,} right ({right / max(total, 1):.1%})", fontsize=11, loc="left")
    if cell >= CELL_FOR_GRID:
        axes.set_xticks(np.arange(number + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(number + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="0.9", linewidth=min(1.0, 2.5 * cell))
    if cell >= CELL_FOR_COUNTS:
        _write_counts(axes, image, counts, shares, cell)
    distance, thickness, tallest = BAR
    tall = min(side, tallest)
    place = (left + side + distance) / width, (bottom + side - tall) / height, thickness / width, tall / height
    bar = figure.colorbar(image, cax=figure.add_axes(place), format=lambda share, _: f"{share:.0%}")
    bar.set_label("share of the true class", fontsize=9)
    bar.ax.tick_params(labelsize=8, length=2)
    bar.outline.set_visible(False)
    return figure


def _write_counts(axes: "Axes", image: "AxesImage", counts: np.ndarray, shares: np.ndarray, cell: float) -> None:
    for row, column in np.argwhere(counts).tolist():
        digits = f"{counts[row, column]:,}"
        # As large as the cell allows, in height and in width.
        size = min(11.0, 0.45 * cell * POINTS, 0.85 * cell / text_inches(digits, 1.0))
        red, green, blue, _ = image.to_rgba(shares[row, column])
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < DARK
        color = "white" if dark else "black"
        axes.text(column, row, digits, ha="center", va="center", fontsize=size, color=color)
