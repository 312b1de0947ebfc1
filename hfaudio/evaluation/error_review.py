"""The errors of a classifier as pictures and tables in a folder."""

import os
from pathlib import Path

from hfaudio.evaluation.audible_errors import Evidence
from hfaudio.evaluation.csv_file import write_csv
from hfaudio.evaluation.interpretation import Interpretation
from hfaudio.evaluation.top_losses_page import write_top_losses_page

__all__ = ["write_error_review"]

LISTED = 100  # recordings in top_losses.csv
DRAWN = 9  # recordings in top_losses.png
DOTS_PER_INCH = 120

CONFUSED_COLUMNS = ("label", "predicted", "count")


def write_error_review(
    interpretation: Interpretation, folder: str | os.PathLike[str], evidence: Evidence | None = None
) -> list[Path]:
    """Writes what an `Interpretation` shows.

    `per_class.csv` and `top_losses.csv` are always written; `most_confused.csv` and `confusion_matrix.png` unless the
    data is multi-label; `top_losses.png` and `top_losses.html` if the waveforms are known.

    Args:
        interpretation: The predictions.
        folder: Made if it is not there; files of these names are replaced.
        evidence: Says where a recording speaks for a class, for the page; see `write_top_losses_page`.

    Returns:
        The files that were written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    per_class, top_losses = interpretation.per_class(), interpretation.top_losses(LISTED)
    written = [
        write_csv(folder / "per_class.csv", tuple(per_class[0]), per_class),
        write_csv(folder / "top_losses.csv", tuple(top_losses[0]), top_losses),
    ]
    figures = {}
    if not interpretation.multi_label:
        # There may be no row to take the columns from.
        written.append(write_csv(folder / "most_confused.csv", CONFUSED_COLUMNS, interpretation.most_confused()))
        figures["confusion_matrix.png"] = interpretation.plot_confusion_matrix()
    if interpretation.waveforms is not None:
        figures["top_losses.png"] = interpretation.plot_top_losses(DRAWN)
        written.append(write_top_losses_page(interpretation, folder / "top_losses.html", evidence))
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=DOTS_PER_INCH)
        written.append(folder / name)
    return written
