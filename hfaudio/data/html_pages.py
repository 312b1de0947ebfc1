"""What the pages in HTML have in common: how they write numbers, draw axes and carry pictures and sounds."""

import base64
from pathlib import Path
from typing import Any

import jinja2

from hfaudio.data.axis_ticks import frequency_ticks, time_ticks
from hfaudio.data.bidirectional_text import left_to_right, show_overrides
from hfaudio.data.number_formats import as_count, as_decibels, as_duration, as_hertz, as_percent, as_seconds

__all__ = ["page_environment"]

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
        finalize=_shown,  # of everything that is put in
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS, data_uri=_data_uri, left_to_right=left_to_right)
    environment.globals.update(frequency_ticks=frequency_ticks, time_ticks=time_ticks)
    return environment


def _shown(value: Any) -> Any:
    return show_overrides(value) if isinstance(value, str) else value


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
