"""Warning of the cells of a table that a spreadsheet would run as formulas; the table keeps them as they are."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["warn_of_formulas"]

logger = logging.getLogger(__name__)

BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")
NAMED_AT_MOST = 5


def warn_of_formulas(rows: Iterable[Any], table: str) -> Iterator[Any]:
    """Passes rows on, and warns once, when all have passed, of texts that begin as formulas do.

    Of a path that is its last part too: somebody will split it.

    Args:
        rows: Mappings or sequences.
        table: What the table is called.
    """
    count, named = 0, list[str]()
    for row in rows:
        for cell in row.values() if isinstance(row, Mapping) else row:
            if isinstance(cell, str) and _is_formula(cell):
                count += 1
                if len(named) < NAMED_AT_MOST and cell not in named:
                    named.append(cell)
        yield row
    if count:
        logger.warning(
            "%s has cells that begin as formulas do, which a spreadsheet may run (%d): %s%s; import the columns as "
            "text, or rename the files",
            table, count, ", ".join(named), ", and more" if count > len(named) else "",
        )  # fmt: skip


def _is_formula(text: str) -> bool:
    return any(one.startswith(BEGINNINGS) and not _is_number(one) for one in (text, text.rpartition("/")[2]))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
