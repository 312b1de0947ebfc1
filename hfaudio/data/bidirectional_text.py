"""Names in any script, in lines that read from left to right: which name stands first must be sure."""

import unicodedata

__all__ = ["left_to_right", "show_overrides"]

MARK = "\N{LEFT-TO-RIGHT MARK}"
OVERRIDES = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))  # Unicode, annex 9
ESCAPES = {number: f"\\u{number:04x}" for number in OVERRIDES}


def show_overrides(text: str) -> str:
    r"""Escapes the characters that turn round all that follows them, which a name may hold.

    Args:
        text: Also as `markupsafe.Markup`.

    Example:
        >>> print(show_overrides("\u202egnp.exe"))
        \u202egnp.exe
    """
    return text.translate(ESCAPES)


def left_to_right(text: str) -> str:
    """Puts marks around right-to-left text, so that it does not turn round the line in which it stands.

    Args:
        text: A part of the line.
    """
    turned = any(unicodedata.bidirectional(one) in ("R", "AL") for one in text)
    return f"{MARK}{text}{MARK}" if turned else text
