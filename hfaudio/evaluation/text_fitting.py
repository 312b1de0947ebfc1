"""Text of others in a picture: in fonts that have its characters, and cut to fit before anything is laid out."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

__all__ = ["drawable_text", "fit_text", "fonts_for", "text_inches"]

POINTS = 72.0  # an inch
OF_FORMULAS = re.compile("Last Resort|STIX|cm[a-z]+10")  # fonts of matplotlib's own, with boxes or signs for letters
JOINERS_AND_MARKS = "\u200c\u200d\u200e\u200f"
REORDERING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})  # Unicode, annex 9


@contextmanager
def fonts_for(texts: Iterable[str]) -> Iterator[None]:
    """Lets installed fonts stand in for characters that the usual one lacks, in what is drawn within the block.

    Args:
        texts: What is to be drawn.
    """
    from matplotlib import rc_context, rcParams

    families = {_family_of(one): None for text in texts for one in text}
    further = [family for family in families if family]
    with rc_context({"font.family": [*rcParams["font.family"], *further]}):
        yield


def drawable_text(text: str) -> str:
    r"""Writes what no font can draw in other characters: `:dog face:` for a picture, else its number, as `\u72d7`.

    Args:
        text: Of any characters.
    """
    return "".join(one if _is_drawable(one) else _described(one) for one in " ".join(text.split()))


def _is_drawable(character: str) -> bool:
    return unicodedata.bidirectional(character) not in REORDERING and _family_of(character) is not None


def _described(character: str) -> str:
    """What stands for a character that cannot be drawn; nothing for what only changes how its neighbour looks."""
    category = unicodedata.category(character)
    if category in ("Sk", "Mn", "Me") or character in JOINERS_AND_MARKS:
        return ""
    name = unicodedata.name(character, "") if category == "So" else ""
    return f":{name.lower()}:" if name else character.encode("unicode_escape").decode()


@lru_cache(maxsize=100_000)
def _family_of(character: str) -> str | None:
    """The first family of fonts with a character; empty for the usual one, None if no font has it."""
    from matplotlib.font_manager import FontProperties, findfont

    if character.isspace() or _has_glyph(findfont(FontProperties()), character):
        return ""
    return next((family for family, path in _other_fonts() if _has_glyph(path, character)), None)


@lru_cache(maxsize=1)
def _other_fonts() -> list[tuple[str, str]]:
    """Family and file of each upright font of usual weight that is installed, those without serifs first."""
    from matplotlib.font_manager import fontManager

    fonts = {
        font.name: font.fname
        for font in fontManager.ttflist
        if font.style == "normal" and font.weight in (400, "normal", "regular") and not OF_FORMULAS.match(font.name)
    }
    return sorted(fonts.items(), key=lambda font: ("Sans" not in font[0], "Mono" in font[0], font[0]))


def _has_glyph(path: str, character: str) -> bool:
    from matplotlib.font_manager import get_font

    try:
        font = get_font(path)
        # A font of coloured pictures may know a character and have nothing that can be drawn in one colour.
        return font.get_char_index(ord(character)) != 0 and any(font.load_char(ord(character)).bbox)
    except RuntimeError:  # FreeType's; the font is broken, or of a kind that matplotlib does not draw
        return False


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
