import pytest

from hfaudio.data.axis_ticks import decade_steps, even_steps, frequency_ticks, time_ticks


@pytest.mark.parametrize(("low", "high"), [(0.0, 5.001), (-48.0, -3.0), (0.0, 0.01), (0.0, 100.0)])
def test_an_even_axis_has_a_few_round_labels(low: float, high: float) -> None:
    steps = even_steps(low, high)
    assert 3 <= len(steps) <= 8
    assert low <= steps[0] < steps[-1] <= high


@pytest.mark.parametrize(("low", "high"), [(0.1, 30.0), (1e-3, 5000.0), (0.5, 20.0)])
def test_a_logarithmic_axis_has_a_few_round_labels(low: float, high: float) -> None:
    assert 2 <= len(decade_steps(low, high)) <= 8


def test_ticks_stand_in_percent_of_their_axis() -> None:
    assert [(tick.text, tick.place) for tick in time_ticks(2.0)] == [
        ("0", 0.0),
        ("0.5", 25.0),
        ("1", 50.0),
        ("1.5", 75.0),
        ("2", 100.0),
    ]
    highest = frequency_ticks(8_000.0)[-1]
    assert (highest.text, highest.place) == ("8k", 0.0)
