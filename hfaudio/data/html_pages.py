"""What the pages in HTML have in common: how they write numbers, draw axes and carry pictures and sounds."""

import base64
import unicodedata
from pathlib import Path

import jinja2

from hfaudio.data.axis_ticks import frequency_ticks, time_ticks
from hfaudio.data.number_formats import as_count, as_decibels, as_duration, as_hertz, as_percent, as_seconds

__all__ = ["left_to_right", "page_environment"]

MARK = "\N{LEFT-TO-RIGHT MARK}"

FILTERS = {
    "number": as_count,
    "percent": as_percent,
    "duration": as_duration,
    "seconds": as_seconds,
    "hertz": as_hertz,
    "decibels": as_decibels,
}


def page_environment(*folders: Path) -> jinja2.Environment:
    """Finds templates, and gives them what all share.

    A page extends `page_template.html`; the macro `player` of `excerpt_template.html` shows and plays an `Excerpt`.

    Args:
        *folders: With further templates, each before the next.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS, data_uri=_data_uri, left_to_right=left_to_right)
    environment.globals.update(frequency_ticks=frequency_ticks, time_ticks=time_ticks)
    return environment


def left_to_right(text: str) -> str:
    """Puts marks around right-to-left text, so that it does not turn round the line in which it stands.

    Args:
        text: A part of the line.
    """
    turned = any(unicodedata.bidirectional(one) in ("R", "AL") for one in text)
    return f"{MARK}{text}{MARK}" if turned else text


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
