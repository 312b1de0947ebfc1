"""How wide text becomes in a picture, so that it can be cut to fit before anything is laid out."""

__all__ = ["fit_text", "text_inches"]

POINTS = 72.0  # an inch


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
