import warnings

import pytest
from matplotlib import font_manager, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hfaudio.data.bidirectional_text import left_to_right
from hfaudio.evaluation import text_fitting
from hfaudio.evaluation.text_fitting import fit_text, fonts_for, text_inches


def test_width_grows_with_text_and_font() -> None:
    assert text_inches("MM", 10) == pytest.approx(2 * text_inches("M", 10), rel=0.02)
    assert text_inches("M", 20) == pytest.approx(2 * text_inches("M", 10), rel=0.02)
    assert 0.1 < text_inches("M", 10) < 0.14  # 0.86 of 10 points


def test_what_fits_stays_on_one_line() -> None:
    assert fit_text("a dog\n barks", 10, 5.0) == "a dog barks"


@pytest.mark.parametrize("inches", [0.3, 0.7, 1.0, 1.3, 1.7, 2.0])
def test_what_does_not_fit_loses_its_middle_and_no_more(inches: float) -> None:
    text = "0123456789" * 5
    fitted = fit_text(text, 10, inches)
    head, tail = fitted.split("…")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(tail) == (len(head) + len(tail)) // 3
    assert text_inches(fitted, 10) <= inches < text_inches(fitted + "0", 10)


def test_where_nothing_fits_the_ellipsis_is_left() -> None:
    assert fit_text("dog", 10, 0.01) == "…"
    assert fit_text("", 10, 0.01) == ""


HOSTILE = {
    "dog": "dog",
    "狗": "\\u72d7",
    "कु": "\\u0915\\u0941",
    "🐶 dog": ":dog face: dog",
    "👩\u200d🚀": ":woman::rocket:",
    "👍🏽": ":thumbs up sign::emoji modifier fitzpatrick type-4:",
    "狗\ufe0f\u200f": "\\u72d7",
    "a\nb\tc": "a b c",
    "\u202egnp": "\\u202egnp",
    "\x07bell": "\\x07bell",
    "\udcff": "\\udcff",
    "$a_b$": "$a_b$",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_what_no_font_has_is_written_otherwise(text: str, monkeypatch) -> None:
    monkeypatch.setattr(text_fitting, "_other_fonts", list)
    with warnings.catch_warnings(), fonts_for(HOSTILE) as drawable:
        warnings.simplefilter("error")
        assert drawable(text) == HOSTILE[text]
        draw(drawable(text))


def test_another_font_stands_in_for_the_usual_one(monkeypatch) -> None:
    # Of fonts that come with matplotlib itself, so that it does not matter which are installed.
    fonts = {font.name: font.fname for font in font_manager.fontManager.ttflist if font.name == "STIXGeneral"}
    usual, other = (
        font_manager.get_font(path) for path in (font_manager.findfont("DejaVu Sans"), fonts["STIXGeneral"])
    )
    character = chr(min(set(other.get_charmap()) - set(usual.get_charmap())))
    monkeypatch.setattr(text_fitting, "_other_fonts", lambda: [*fonts.items()])
    with warnings.catch_warnings(), fonts_for([character]) as drawable:
        warnings.simplefilter("error")
        assert drawable(character) == character
        picture = draw(character)
        assert rcParams["font.family"][-1] == "STIXGeneral"
    assert "STIXGeneral" not in rcParams["font.family"]
    assert picture != draw("")


def test_a_font_that_is_broken_or_gone_is_passed_over(monkeypatch, tmp_path) -> None:
    (tmp_path / "broken.ttf").write_text("broken")
    fonts = [("Broken", str(tmp_path / "broken.ttf")), ("Gone", str(tmp_path / "gone.ttf"))]
    monkeypatch.setattr(text_fitting, "_other_fonts", lambda: fonts)
    with fonts_for(["狗"]) as drawable:
        assert drawable("狗") == "\\u72d7"
    with fonts_for([]) as drawable:
        assert drawable("") == ""


def test_the_fonts_that_are_looked_through_have_letters_for_letters() -> None:
    families = [family for family, _ in text_fitting._other_fonts()]
    assert "DejaVu Sans" in families
    assert not [family for family in families if family.startswith(("Last Resort", "STIX", "cm"))]


def test_marks_of_direction_take_no_room() -> None:
    assert text_inches(left_to_right("\u05e9"), 9) == text_inches("\u05e9", 9)


def draw(text: str) -> bytes:
    figure = Figure(figsize=(1, 1))
    figure.text(0.5, 0.5, text, parse_math=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return bytes(canvas.buffer_rgba())
