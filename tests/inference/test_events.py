import numpy as np

from hfaudio.inference import Prediction
from hfaudio.inference.events import Event, merge_events


def windows(*probabilities: tuple[float, float], hop: float = 1.0) -> list[Prediction]:
    return [
        Prediction("a.wav", index * hop, index * hop + 2.0, ("clap", "hum"), np.array(own, np.float64))
        for index, own in enumerate(probabilities)
    ]


def test_windows_that_overlap_are_one_event_and_a_pause_ends_it() -> None:
    found = merge_events(windows((0.9, 0.1), (0.7, 0.6), (0.1, 0.8), (0.1, 0.2), (0.2, 0.1), (0.95, 0)), 0.5)
    assert found == [
        Event("a.wav", 0.0, 3.0, "clap", 0.9),
        Event("a.wav", 1.0, 4.0, "hum", 0.8),
        Event("a.wav", 5.0, 7.0, "clap", 0.95),
    ]


def test_windows_that_touch_are_one_event_and_those_apart_are_not() -> None:
    assert [(event.start, event.end) for event in merge_events(windows((1, 0), (1, 0), hop=2.0), 0.5)] == [(0, 4)]
    assert len(merge_events(windows((1, 0), (1, 0), hop=2.1), 0.5)) == 2


def test_a_threshold_is_reached_by_what_equals_it() -> None:
    assert len(merge_events(windows((0.5, 0.49)), 0.5)) == 1
    assert merge_events([], 0.5) == []
