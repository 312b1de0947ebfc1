"""Numbers as the report writes them."""

__all__ = [
    "MINUS",
    "as_channels",
    "as_count",
    "as_counted",
    "as_decibels",
    "as_duration",
    "as_hertz",
    "as_percent",
    "as_seconds",
]

MINUS = "\N{MINUS SIGN}"
FOUR_DIGITS = 999.5  # three significant digits would write them with an exponent


def as_count(count: int) -> str:
    """Writes 1761 as `1,761`."""
    return f"{count:,}"


def as_counted(count: int, noun: str) -> str:
    """Writes `1 pair`, but `2 pairs`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def as_percent(share: float) -> str:
    """Writes a share from 0 to 1; a small one with a decimal, so that it does not look like none."""
    return f"{share:.0%}" if share >= 0.01 or share == 0.0 else f"{share:.1%}"


def as_seconds(seconds: float) -> str:
    """Writes the length of a recording."""
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:,.0f} s"


def as_duration(seconds: float) -> str:
    """Writes the length of many recordings, in the unit that suits it."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            length = seconds / size
            return f"{length:.3g} {unit}" if length < FOUR_DIGITS else f"{length:,.0f} {unit}"
    return as_seconds(seconds)


def as_decibels(level: float) -> str:
    """Writes a level, with a true minus sign."""
    return f"{level:.0f} dB".replace("-", MINUS)


def as_hertz(rate: float) -> str:
    """Writes a sampling rate or a frequency."""
    return f"{rate / 1000:g} kHz" if rate >= 1000 else f"{rate:g} Hz"


def as_channels(count: str) -> str:
    """Writes how many channels a file has."""
    return {"1": "mono", "2": "stereo"}.get(count, f"{count} channels")
