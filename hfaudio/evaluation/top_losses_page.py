"""The recordings that a classifier is most wrong about, as one HTML file that needs nothing else."""

import os
from pathlib import Path

from hfaudio.data.html_pages import page_environment
from hfaudio.evaluation.audible_errors import Evidence, audible_errors
from hfaudio.evaluation.interpretation import Interpretation

__all__ = ["TEMPLATES", "write_top_losses_page"]

TEMPLATES = Path(__file__).parent
"""Where `audible_error_template.html` lies, for other pages that show errors."""

SHOWN = 12


def write_top_losses_page(
    interpretation: Interpretation, path: str | os.PathLike[str], evidence: Evidence | None = None
) -> Path:
    """Writes a page with a player and a spectrogram of each of the dozen highest losses.

    Args:
        interpretation: With waveforms.
        path: Of the page; its folder must exist.
        evidence: Says where a recording speaks for a class, which is drawn below the spectrogram.

    Returns:
        The page.

    Raises:
        ValueError: The waveforms are not known.
    """
    path = Path(path)
    page = (
        page_environment(TEMPLATES)
        .get_template("top_losses_template.html")
        .render(
            errors=audible_errors(interpretation, SHOWN, evidence),
            recordings=len(interpretation.file_names),
            explained=evidence is not None,
            multi_label=interpretation.multi_label,
        )
    )
    path.write_text(page, encoding="utf-8", errors="backslashreplace")  # not every file name is text
    return path
