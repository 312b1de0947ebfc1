"""Labels of the axes that pages draw."""

import math
from dataclasses import dataclass

__all__ = ["Tick", "decade_steps", "even_steps", "frequency_ticks", "time_ticks"]

TICKS = 7  # of an axis, about


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis, and where it stands, in percent of the axis."""

    text: str
    place: float


def even_steps(low: float, high: float) -> list[float]:
    """Round numbers at even distances from low to high."""
    wanted = (high - low) / TICKS
    magnitude = 10.0 ** math.floor(math.log10(wanted))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= wanted)
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [round(index * step, 10) for index in range(first, last + 1)]


def decade_steps(low: float, high: float) -> list[float]:
    """Round numbers from low to high, both above 0, for a logarithmic axis."""
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        steps = [step for decade in decades for factor in factors if low <= (step := factor * 10.0**decade) <= high]
        if len(steps) <= TICKS:
            break
    return steps


def frequency_ticks(highest: float) -> list[Tick]:
    """Labels of a mel axis (HTK scale) from 0 Hz at 100 percent up to `highest` in Hz."""
    steps = [step for step in (250, 500, 1000, 2000, 4000, 8000, 16_000) if step <= highest]
    return [Tick(f"{step / 1000:g}k" if step >= 1000 else str(step), 100.0 - 100.0 * _mel(step) / _mel(highest))
            for step in steps]  # fmt: skip


def _mel(hertz: float) -> float:
    return math.log1p(hertz / 700.0)


def time_ticks(seconds: float) -> list[Tick]:
    """Labels of an axis from 0 to `seconds`."""
    return [Tick(f"{step:g}", 100.0 * step / seconds) for step in even_steps(0.0, seconds)]
