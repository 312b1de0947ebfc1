"""Names that would turn round the line in which they stand."""

from markupsafe import Markup

from hfaudio.data.bidirectional_text import left_to_right, show_overrides
from hfaudio.data.html_pages import page_environment


def test_right_to_left_text_does_not_turn_its_line() -> None:
    assert left_to_right("dog 狗") == "dog 狗"
    assert left_to_right("\u05e9") == "\u200e\u05e9\u200e"
    assert left_to_right("a/\u0643.wav") == "\u200ea/\u0643.wav\u200e"
    assert left_to_right("") == ""


def test_overrides_are_shown_and_turn_nothing() -> None:
    assert show_overrides("a\u202egnp\u2069") == "a\\u202egnp\\u2069"
    assert show_overrides("\u0643\u200f狗") == "\u0643\u200f狗"
    assert isinstance(show_overrides(Markup("\u202e")), Markup)


def test_no_page_holds_an_override() -> None:
    page = page_environment().from_string("{% macro shown(x) %}<b>{{ x }}</b>{% endmacro %}{{ shown(name) }}{{ 1 }}")
    assert page.render(name="<\u202egnp>") == "<b>&lt;\\u202egnp&gt;</b>1"
