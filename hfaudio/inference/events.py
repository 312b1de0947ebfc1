"""Events: what is heard from when to when, from the windows of a recording."""

from collections.abc import Sequence
from dataclasses import dataclass

from hfaudio.inference.prediction import Prediction

__all__ = ["Event", "merge_events"]


@dataclass(frozen=True)
class Event:
    """A class that is heard without a break.

    Attributes:
        file: The recording.
        start: In seconds.
        end: In seconds.
        label: The class.
        score: Its highest probability in a window.
    """

    file: str | None
    start: float
    end: float
    label: str
    score: float


def merge_events(windows: Sequence[Prediction], threshold: float) -> list[Event]:
    """Joins windows that overlap or touch and in which a class is at least as probable as a threshold.

    Args:
        windows: Of one recording, in their order.
        threshold: From 0 to 1.

    Returns:
        The events, by their start and then by their class.
    """
    events: list[Event] = []
    open_events: dict[str, Event] = {}
    for window in windows:
        for label, probability in zip(window.class_names, window.probabilities.tolist(), strict=False):
            if probability < threshold:
                continue
            before = open_events.get(label)
            if before is not None and window.start <= before.end:
                score = max(before.score, probability)
                open_events[label] = Event(window.file, before.start, max(before.end, window.end), label, score)
                continue
            if before is not None:
                events.append(before)
            open_events[label] = Event(window.file, window.start, window.end, label, probability)
    return sorted([*events, *open_events.values()], key=lambda event: (event.start, event.label))
