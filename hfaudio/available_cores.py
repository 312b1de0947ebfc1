"""How many processes or threads are worth starting."""

import os

__all__ = ["available_cores"]


def available_cores() -> int:
    """The CPU cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
