"""The tables of a model's card."""

import statistics
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from hfaudio.data.number_formats import as_duration
from hfaudio.evaluation import HEADLINES, Interpretation, describe_metrics
from hfaudio.hub.markdown import markdown_table
from hfaudio.hub.split_description import SplitDescription
from hfaudio.training import TrainedClassifier

__all__ = ["class_table", "confusion_table", "cost_table", "headline", "parts_table", "results_table"]

MOST_CLASSES = 12  # that a table of all against all can have and still be read
MOST_PAIRS = 10
NEVER = "\N{MIDDLE DOT}"


def class_table(errors: Interpretation, split: SplitDescription) -> Markup:
    """One row a class: how many recordings were trained on and held out, precision, recall and F1.

    Args:
        errors: On the held-out recordings.
        split: Knows how many were trained on.
    """
    trained_on = split.training_counts or [None] * len(errors.class_names)
    header = ["class", "trained on", "held out", "precision", "recall", "F1"]
    rows = [
        [row["class"], count, row["recordings"], *(_rounded(row[name]) for name in ("precision", "recall", "f1"))]
        for row, count in zip(errors.per_class(), trained_on, strict=True)
    ]
    return markdown_table(header, rows)


def confusion_table(errors: Interpretation) -> Markup:
    """What was taken for what: all classes against all, or of many classes the pairs that were confused most.

    Args:
        errors: On held-out recordings of one class each.
    """
    names = errors.class_names
    if len(names) > MOST_CLASSES:
        pairs = errors.most_confused()[:MOST_PAIRS]
        return markdown_table(
            ["is", "was taken for", "times"], [[pair["label"], pair["predicted"], pair["count"]] for pair in pairs]
        )
    counts = errors.confusion_matrix()
    rows = [
        [name, *(_count(count, on_diagonal=row == column) for column, count in enumerate(own))]
        for row, (name, own) in enumerate(zip(names, counts.tolist(), strict=True))
    ]
    return markdown_table(["is \N{DOWNWARDS ARROW}, taken for \N{RIGHTWARDS ARROW}", *names], rows)


def results_table(trained: TrainedClassifier) -> Markup:
    """The headlines: of the held-out part, or of each fold with mean and deviation below.

    Args:
        trained: The model and what was measured of it.
    """
    folds = trained.cross_validation
    if folds is None:
        results, number = describe_metrics(trained.metrics), trained.metrics["eval_recordings"]
        return markdown_table(["held-out recordings", *results], [[f"{number:,}", *results.values()]])
    scores, seconds = folds["metrics"], folds["train_seconds"]
    rows = [
        [fold, *(_as_headline(name, own["folds"][fold]) for name, own in scores.items()), as_duration(seconds[fold])]
        for fold in seconds
    ]
    mean_seconds = as_duration(statistics.mean(seconds.values()))
    rows.append([Markup("**mean**"), *(_mean(name, own) for name, own in scores.items()), mean_seconds])
    return markdown_table(["held out", *(HEADLINES[name][0] for name in scores), "training"], rows)


def headline(trained: TrainedClassifier) -> str:
    """The headlines in one line.

    Args:
        trained: The model and what was measured of it.
    """
    if trained.cross_validation is None:
        return ", ".join(f"{name} {value}" for name, value in describe_metrics(trained.metrics).items())
    scores = trained.cross_validation["metrics"]
    return ", ".join(f"{HEADLINES[name][0]} {_mean(name, own)}" for name, own in scores.items())


def parts_table(split: SplitDescription) -> Markup:
    """One row a part of the split, with the hash of its recordings, and one of all parts together.

    Args:
        split: What is known of them.
    """
    shown = (*split.parts, split.together) if len(split.parts) > 1 else split.parts
    rows = [[part.name, f"{part.recordings:,}", part.sources or None, _code(part.sha256)] for part in shown]
    return markdown_table(["part", "recordings", "sources", "SHA-256"], rows)


def cost_table(trained: TrainedClassifier) -> Markup:
    """What the model weighs, and what it took to make it.

    Args:
        trained: The model, and what happened while it was trained.
    """
    record, model, folds = trained.record, trained.model, trained.cross_validation
    megabytes = sum(tensor.nbytes for tensor in model.state_dict().values()) / 1e6
    where = record.device if record.processes == 1 else f"{record.processes} processes, each on {record.device}"
    rows = [
        ("parameters", f"{model.num_parameters():,}"),
        ("weights", f"{megabytes:.1f} MB"),
        ("training", f"{as_duration(record.seconds)} on {where}"),
    ]
    if folds is not None:
        rows.append(("training of the folds", f"{as_duration(sum(folds['train_seconds'].values()))} in all"))
    scored = trained.metrics.get("eval_samples_per_second")
    if scored is not None:
        rows.append(("evaluation", f"{scored:,.0f} recordings a second on the same"))
    if record.peak_gpu_bytes is not None:
        rows.append(("most GPU memory", f"{record.peak_gpu_bytes / 1e9:.2f} GB"))
    if record.co2_kg is not None:
        rows.append(("CO2 equivalents", f"{1000 * record.co2_kg:.3g} g, measured by codecarbon"))
    return markdown_table(["what", "how much"], rows)


def _as_headline(metric: str, score: float) -> str:
    return HEADLINES[metric][1].format(score)


def _mean(metric: str, scores: Mapping[str, Any]) -> str:
    return f"{_as_headline(metric, scores['mean'])} ± {_as_headline(metric, scores['std'])}"


def _code(text: str | None) -> Markup | None:
    return None if text is None else Markup(f"`{text}`")


def _rounded(score: float | None) -> str | None:
    return None if score is None else f"{score:.3f}"


def _count(count: int, on_diagonal: bool) -> Markup:
    if not count:
        return Markup(NEVER)
    return Markup(f"**{count}**" if on_diagonal else str(count))
