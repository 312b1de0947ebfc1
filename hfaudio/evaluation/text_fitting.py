"""Text of others in a picture: in fonts that have its characters, and cut to fit before anything is laid out."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from hfaudio.data.bidirectional_text import show_overrides

__all__ = ["fit_text", "fonts_for", "text_inches"]

POINTS = 72.0  # an inch
OF_FORMULAS = re.compile("Last Resort|STIX|cm[a-z]+10")  # fonts of matplotlib's own, with boxes or signs for letters
USUAL = ""  # the family that is set
UNSEEN = re.compile("[\u200c-\u200f\ufe00-\ufe0f]")  # joiners, marks of direction, variation selectors


@contextmanager
def fonts_for(texts: Iterable[str]) -> Iterator[Callable[[str], str]]:
    r"""Lets installed fonts stand in for characters that the usual one lacks, in what is drawn within the block.

    Args:
        texts: All that is to be drawn.

    Yields:
        What makes of one of the texts a line that can be drawn: a picture that no font has becomes its name, as
        `:dog face:`, another character its number, as `\\u72d7`.
    """
    from matplotlib import rc_context, rcParams

    families = _families(set().union(*map(_as_line, texts)))
    further = sorted({family for family in families.values() if family is not None} - {USUAL})
    with rc_context({"font.family": [*rcParams["font.family"], *further]}):
        yield lambda text: "".join(one if families[one] is not None else _described(one) for one in _as_line(text))


def _as_line(text: str) -> str:
    return show_overrides(" ".join(text.split()))


def _families(characters: set[str]) -> dict[str, str | None]:
    """The first family of fonts that has each character; None where no font has it."""
    from matplotlib.font_manager import FontProperties, findfont

    families: dict[str, str | None] = {one: USUAL if one == " " else None for one in characters}
    wanted = characters - {" "}
    for family, path in [(USUAL, findfont(FontProperties())), *_other_fonts()]:
        found = _drawn_by(path, wanted)
        families |= dict.fromkeys(found, family)
        wanted -= found
        if not wanted:
            break
    return families


def _drawn_by(path: str, characters: set[str]) -> set[str]:
    """Those of the characters that a font can draw."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(path)
        known = [one for one in characters if font.get_char_index(ord(one))]
        # A font of coloured pictures may know a character and have nothing that can be drawn in one colour.
        return {one for one in known if any(font.load_char(ord(one)).bbox)}
    except (OSError, RuntimeError):  # FreeType's; the font is gone, broken, or of a kind that matplotlib does not draw
        return set()


def _other_fonts() -> list[tuple[str, str]]:
    """Family and file of each upright font of usual weight that is installed, those without serifs first."""
    from matplotlib.font_manager import fontManager

    fonts = {
        font.name: font.fname
        for font in fontManager.ttflist
        if font.style == "normal" and font.weight in (400, "normal", "regular") and not OF_FORMULAS.match(font.name)
    }
    return sorted(fonts.items(), key=lambda font: ("Sans" not in font[0], "Mono" in font[0], font[0]))


def _described(character: str) -> str:
    """What stands for a character that cannot be drawn; nothing for what joins others or chooses among their looks."""
    if UNSEEN.match(character):
        return ""
    name = unicodedata.name(character, "") if unicodedata.category(character) in ("So", "Sk") else ""
    return f":{name.lower()}:" if name else character.encode("unicode_escape").decode()


def text_inches(text: str, font_size: float) -> float:
    """Measures one line of text in the font that is set.

    Args:
        text: What is written.
        font_size: In points.

    Returns:
        The width in inches.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=font_size), ismath=False)
    return float(width) / POINTS


def fit_text(text: str, font_size: float, inches: float) -> str:
    """Puts text on one line of at most some width.

    What does not fit is cut out before the last third, because names often differ at their end.

    Args:
        text: What is written.
        font_size: In points.
        inches: The width, at most.
    """
    text = " ".join(text.split())
    if text_inches(text, font_size) <= inches:
        return text
    fewest, most = 0, len(text) - 1
    while fewest < most:
        kept = (fewest + most + 1) // 2
        if text_inches(_without_middle(text, kept), font_size) <= inches:
            fewest = kept
        else:
            most = kept - 1
    return _without_middle(text, fewest)


def _without_middle(text: str, kept: int) -> str:
    tail = kept // 3
    return f"{text[: kept - tail]}…{text[len(text) - tail :]}"
