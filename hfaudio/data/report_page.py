"""The report of a data set as one HTML file that needs nothing else, and as JSON."""

import json
import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hfaudio.data.axis_ticks import Tick, decade_steps, even_steps
from hfaudio.data.examples import Example
from hfaudio.data.findings import list_findings
from hfaudio.data.html_pages import page_environment
from hfaudio.data.number_formats import MINUS, as_channels, as_hertz
from hfaudio.data.report import DatasetReport, Distribution
from hfaudio.data.suspicions import SUSPICION_KINDS

__all__ = ["render_report", "write_report"]

TEMPLATE = "report_template.html"

LARGEST_CLASSES, SMALLEST_CLASSES = 30, 10
ROWS_AT_MOST = 50  # of a table; the JSON file has them all
PAIRS_AT_MOST = 25
FOLDS_AT_MOST = 12  # rows of the matrix
CHIPS_AT_MOST = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """A bin of a histogram: what it is about, for a tooltip, and its height in percent."""

    text: str
    height: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """A distribution, ready to be drawn."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    highest: int
    summary: str


def write_report(report: DatasetReport, examples: Sequence[Example], command: Sequence[str], path: Path) -> None:
    """Writes the page, and a JSON file of the same name with everything that the page leaves out.

    Args:
        report: The facts.
        examples: Recordings to listen to.
        command: What to type to train on the data set, argument by argument.
        path: Of the HTML file; its folder must exist.
    """
    facts = json.dumps({"command": shlex.join(command), **report.to_dict()}, indent=2, allow_nan=False)
    path.with_suffix(".json").write_text(facts + "\n", encoding="utf-8")
    page = render_report(report, examples, command, path.with_suffix(".json").name)
    path.write_text(page, encoding="utf-8", errors="backslashreplace")  # not every file name is text


def render_report(report: DatasetReport, examples: Sequence[Example], command: Sequence[str], json_name: str) -> str:
    """Renders the page.

    Args:
        report: The facts.
        examples: Recordings to listen to.
        command: What to type to train on the data set, argument by argument.
        json_name: The file beside the page that has everything.

    Returns:
        HTML without a reference to anything outside, except to the JSON file.
    """
    template = page_environment().get_template(TEMPLATE)
    ranked = sorted(report.classes, key=lambda own: -own.recordings)
    hidden = len(ranked) - LARGEST_CLASSES - SMALLEST_CLASSES
    overlaps = report.overlaps
    return template.render(
        report=report,
        examples=examples,
        command=_wrapped(command),
        json_name=json_name,
        findings=list_findings(report),
        largest=ranked[:LARGEST_CLASSES] if hidden > 0 else ranked,
        smallest=ranked[-SMALLEST_CLASSES:] if hidden > 0 else [],
        hidden_classes=max(0, hidden),
        name_length=max(len(own.name) for own in report.classes),
        lengths=_histogram(report.lengths, "s"),
        levels=_histogram(report.levels, "dB"),
        silence=_histogram(report.silence, "%", scale=100.0),
        crop_place=_place(report.lengths, report.crop_seconds),
        files=[
            ("Sampling rate", [(as_hertz(float(rate)), count) for rate, count in report.sampling_rates.items()]),
            ("Channels", [(as_channels(count), recordings) for count, recordings in report.channels.items()]),
            ("Encoding", list(report.encodings.items())),
        ],
        chips_at_most=CHIPS_AT_MOST,
        suspicions=[
            (kind, found)
            for kind in SUSPICION_KINDS
            if (found := [suspicion for suspicion in report.suspicions if suspicion.kind == kind])
        ],
        rows_at_most=ROWS_AT_MOST,
        pairs_at_most=PAIRS_AT_MOST,
        near=Counter(
            name
            for own in overlaps.near_duplicates
            for name in ("labels_differ", "folds_differ", "groups_differ")
            if getattr(own, name)
        ),
        matrix_folds=_most_sharing(report),
        matrix={frozenset((pair.one, pair.other)): pair for pair in overlaps.fold_pairs},
        most_shared=max((pair.groups + pair.copies + pair.near_duplicates for pair in overlaps.fold_pairs), default=1),
        frozenset=frozenset,
    )


def _most_sharing(report: DatasetReport) -> list[str]:
    shared: Counter[str] = Counter()
    for pair in report.overlaps.fold_pairs:
        for fold in (pair.one, pair.other):
            shared[fold] += pair.groups + pair.copies + pair.near_duplicates
    most = {fold for fold, _ in shared.most_common(FOLDS_AT_MOST)}
    return [fold for fold in report.overlaps.folds if fold in most]


def _histogram(values: Distribution, unit: str, scale: float = 1.0) -> Histogram:
    highest = max(values.counts)
    bars = tuple(
        Bar(
            f"{low * scale:.3g} to {high * scale:.3g} {unit}: {count:,} recording{'s' * (count != 1)}",
            100.0 * count / highest,
        )
        for low, high, count in zip(values.edges, values.edges[1:], values.counts, strict=False)
    )
    steps = decade_steps if values.logarithmic else even_steps
    ticks = tuple(
        Tick(f"{step:g}".replace("-", MINUS), _place(values, step / scale))
        for step in steps(values.edges[0] * scale, values.edges[-1] * scale)
    )
    low, median, high = (f"{value * scale:.3g} {unit}" for value in (values.minimum, values.median, values.maximum))
    return Histogram(bars, ticks, highest, f"from {low} to {high}, median {median}")


def _place(values: Distribution, value: float) -> float:
    """Where a value stands on the axis, in percent."""
    low, high = values.edges[0], values.edges[-1]
    if values.logarithmic:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return min(100.0, max(0.0, 100.0 * (value - low) / (high - low)))


def _wrapped(command: Sequence[str]) -> str:
    """The command with one flag a line, as a shell takes it."""
    lines = [[command[0]]]
    for argument in command[1:]:
        if argument.startswith("--"):
            lines.append([])
        lines[-1].append(argument)
    return " \\\n  ".join(map(shlex.join, lines))
