"""The results of a cross-validation as one HTML file that needs nothing else."""

import base64
import io
import os
from pathlib import Path

import jinja2

from hfaudio.evaluation import HEADLINES
from hfaudio.training.cross_validation import CrossValidation

__all__ = ["write_summary_page"]

TEMPLATE = Path(__file__).with_name("cross_validation_template.html")
PAGE = "index.html"
LISTED_ERRORS = 40
LISTED_PAIRS = 15
DOTS_PER_INCH = 110


def write_summary_page(result: CrossValidation, folder: str | os.PathLike[str]) -> Path:
    """Writes `index.html`: scores of each fold and together, per class, confusions, and the worst errors.

    Args:
        result: Of all folds.
        folder: Where it is written.

    Returns:
        The file.
    """
    pooled, summary = result.interpretation, result.summary()
    picture = None
    if not pooled.multi_label:
        drawn = io.BytesIO()
        pooled.plot_confusion_matrix().savefig(drawn, format="png", dpi=DOTS_PER_INCH)
        picture = base64.b64encode(drawn.getvalue()).decode()
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        metrics={HEADLINES[name]: scores for name, scores in summary["metrics"].items()},
        folds=[(fold.fold, len(fold.file_names)) for fold in result.folds],
        seconds=summary["train_seconds"],
        recordings=summary["recordings"],
        per_class=pooled.per_class(),
        confused=[] if pooled.multi_label else pooled.most_confused()[:LISTED_PAIRS],
        errors=pooled.top_losses(LISTED_ERRORS),
        picture=picture,
    )
    path = Path(folder) / PAGE
    path.write_text(page, encoding="utf-8")
    return path
