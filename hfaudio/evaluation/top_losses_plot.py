"""Spectrograms of the recordings that a classifier is most wrong about."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hfaudio.data.bidirectional_text import left_to_right
from hfaudio.evaluation.text_fitting import fit_text, fonts_for, text_inches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_top_losses", "log_mel_levels"]

WINDOW_SECONDS = 0.032
BANDS = 128
COLUMNS = 400  # of a picture, about; no frame is skipped for it
MOST_SECONDS = 30.0  # around the middle, which is what the feature extractor hears by default
DYNAMIC_RANGE = 75.0  # dB below the loudest; what lies lower is drawn black
DECIBELS = 10.0 / math.log(10.0)  # of a power that is e times as high
SILENCE = math.log(1e-6) * DECIBELS  # the offset in the feature extractor's logarithm

PANEL = (3.75, 2.5)  # inches
LINE = 3.0  # inches above a panel
TITLE_FONT = 9.0  # points
TEXTS = ("label", "predicted", "worst_class", "file_name")  # of a row


def draw_top_losses(rows: Sequence[Mapping[str, Any]], waveforms: Iterable[Any], sampling_rate: int) -> "Figure":
    """Draws a log-mel spectrogram for each row, with what it is and what it was taken for.

    Args:
        rows: Of `Interpretation.top_losses`; with `predicted_probability` where one class is predicted.
        waveforms: Of the rows, `(samples,)` each.
        sampling_rate: Of the waveforms, in Hz.

    Raises:
        ValueError: A waveform is empty, not finite or not of one dimension.
    """
    texts = [{key: row[key] for key in TEXTS if key in row} for row in rows]
    with fonts_for(text for own in texts for text in own.values()) as drawable:
        written = [{key: drawable(text) for key, text in own.items()} for own in texts]
        return _draw([{**row, **own} for row, own in zip(rows, written, strict=True)], waveforms, sampling_rate)


def _draw(rows: Sequence[Mapping[str, Any]], waveforms: Iterable[Any], sampling_rate: int) -> "Figure":
    from matplotlib.figure import Figure

    columns = min(4, math.ceil(math.sqrt(len(rows))))
    lines = math.ceil(len(rows) / columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * lines))
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.08)  # inches
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for number, (axes, row, waveform) in enumerate(zip(panels, rows, waveforms, strict=False)):
        samples = np.asarray(waveform, dtype=np.float32)
        _check_samples(samples, row["file_name"])
        _draw_spectrogram(axes, samples, sampling_rate)
        axes.set_title(_title(row), loc="left", fontsize=TITLE_FONT, parse_math=False)
        if number % columns == 0:
            axes.set_ylabel("kHz", fontsize=8)
        if number + columns >= len(rows):
            axes.set_xlabel("seconds", fontsize=8)
    for axes in panels[len(rows) :]:
        axes.remove()
    return figure


def log_mel_levels(samples: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Computes what is drawn, with the feature extractor of the package.

    Args:
        samples: `(samples,)`, of any level.
        sampling_rate: In Hz.

    Returns:
        `(bands, frames)` in dB below the loudest, from -75 to 0; the lowest band (HTK scale) comes first.
    """
    from hfaudio.model import SpectrogramCNNFeatureExtractor

    window = max(16, round(WINDOW_SECONDS * sampling_rate))
    extractor = SpectrogramCNNFeatureExtractor(
        sampling_rate=sampling_rate,
        n_fft=4 << (window - 1).bit_length(),  # finer than the window resolves, so that low bands are not empty
        win_length=window,
        hop_length=int(np.clip(math.ceil(max(len(samples), window) / COLUMNS), 1, window)),
        n_mels=min(BANDS, 2 * window),
        crop_seconds=max(len(samples), window) / sampling_rate,
        max_seconds=max(len(samples), window) / sampling_rate,
    )
    peak = float(np.abs(samples).max())
    # At full scale, because the extractor's logarithm hides what is quiet by itself.
    features = extractor(
        samples / peak if peak > 0.0 else samples,
        sampling_rate=sampling_rate,
        return_tensors="np",
        mark_silence=False,
    )
    frames = features["attention_mask"][0].astype(bool)
    levels = features["input_features"][0, 0][:, frames] * DECIBELS
    return np.maximum(levels - max(float(levels.max()), SILENCE + DYNAMIC_RANGE), -DYNAMIC_RANGE)


def _draw_spectrogram(axes: "Axes", samples: np.ndarray, sampling_rate: int) -> None:
    longest = round(MOST_SECONDS * sampling_rate)
    first = max(0, (len(samples) - longest) // 2)
    samples = samples[first : first + longest]
    levels = log_mel_levels(samples, sampling_rate)
    bands, start, end = len(levels), first / sampling_rate, (first + len(samples)) / sampling_rate
    # The filters stand at even steps between 0 Hz and half the sampling rate, with neither at an end.
    axes.imshow(
        levels,
        cmap="magma",
        vmin=-DYNAMIC_RANGE,
        vmax=0.0,
        origin="lower",
        aspect="auto",
        extent=(start, end, 0.5, bands + 0.5),
    )
    axes.set_facecolor("black")
    axes.set_ylim(0.0, bands + 1.0)
    highest = sampling_rate / 2
    ticks = [tick for tick in (0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000) if tick <= highest]
    places = [(bands + 1.0) * math.log1p(tick / 700.0) / math.log1p(highest / 700.0) for tick in ticks]
    axes.set_yticks(places, [f"{tick / 1000:g}" for tick in ticks])
    axes.locator_params(axis="x", nbins=6)
    axes.tick_params(labelsize=7, length=2, color="0.5")
    axes.spines[:].set_visible(False)


def _check_samples(samples: np.ndarray, file_name: str) -> None:
    finite = bool(np.isfinite(samples).all())
    if samples.ndim != 1 or not len(samples) or not finite:
        raise ValueError(
            f"The waveform of {file_name} must have the shape (samples,) with at least one sample, all finite, found "
            f"the shape {samples.shape}{'' if finite else ' with NaN or infinity'}; prepare it first."
        )


def _title(row: Mapping[str, Any]) -> str:
    """What it is → what it was taken for, with probabilities, and the file below."""
    label, predicted = (row[key].replace(";", "; ") or "none" for key in ("label", "predicted"))
    if "worst_class" in row:
        probabilities = ("", "")
        lines = [_line(row["worst_class"], f" ({row['probability']:.0%})", "worst class: ")]
    else:
        probabilities = (f" ({row['probability']:.0%})", f" ({row['predicted_probability']:.0%})")
        lines = []
    whole = f"{left_to_right(label)}{probabilities[0]} → {left_to_right(predicted)}{probabilities[1]}"
    if text_inches(whole, TITLE_FONT) <= LINE:
        lines = [whole, *lines]
    else:
        lines = [_line(label, probabilities[0]), _line(predicted, probabilities[1], "→ "), *lines]
    return "\n".join([*lines, _line(row["file_name"], f", loss {row['loss']:.2f}")])


def _line(text: str, after: str, before: str = "") -> str:
    fitted = fit_text(text, TITLE_FONT, LINE - text_inches(before + after, TITLE_FONT))
    return before + left_to_right(fitted) + after
