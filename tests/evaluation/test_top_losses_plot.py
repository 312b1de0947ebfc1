import re
import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hfaudio.evaluation.top_losses_plot import draw_top_losses, log_mel_levels

RATE = 16_000
ROW = {
    "file_name": "a/b.wav", "label": "dog", "predicted": "cat", "probability": 0.031, "predicted_probability": 0.92,
    "loss": 3.4738,
}  # fmt: skip


def tone(frequency: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def draw(rows, waveforms, rate: int = RATE):
    figure = draw_top_losses(rows, iter(waveforms), rate)
    with warnings.catch_warnings(action="error"):
        FigureCanvasAgg(figure).draw()
    return figure


def test_titles_say_what_it_is_and_what_it_was_taken_for() -> None:
    (axes,) = draw([ROW], [tone(440)]).axes
    assert axes.get_title(loc="left") == "dog (3%) → cat (92%)\na/b.wav, loss 3.47"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("seconds", "kHz")


def test_long_names_take_two_lines_and_stay_above_their_panel() -> None:
    row = ROW | {"label": "M" * 60, "predicted": "Accelerating and revving", "file_name": r"$\nonsense$" + "W" * 80}
    figure = draw([row] * 9, [tone(440, 0.01)] * 9)
    first, second, third = figure.axes[0].get_title(loc="left").split("\n")
    assert re.fullmatch(r"M+…M+ \(3%\)", first)
    assert second == "→ Accelerating and revving (92%)"
    assert re.fullmatch(r"\$\\nonsense\$W+…W+, loss 3.47", third)
    renderer = figure.canvas.get_renderer()
    for axes in figure.axes:
        assert axes._left_title.get_window_extent(renderer).x1 <= axes.get_window_extent(renderer).x1


@pytest.mark.parametrize(("number", "lines", "columns"), [(1, 1, 1), (2, 1, 2), (5, 2, 3), (9, 3, 3), (10, 3, 4)])
def test_panels_fill_a_grid(number: int, lines: int, columns: int) -> None:
    axes = draw_top_losses([ROW] * number, [tone(440, 0.01)] * number, RATE).axes
    assert len(axes) == number
    assert axes[0].get_gridspec().get_geometry() == (lines, columns)
    assert [bool(one.get_ylabel()) for one in axes] == [index % columns == 0 for index in range(number)]
    assert [bool(one.get_xlabel()) for one in axes] == [index >= number - columns for index in range(number)]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("frequency", [500, 1_000, 2_000])
def test_a_tone_lies_at_its_tick(frequency: int, rate: int) -> None:
    (axes,) = draw([ROW], [tone(frequency, rate=rate)], rate).axes
    image = axes.get_images()[0]
    band = image.get_array()[:, image.get_array().shape[1] // 2].argmax()
    assert image.origin == "lower"  # so that the first band lies at the bottom of the extent
    _, _, bottom, top = image.get_extent()
    height = bottom + (band + 0.5) * (top - bottom) / image.get_array().shape[0]
    ticks = dict(zip([text.get_text() for text in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert ticks[f"{frequency / 1000:g}"] == pytest.approx(height, abs=0.75)


def test_ticks_end_at_half_the_sampling_rate() -> None:
    (axes,) = draw([ROW], [tone(440)]).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "0.5", "1", "2", "4", "8"]
    assert (axes.get_yticks()[0], axes.get_yticks()[-1]) == pytest.approx(axes.get_ylim())


def test_a_click_lies_at_its_second() -> None:
    samples = np.zeros(2 * RATE, np.float32)
    samples[round(1.5 * RATE)] = 1.0
    image = draw([ROW], [samples]).axes[0].get_images()[0]
    levels = image.get_array()
    start, end, _, _ = image.get_extent()
    assert (start, end) == (0.0, 2.0)
    assert (levels.mean(axis=0).argmax() + 0.5) / levels.shape[1] * (end - start) == pytest.approx(1.5, abs=0.02)


def test_of_long_recordings_the_middle_is_drawn() -> None:
    samples = np.zeros(40 * 1_000, np.float32)
    samples[:5_000] = samples[-5_000:] = 1.0
    image = draw([ROW], [samples], 1_000).axes[0].get_images()[0]
    assert image.get_extent()[:2] == [5.0, 35.0]
    assert image.get_array().max() == -75.0


def test_levels_are_relative_to_the_loudest() -> None:
    levels = log_mel_levels(tone(1_000), RATE)
    assert levels.shape == (128, 401)
    assert (levels.min(), levels.max()) == (-75.0, 0.0)
    np.testing.assert_allclose(log_mel_levels(1e-4 * tone(1_000), RATE), levels, atol=0.01)


@pytest.mark.parametrize("rate", [1_000, 16_000, 96_000])
@pytest.mark.parametrize("samples", [1, 100, 5_000])
def test_short_recordings_at_any_rate_can_be_drawn(samples: int, rate: int) -> None:
    levels = log_mel_levels(np.ones(samples, np.float32), rate)
    assert np.isfinite(levels).all()
    draw([ROW], [np.ones(samples, np.float32)], rate)


def test_silence_is_black() -> None:
    assert (log_mel_levels(np.zeros(RATE, np.float32), RATE) == -75.0).all()


@pytest.mark.parametrize(
    ("waveform", "found"),
    [
        (np.zeros(0), "found the shape (0,); prepare it first."),
        (np.zeros((2, 100)), "found the shape (2, 100); prepare it"),
        ([0.0, np.nan], "found the shape (2,) with NaN or infinity; prepare it"),
    ],
)
def test_what_is_no_waveform_is_refused(waveform, found: str) -> None:
    sentence = f"The waveform of a/b.wav must have the shape (samples,) with at least one sample, all finite, {found}"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        draw_top_losses([ROW], [waveform], RATE)
