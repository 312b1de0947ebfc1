import pytest

from hfaudio.evaluation.text_fitting import fit_text, text_inches


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
