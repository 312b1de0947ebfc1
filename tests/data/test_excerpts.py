import io

import numpy as np
import pytest
import soundfile

from hfaudio.data.excerpts import (
    COLORS,
    color_map,
    encode_mp3,
    encode_png,
    log_mel_image,
    make_excerpt,
    richest_span,
)


@pytest.mark.parametrize("frequency", [200, 1000, 6000])
def test_a_tone_is_drawn_at_its_height(frequency: int) -> None:
    image = log_mel_image(np.sin(2 * np.pi * frequency * np.arange(16_000) / 16_000).astype(np.float32), 16_000)
    assert image.max() == COLORS - 1
    row = int(image[:, 100:200].mean(axis=1).argmax())
    expected = 1 - np.log1p(frequency / 700) / np.log1p(8000 / 700)
    assert (row + 0.5) / len(image) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("count", [1, 100, 700, 16_000])
def test_any_length_can_be_drawn_and_heard(count: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, count).astype(np.float32)
    image = log_mel_image(samples, 16_000)
    assert 1 <= image.shape[1] <= 362
    soundfile.read(io.BytesIO(encode_mp3(samples, 20_000)))


def test_a_png_is_what_others_read() -> None:
    image_module = pytest.importorskip("PIL.Image")
    palette = np.array([[0, 0, 0], [255, 0, 0], [1, 2, 3]], np.uint8)
    image = image_module.open(io.BytesIO(encode_png(np.array([[0, 1], [2, 0], [1, 1]], np.uint8), palette)))
    assert np.array(image.convert("RGB")).tolist()[1] == [[1, 2, 3], [0, 0, 0]]


def test_an_excerpt_ends_with_its_recording() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 6 * 8_000).astype(np.float32)
    excerpt = make_excerpt(samples, 8_000, 0)
    assert (excerpt.start, excerpt.seconds, excerpt.highest) == (0.0, 5.0, 4_000.0)
    excerpt = make_excerpt(samples, 8_000, 16_000)
    assert (excerpt.start, excerpt.seconds) == (2.0, 4.0)


@pytest.mark.parametrize(("length", "start"), [(1, 2), (2, 2), (3, 1), (5, 0), (9, 0)])
def test_the_richest_span_holds_most(length: int, start: int) -> None:
    assert richest_span(np.array([0.0, 2.0, 5.0, 4.0, 1.0]), length) == start


def test_colors_run_from_dark_to_light() -> None:
    brightness = color_map(COLORS).astype(int).sum(axis=1)
    assert len(brightness) == COLORS
    assert (np.diff(brightness) >= 0).all()
    assert brightness[0] < 10
    assert brightness[-1] > 600
