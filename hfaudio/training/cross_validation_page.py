"""The results of a cross-validation as one HTML file that needs nothing else."""

import base64
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hfaudio.data.html_pages import page_environment
from hfaudio.evaluation import HEADLINES
from hfaudio.evaluation.audible_errors import audible_errors
from hfaudio.evaluation.top_losses_page import TEMPLATES
from hfaudio.training.cross_validation import CrossValidation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_summary_page"]

TEMPLATE = "cross_validation_template.html"
PAGE = "index.html"
LISTED_ERRORS = 40
SHOWN_ERRORS = 12
LISTED_PAIRS = 15
DOTS_PER_INCH = 110


def write_summary_page(result: CrossValidation, folder: str | os.PathLike[str]) -> Path:
    """Writes `index.html`: scores of each fold and together, per class, confusions, and the worst errors, to be heard.

    Args:
        result: Of all folds.
        folder: Where it is written.

    Returns:
        The file.
    """
    pooled, summary = result.interpretation, result.summary()
    picture = None if pooled.multi_label else _embedded(pooled.plot_confusion_matrix())
    template = page_environment(Path(__file__).parent, TEMPLATES).get_template(TEMPLATE)
    page = template.render(
        metrics={HEADLINES[name]: scores for name, scores in summary["metrics"].items()},
        folds=[(fold.fold, len(fold.file_names)) for fold in result.folds],
        seconds=summary["train_seconds"],
        recordings=summary["recordings"],
        per_class=pooled.per_class(),
        confused=[] if pooled.multi_label else pooled.most_confused()[:LISTED_PAIRS],
        errors=pooled.top_losses(LISTED_ERRORS),
        shown=[] if pooled.waveforms is None else audible_errors(pooled, SHOWN_ERRORS),
        picture=picture,
        summary=summary,
        calibration_picture=_embedded(result.calibration.plot()),
    )
    path = Path(folder) / PAGE
    path.write_text(page, encoding="utf-8", errors="backslashreplace")  # not every file name is text
    return path


def _embedded(figure: "Figure") -> str:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    return base64.b64encode(drawn.getvalue()).decode()
