"""The report of a data set as one HTML file that needs nothing else, and as JSON."""

import base64
import json
import math
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from hfaudio.data.examples import Example
from hfaudio.data.overlaps import Overlaps
from hfaudio.data.report import DatasetReport, Distribution
from hfaudio.data.suggestions import IMBALANCE
from hfaudio.data.suspicions import SUSPICION_KINDS

__all__ = ["render_report", "write_report"]

TEMPLATE = Path(__file__).with_name("report_template.html")

LARGEST_CLASSES, SMALLEST_CLASSES = 30, 10
ROWS_AT_MOST = 50  # of a table; the JSON file has them all
PAIRS_AT_MOST = 25
FOLDS_AT_MOST = 12  # rows of the matrix
CHIPS_AT_MOST = 12
TICKS = 7
STATUSES = ("bad", "look", "good")
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bin of a histogram: what it is about, for a tooltip, and its height in percent."""

    text: str
    height: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis, and where it stands, in percent of the axis."""

    text: str
    place: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """A distribution, ready to be drawn."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    highest: int
    summary: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence of the summary: its status, one of `STATUSES`, and the section that says more."""

    status: str
    text: str
    section: str


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
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        number=_number,
        percent=_percent,
        duration=_duration,
        seconds=_seconds,
        hertz=_hertz,
        decibels=_decibels,
        data_uri=_data_uri,
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    ranked = sorted(report.classes, key=lambda own: -own.recordings)
    hidden = len(ranked) - LARGEST_CLASSES - SMALLEST_CLASSES
    overlaps = report.overlaps
    return template.render(
        report=report,
        examples=examples,
        command=_wrapped(command),
        json_name=json_name,
        findings=sorted(_findings(report), key=lambda finding: STATUSES.index(finding.status)),
        largest=ranked[:LARGEST_CLASSES] if hidden > 0 else ranked,
        smallest=ranked[-SMALLEST_CLASSES:] if hidden > 0 else [],
        hidden_classes=max(0, hidden),
        name_length=max(len(own.name) for own in report.classes),
        lengths=_histogram(report.lengths, "s"),
        levels=_histogram(report.levels, "dB"),
        silence=_histogram(report.silence, "%", scale=100.0),
        crop_place=_place(report.lengths, report.crop_seconds),
        files=[
            ("Sampling rate", [(_hertz(float(rate)), count) for rate, count in report.sampling_rates.items()]),
            ("Channels", [(_channels(count), recordings) for count, recordings in report.channels.items()]),
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
            for pair in overlaps.near_duplicates
            for name in ("labels_differ", "folds_differ", "groups_differ")
            if getattr(pair, name)
        ),
        matrix_folds=_most_sharing(report),
        matrix={frozenset((pair.one, pair.other)): pair for pair in overlaps.fold_pairs},
        most_shared=max((pair.groups + pair.copies + pair.near_duplicates for pair in overlaps.fold_pairs), default=1),
        frozenset=frozenset,
        frequency_ticks=_frequency_ticks,
        time_ticks=_time_ticks,
    )


def _findings(report: DatasetReport) -> Iterator[Finding]:
    if report.left_out:
        share = _percent(len(report.left_out) / report.found)
        yield Finding("look", f"{_counted(len(report.left_out), 'recording')} ({share}) cannot be used.", "left-out")
    else:
        yield Finding("good", "Every recording can be decoded and holds sound.", "left-out")
    yield from _fold_findings(report)
    yield from _duplicate_findings(report.overlaps)
    if report.suspicious:
        yield Finding("look", f"Worth a look or a listen: {_counted(report.suspicious, 'recording')}.", "suspicious")
    else:
        yield Finding("good", "No recording is truncated, clipped, mostly silent or of an odd length.", "suspicious")
    if report.imbalance >= IMBALANCE:
        text = f"The largest class has {report.imbalance:.3g} times the recordings of the smallest."
        yield Finding("look", text, "classes")
    else:
        yield Finding("good", "The classes are in balance.", "classes")
    low = sum(count for rate, count in report.sampling_rates.items() if int(rate) < report.sampling_rate)
    if low:
        yield Finding(
            "look",
            f"{_counted(low, 'recording')} sampled at less than {_hertz(report.sampling_rate)}: with nothing in the "
            "upper bands, they can give away their class where they are of few.",
            "files",
        )


def _fold_findings(report: DatasetReport) -> Iterator[Finding]:
    overlaps = report.overlaps
    near = sum(pair.near_duplicates for pair in overlaps.fold_pairs)
    if overlaps.folds_leak:
        copies = sum(own.folds_differ for own in overlaps.copies)
        shared = [_counted(len(overlaps.shared_groups), "source")] if overlaps.shared_groups else []
        shared += [_counted(copies, "set") + " of copies"] if copies else []
        yield Finding("bad", f"The folds leak: {' and '.join(shared)} in more than one.", "folds")
    elif near:
        text = f"The folds share no known source and no copy, but {_counted(near, 'pair')} sounding alike."
        yield Finding("look", text, "folds")
    elif overlaps.folds:
        known = "source, copy" if overlaps.groups else "copy"
        yield Finding("good", f"The folds are clean: no {known} or near-duplicate stands in two of them.", "folds")
    if not overlaps.groups:
        yield Finding("look", "No source or speaker is known, so that leakage through them cannot be seen.", "folds")
    elif overlaps.with_siblings:
        yield Finding(
            "look",
            f"{_percent(overlaps.with_siblings)} of the recordings share their source with another: hold out whole "
            "sources, or a random split flatters the score.",
            "folds",
        )


def _duplicate_findings(overlaps: Overlaps) -> Iterator[Finding]:
    if overlaps.copies:
        contradictory = sum(own.labels_differ for own in overlaps.copies)
        text = f"{_counted(len(overlaps.copies), 'set')} of exact copies"
        if contradictory:
            yield Finding("bad", f"{text}, {contradictory:,} of them with different labels.", "duplicates")
        else:
            yield Finding("look", f"{text}.", "duplicates")
    else:
        yield Finding("good", "No recording is an exact copy of another.", "duplicates")
    if overlaps.near_duplicates:
        doubtful = sum(pair.labels_differ for pair in overlaps.near_duplicates)
        text = f"{_counted(len(overlaps.near_duplicates), 'pair')} of recordings sounding alike"
        if doubtful:
            yield Finding("bad", f"{text}, {doubtful:,} of them with different labels.", "duplicates")
        else:
            yield Finding("look", f"{text}, all with the same labels.", "duplicates")


def _most_sharing(report: DatasetReport) -> list[str]:
    shared: Counter[str] = Counter()
    for pair in report.overlaps.fold_pairs:
        for fold in (pair.one, pair.other):
            shared[fold] += pair.groups + pair.copies + pair.near_duplicates
    folds = list(report.overlaps.folds)
    return [fold for fold in folds if fold in {name for name, _ in shared.most_common(FOLDS_AT_MOST)}]


def _histogram(values: Distribution, unit: str, scale: float = 1.0) -> Histogram:
    highest = max(values.counts)
    bars = tuple(
        Bar(
            f"{low * scale:.3g} to {high * scale:.3g} {unit}: {count:,} recording{'s' * (count != 1)}",
            100.0 * count / highest,
        )
        for low, high, count in zip(values.edges, values.edges[1:], values.counts, strict=False)
    )
    steps = _decade_steps if values.logarithmic else _even_steps
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


def _even_steps(low: float, high: float) -> list[float]:
    wanted = (high - low) / TICKS
    magnitude = 10.0 ** math.floor(math.log10(wanted))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= wanted)
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [round(index * step, 10) for index in range(first, last + 1)]


def _decade_steps(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        steps = [step for decade in decades for factor in factors if low <= (step := factor * 10.0**decade) <= high]
        if len(steps) <= TICKS:
            break
    return steps


def _frequency_ticks(highest: float) -> list[Tick]:
    """Labels of a mel axis (HTK scale) from 0 Hz at 100 percent up to `highest` in Hz."""
    steps = [step for step in (250, 500, 1000, 2000, 4000, 8000, 16_000) if step <= highest]
    return [Tick(f"{step / 1000:g}k" if step >= 1000 else str(step), 100.0 - 100.0 * _mel(step) / _mel(highest))
            for step in steps]  # fmt: skip


def _mel(hertz: float) -> float:
    return math.log1p(hertz / 700.0)


def _time_ticks(seconds: float) -> list[Tick]:
    return [Tick(f"{step:g}", 100.0 * step / seconds) for step in _even_steps(0.0, seconds)]


def _decibels(level: float) -> str:
    return f"{level:.0f} dB".replace("-", MINUS)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _wrapped(command: Sequence[str]) -> str:
    """The command with one flag a line, as a shell takes it."""
    lines = [[command[0]]]
    for argument in command[1:]:
        if argument.startswith("--"):
            lines.append([])
        lines[-1].append(argument)
    return " \\\n  ".join(map(shlex.join, lines))


def _number(value: float) -> str:
    return f"{value:,}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 or share == 0.0 else f"{share:.1%}"


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:,.0f} {unit}"
    return _seconds(seconds)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:,.0f} s"


def _hertz(rate: float) -> str:
    return f"{rate / 1000:g} kHz" if rate >= 1000 else f"{rate:g} Hz"


def _channels(count: str) -> str:
    return {"1": "mono", "2": "stereo"}.get(count, f"{count} channels")


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
