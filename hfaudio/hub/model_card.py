"""Filling in the model card."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import scipy.stats
from huggingface_hub import ModelCard
from markupsafe import Markup

from hfaudio.data.number_formats import as_count, as_counted
from hfaudio.evaluation import Interpretation
from hfaudio.hub.card_metadata import card_metadata, dataset_name, is_same_model
from hfaudio.hub.card_tables import (
    class_table,
    confusion_table,
    cost_table,
    headline,
    parts_table,
    results_table,
)
from hfaudio.hub.markdown import code_block, markdown_table, markdown_text, python_text, shell_text
from hfaudio.hub.run_description import describe_augmentation, describe_features, describe_training
from hfaudio.hub.split_description import SplitDescription
from hfaudio.training import RunArguments, TrainedClassifier

__all__ = ["write_model_card"]

# In a checkout the template lies in model_card/; an installed wheel carries it beside this file.
TEMPLATE_PLACES = (
    Path(__file__).with_name("template.md"),
    Path(__file__).parents[2] / "model_card" / "template.md",
)
MOST_NAMES = 30  # classes that a sentence lists


def write_model_card(
    folder: str | os.PathLike[str], run: RunArguments, trained: TrainedClassifier, name: str, command: str
) -> Path:
    """Writes `README.md`, the model's card, with the metadata that the Hub reads.

    All text of others, such as the names of classes, stands in it as text, whatever it holds.

    Args:
        folder: The model's folder; pictures and tables that lie in it are shown or named.
        run: All settings.
        trained: The model, what was measured of it, and what happened meanwhile.
        name: Of the model: that of its folder, or `owner/name`.
        command: What made it; see `shown_command`.

    Returns:
        The card's path.
    """
    folder = Path(folder)
    template = next(place for place in TEMPLATE_PLACES if place.is_file())
    environment = _environment(template.parent)
    path = folder / "README.md"
    text = environment.get_template(template.name).render(_facts(folder, run, trained, name, command))
    # Not every path is text; a byte that is none is shown as \xff.
    ModelCard(text.encode(errors="surrogateescape").decode(errors="backslashreplace")).save(path)
    return path


def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        finalize=markdown_text,  # of everything but what is Markdown already
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        code=code_block,
        counted=as_counted,
        listed=_listed,
        moment=lambda text: f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC",
        number=as_count,
        percent=lambda share: f"{100 * share:.1f} %",
        points=lambda share: f"{100 * share:.1f} points",
        python=python_text,
        shell=shell_text,
    )
    return environment


def _facts(folder: Path, run: RunArguments, trained: TrainedClassifier, name: str, command: str) -> dict[str, Any]:
    """What the template knows."""
    errors, split, metadata = trained.interpretation, SplitDescription.of(trained), card_metadata(name, run, trained)
    features = describe_features(run, trained.model, trained.feature_extractor)
    augmentation = describe_augmentation(run.augmentation)
    return {
        "augmentation_table": _two_columns("flag", "meaning", augmentation) if augmentation else None,
        "base_model": run.base_model,
        "base_revision": trained.record.base_model_revision,
        "of_itself": is_same_model(run.base_model, name),
        "class_table": class_table(errors, split),
        "classes": errors.class_names,
        "command": command,
        "confused": [] if errors.multi_label else errors.most_confused(),
        "confusion_table": None if errors.multi_label else confusion_table(errors),
        "cost_table": cost_table(trained),
        "dataset": dataset_name(run),
        "errors": errors,
        "features_table": _two_columns("what", "how", features),
        "files": {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()},
        "headline": headline(trained),
        "license": metadata.license,
        "metadata": Markup(metadata.to_yaml()),
        "metrics": trained.metrics,
        "name": name,
        "parts_table": parts_table(split),
        "rarest": split.rarest_class(errors.class_names),
        "results_table": results_table(trained),
        "run": run,
        "split": split,
        "title": name.rpartition("/")[2],
        "trained": trained,
        "training_table": _two_columns("what", "how", describe_training(run.training, trained.record)),
        "unseen": [row["class"] for row in errors.per_class() if not row["recordings"]],
        "versions": ", ".join(f"{package} {version}" for package, version in trained.record.versions.items()),
        **_accuracy(trained, errors),
    }


def _accuracy(trained: TrainedClassifier, errors: Interpretation) -> dict[str, Any]:
    """How many recordings are right, and the bounds of the accuracy; of folds the deviation tells more."""
    if errors.multi_label or trained.cross_validation is not None:
        return {"interval": None}
    right = int((errors.predicted == errors.labels).sum())
    interval = scipy.stats.binomtest(right, len(errors.labels)).proportion_ci(method="wilson")
    return {"right": right, "interval": (interval.low, interval.high)}


def _two_columns(first: str, second: str, rows: Mapping[str, str]) -> Markup:
    return markdown_table((first, second), list(rows.items()))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")
