"""What the facts of a data set come to, in sentences."""

from collections.abc import Iterator
from dataclasses import dataclass

from hfaudio.data.errors import named
from hfaudio.data.number_formats import as_counted, as_hertz, as_percent
from hfaudio.data.overlaps import Overlaps
from hfaudio.data.report import DatasetReport
from hfaudio.data.suggestions import IMBALANCE

__all__ = ["Finding", "list_findings"]

STATUSES = ("bad", "look", "good")


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence.

    Attributes:
        status: `bad` for what makes a score wrong, `look` for what a person should judge, or `good`.
        text: The sentence.
        section: The part of the page that says more.
    """

    status: str
    text: str
    section: str


def list_findings(report: DatasetReport) -> list[Finding]:
    """The findings, the worst first.

    Args:
        report: The facts.
    """
    return sorted(_findings(report), key=lambda finding: STATUSES.index(finding.status))


def _findings(report: DatasetReport) -> Iterator[Finding]:
    if report.left_out:
        share = as_percent(len(report.left_out) / report.found)
        yield Finding("look", f"{as_counted(len(report.left_out), 'recording')} ({share}) cannot be used.", "left-out")
    else:
        yield Finding("good", "Every recording can be decoded and holds sound.", "left-out")
    yield from _fold_findings(report)
    yield from _duplicate_findings(report.overlaps)
    if report.suspicious:
        yield Finding("look", f"Worth a look or a listen: {as_counted(report.suspicious, 'recording')}.", "suspicious")
    else:
        yield Finding("good", "No recording is truncated, clipped, mostly silent or of an odd length.", "suspicious")
    doubts = [suspicion.detail for suspicion in report.suspicions if suspicion.kind == "doubtful class"]
    if doubts:
        text = f"Names of classes that may be wrong, and the counts with them: {named(doubts)}."
        yield Finding("bad", text, "classes")
    if report.imbalance >= IMBALANCE:
        text = f"The largest class has {report.imbalance:.3g} times the recordings of the smallest."
        yield Finding("look", text, "classes")
    elif not doubts:
        yield Finding("good", "The classes are in balance.", "classes")
    low = sum(count for rate, count in report.sampling_rates.items() if int(rate) < report.sampling_rate)
    if low:
        yield Finding(
            "look",
            f"{as_counted(low, 'recording')} sampled at less than {as_hertz(report.sampling_rate)}: with nothing in "
            "the upper bands, they can give away their class where they are of few.",
            "files",
        )


def _fold_findings(report: DatasetReport) -> Iterator[Finding]:
    overlaps = report.overlaps
    near = sum(own.folds_differ for own in overlaps.near_duplicates)
    if overlaps.folds_leak:
        copies = sum(own.folds_differ for own in overlaps.copies)
        shared = [as_counted(len(overlaps.shared_groups), "source")] if overlaps.shared_groups else []
        shared += [as_counted(copies, "set") + " of copies"] if copies else []
        yield Finding("bad", f"The folds leak: {' and '.join(shared)} in more than one.", "folds")
    elif near:
        text = f"The folds share no known source and no copy, but {as_counted(near, 'group')} sounding alike."
        yield Finding("look", text, "folds")
    elif overlaps.folds:
        known = "source, copy" if overlaps.groups else "copy"
        yield Finding("good", f"The folds are clean: no {known} or near-duplicate stands in two of them.", "folds")
    if not overlaps.groups:
        yield Finding("look", "No source or speaker is known, so that leakage through them cannot be seen.", "folds")
    elif overlaps.with_siblings:
        yield Finding(
            "look",
            f"{as_percent(overlaps.with_siblings)} of the recordings share their source with another: hold out whole "
            "sources, or a random split flatters the score.",
            "folds",
        )


def _duplicate_findings(overlaps: Overlaps) -> Iterator[Finding]:
    if overlaps.copies:
        contradictory = sum(own.labels_differ for own in overlaps.copies)
        text = f"{as_counted(len(overlaps.copies), 'set')} of exact copies"
        if contradictory:
            yield Finding("bad", f"{text}, {contradictory:,} of them with different labels.", "duplicates")
        else:
            yield Finding("look", f"{text}.", "duplicates")
    else:
        yield Finding("good", "No recording is an exact copy of another.", "duplicates")
    if overlaps.near_duplicates:
        doubtful = sum(own.labels_differ for own in overlaps.near_duplicates)
        recordings = sum(len(own.recordings) for own in overlaps.near_duplicates)
        groups = as_counted(len(overlaps.near_duplicates), "group")
        text = f"{as_counted(recordings, 'recording')} sounding alike, in {groups}"
        if doubtful:
            yield Finding("bad", f"{text}, {doubtful:,} of them with different labels.", "duplicates")
        else:
            yield Finding("look", f"{text}, each with the same labels.", "duplicates")
