"""Writing a table."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hfaudio.spreadsheet_formulas import warn_of_formulas

__all__ = ["write_csv"]


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Writes rows under a header, which is there without any row too; warns of what a spreadsheet would run.

    Args:
        path: The file, which is replaced.
        columns: In their order.
        rows: With these keys.

    Returns:
        The file.
    """
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(warn_of_formulas(rows, path.name))
    return path
