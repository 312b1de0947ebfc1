"""The picture of how far probabilities can be believed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ReliabilityBin", "draw_calibration"]

PANEL = (4.2, 4.9)  # inches
HEIGHTS = (4.0, 1.0)  # of the curve and of the counts
MARGIN = 0.03


class ReliabilityBin(NamedTuple):
    """Predictions of about the same probability.

    Attributes:
        confidence: Their mean probability.
        right: The share that is right.
        number: How many there are.
    """

    confidence: float
    right: float
    number: int


def draw_calibration(sides: Mapping[str, Sequence[ReliabilityBin]], multi_label: bool) -> "Figure":
    """Draws one reliability diagram a side, and below it how many predictions lie where.

    Args:
        sides: Of each its title and its bins.
        multi_label: Whether every class of a recording counts, not its most probable one alone.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(PANEL[0] * len(sides), PANEL[1]), layout="constrained")
    grid = figure.subplots(
        2, len(sides), squeeze=False, sharex=True, sharey="row", gridspec_kw={"height_ratios": HEIGHTS}
    )
    # Far apart in brightness, for whoever cannot tell colours apart.
    dark, light = colormaps["viridis"](0.25), colormaps["magma"](0.75)
    for (title, bins), curve, counts in zip(sides.items(), *grid, strict=True):
        confidence, right, number = zip(*bins, strict=True)
        curve.set_title(title, loc="left", fontsize="medium")
        curve.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="as it should be")
        curve.vlines(confidence, confidence, right, color=light, linewidth=3, label="how far off")
        curve.plot(confidence, right, color=dark, marker="o", markersize=4, linewidth=1.4, label="as it is")
        counts.vlines(confidence, 0, number, color=dark, linewidth=6)
        counts.set_xlabel("probability of a class" if multi_label else "probability of the predicted class")
        counts.xaxis.set_major_formatter(PercentFormatter(1.0))
        curve.grid(color="0.92")
        for axes in (curve, counts):
            axes.spines[["top", "right"]].set_visible(False)
    first, below = grid[0][0], grid[1][0]
    first.set(xlim=(-MARGIN, 1 + MARGIN), ylim=(-MARGIN, 1 + MARGIN))
    first.set_ylabel("share that is there" if multi_label else "share that is right")
    first.yaxis.set_major_formatter(PercentFormatter(1.0))
    first.legend(frameon=False, loc="lower right", fontsize="small")
    below.set_ylim(0, 1.05 * max(own.number for bins in sides.values() for own in bins))
    below.set_ylabel("probabilities" if multi_label else "recordings")
    return figure
