"""The picture of what a model hears: the spectrogram, and beneath it the scores over time."""

import numpy as np
from listening import Heard
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from transformers.audio_utils import hertz_to_mel

__all__ = ["draw"]

INK = "#807a8a"  # legible on a light page and on a dark one, as the lines are
LINES = ("#c2398f", "#e07b1a", "#1f9e89", "#4b8fe0", "#8f6ad8", "#b0a020")
DYNAMIC_RANGE = 75.0  # dB; what lies lower is drawn black
FREQUENCIES = (0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000)  # Hz


def draw(heard: Heard, top_k: int, threshold: float) -> Figure:
    """Draws a recording and the probabilities of its classes over time, on a transparent ground.

    Args:
        heard: What the model hears.
        top_k: How many classes have a line, six at most.
        threshold: Drawn as a dashed line; 0 for none.
    """
    figure = Figure(figsize=(8.6, 4.8), dpi=160, layout="constrained", facecolor="none")
    spectrogram, scores = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_spectrogram(spectrogram, heard)
    _draw_scores(scores, heard, top_k, threshold)
    for axes in (spectrogram, scores):
        axes.tick_params(colors=INK, labelsize=8, length=0)
        axes.set_facecolor("none")
        axes.spines[:].set_visible(False)
        axes.yaxis.label.set_color(INK)
    return figure


def _draw_spectrogram(axes: Axes, heard: Heard) -> None:
    loudest = float(heard.spectrogram.max())
    highest = _mel(heard.highest)
    axes.imshow(
        heard.spectrogram,
        aspect="auto",
        origin="lower",
        cmap="magma",
        vmin=loudest - DYNAMIC_RANGE,
        vmax=loudest,
        extent=(0, heard.seconds, 0, highest),
    )
    shown = [frequency for frequency in FREQUENCIES if frequency <= heard.highest]
    axes.set_yticks([_mel(frequency) for frequency in shown])
    axes.set_yticklabels([f"{frequency / 1000:g}" for frequency in shown])
    axes.set_ylabel("kHz", fontsize=8)


def _mel(frequency: float) -> float:
    return float(hertz_to_mel(frequency, mel_scale="htk"))


def _draw_scores(axes: Axes, heard: Heard, top_k: int, threshold: float) -> None:
    # The first and the last window reach to the ends of the recording.
    times = np.concatenate([[0.0], heard.window_middles, [heard.seconds]])
    for label, color in zip(list(heard.scores)[:top_k], LINES, strict=False):
        axes.plot(times, np.pad(heard.window_scores[label], 1, mode="edge"), color=color, label=label, linewidth=1.8)
    if threshold > 0:
        axes.axhline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_xlabel("seconds", fontsize=8, color=INK)
    axes.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)
    if not heard.scores:  # silence has no lines to name
        return
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(LINES),
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        borderpad=0,
        handlelength=1.2,
        columnspacing=1.4,
    )
