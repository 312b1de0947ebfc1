import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hfaudio.evaluation import Interpretation, write_top_losses_page

NOISE = np.random.default_rng(0).uniform(-1, 1, (14, 4_000)).astype(np.float32)


def page_of(folder: Path, labels, names=("cat", "dog"), evidence=None) -> str:
    files = [f"<script>{index}.wav" for index in range(14)]
    logits = np.random.default_rng(0).normal(size=(14, len(names)))
    errors = Interpretation.from_predictions(files, labels, logits, names, NOISE, 8_000)
    return write_top_losses_page(errors, folder / "page.html", evidence).read_text(encoding="utf-8")


@pytest.mark.parametrize("explained", [False, True])
def test_the_page_needs_nothing_else(tmp_path: Path, explained: bool) -> None:
    page = page_of(tmp_path, [0, 1] * 7, evidence=(lambda samples, label: samples[::80] ** 2) if explained else None)
    sources = re.findall(r' src="([^"]*)"', page)
    assert len(sources) == 12 * (3 if explained else 2)
    assert ("HiResCAM" in page) == explained
    assert re.findall(r' href="([^"]*)"', page) == ["top_losses.csv"]
    assert "The 12 of 14 held-out recordings" in page
    for source in sources:
        kind, content = source.split(";base64,")
        decoded = base64.b64decode(content, validate=True)
        if kind == "data:audio/mpeg":
            samples, rate = soundfile.read(io.BytesIO(decoded))
            assert rate == 8_000
            assert len(samples) >= 4_000
        else:
            assert kind == "data:image/png"
            assert decoded.startswith(b"\x89PNG")


def test_names_are_text(tmp_path: Path) -> None:
    page = page_of(tmp_path, [0] * 14, names=("<b>bold", "<i>slanted"))
    for tag in ("<script", "<b>bold", "<i>slanted"):
        assert tag not in page
    assert "&lt;b&gt;bold → &lt;i&gt;slanted" in page


def test_recordings_of_no_class_and_of_several_are_named(tmp_path: Path) -> None:
    page = page_of(tmp_path, [[], [0, 1]] * 7, evidence=lambda samples, label: np.ones(10))
    assert "cat; dog" in page
    assert re.search(r"<b>none( →|</b>)", page)
    assert "the class that adds most to the loss" in page


def test_two_names_from_right_to_left_stay_in_their_order(tmp_path: Path) -> None:
    page = page_of(tmp_path, [0] * 14, names=("\u05d0", "\u05d1"))
    assert "<b>\u200e\u05d0\u200e → \u200e\u05d1\u200e</b>" in page
