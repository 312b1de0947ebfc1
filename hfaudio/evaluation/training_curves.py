"""How losses, metrics and learning rate went during a training."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hfaudio.evaluation.classification import HEADLINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_training_curves"]

MARKED_POINTS = 40  # at most; longer curves are lines alone
PANEL = (4.6, 3.4)  # inches

Curve = tuple[list[float], list[float]]


def plot_training_curves(log_history: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draws the losses, the metrics of the part that is evaluated on the way and the learning rate over the epochs.

    What was not logged is left out; where a value is not finite, its curve has a gap and the panel says so.

    Args:
        log_history: `Trainer.state.log_history`: one mapping a log entry, with `epoch` or else `step`.

    Example:
        >>> figure = plot_training_curves([{"loss": 2.3, "learning_rate": 1e-3, "epoch": 0.5}])
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['Loss', 'Learning rate']
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    unit = "epoch" if any("epoch" in entry for entry in log_history) else "step"
    panels = [
        ("Loss", {"training": "loss", "evaluation": "eval_loss"}),
        ("Evaluation metrics", {words: f"eval_{name}" for name, (words, _) in HEADLINES.items()}),
        ("Learning rate", {"learning rate": "learning_rate"}),
    ]
    drawn = []
    for title, keys in panels:
        curves = {name: _curve(log_history, key, unit) for name, key in keys.items()}
        logged = {name: curve for name, curve in curves.items() if curve[0]}
        if logged:
            drawn.append((title, logged))
    figure = Figure(figsize=(PANEL[0] * max(1, len(drawn)), PANEL[1]), layout="constrained")
    if not drawn:
        figure.text(0.5, 0.5, "Nothing was logged during the training.", ha="center", va="center")
        return figure
    # Two colours of a perceptually uniform map that differ in brightness, for whoever cannot tell colours apart.
    colors = colormaps["viridis"]([0.2, 0.65])
    panel_axes = figure.subplots(1, len(drawn), squeeze=False, sharex=True)[0]
    for axes, (title, curves) in zip(panel_axes, drawn, strict=True):
        for color, (name, (places, values)) in zip(colors, curves.items(), strict=False):
            marker = "o" if len(places) <= MARKED_POINTS else None
            axes.plot(places, values, label=name, color=color, marker=marker, markersize=3.5, linewidth=1.6)
        _finish(axes, title, curves, unit)
    last = max(place for _, curves in drawn for places, _ in curves.values() for place in places)
    panel_axes[0].set_xlim(0.0, 1.03 * last or 1.0)
    return figure


def _curve(log_history: Sequence[Mapping[str, Any]], key: str, unit: str) -> Curve:
    """Where a value was logged, and the values; NaN stands for whatever is not finite."""
    points = [(float(entry[unit]), float(entry[key])) for entry in log_history if key in entry and unit in entry]
    return [place for place, _ in points], [value if math.isfinite(value) else math.nan for _, value in points]


def _finish(axes: "Axes", title: str, curves: Mapping[str, Curve], unit: str) -> None:
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(unit, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    finite = [value for _, values in curves.values() for value in values if not math.isnan(value)]
    if title == "Evaluation metrics":
        axes.set_ylim(0.0, 1.02)
    elif finite and min(finite) >= 0.0:
        axes.set_ylim(0.0, 1.05 * max(finite) or 1.0)
    if title == "Learning rate":
        # A power of ten above the axis would push the title up.
        axes.yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    else:
        axes.legend(fontsize=8, frameon=False)
    broken = [
        f"{name}: not finite at {sum(map(math.isnan, values))} of {len(values)} points, the first at {unit} {first:g}"
        for name, (places, values) in curves.items()
        for first in [place for place, value in zip(places, values, strict=True) if math.isnan(value)][:1]
    ]
    if broken:
        axes.text(0.02, 0.02, "\n".join(broken), transform=axes.transAxes, fontsize=8, color="#b40426")
