"""`split.csv`: which recording stood on which side, written by one run and given back to another."""

import csv
import logging
import os
from collections.abc import Sequence
from itertools import chain, repeat
from pathlib import Path

import datasets
import numpy as np

from hfaudio.data.errors import DataError, named
from hfaudio.data.recordings import LeftOut
from hfaudio.data.splits import divide
from hfaudio.regular_files import only_regular
from hfaudio.spreadsheet_formulas import warn_of_formulas

__all__ = ["split_by_file", "write_split"]

logger = logging.getLogger(__name__)

COLUMNS = ("file_name", "split", "content_hash")
LEFT_OUT = "left_out"
PARTS = ("train", "validation", "test", LEFT_OUT)


def write_split(split: datasets.DatasetDict, path: str | os.PathLike[str], left_out: Sequence[LeftOut] = ()) -> None:
    """Writes one row a recording: its name, its part or `left_out`, and the hash of its content.

    Args:
        split: The parts of a `PreparedAudio`'s data set.
        path: A CSV file.
        left_out: The recordings that could not be used.
    """
    parts = (zip(part["file_name"], repeat(name), part["content_hash"], strict=False) for name, part in split.items())
    unused = ((name, LEFT_OUT, None) for name in dict.fromkeys(one.file_name for one in left_out))
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(warn_of_formulas(chain(*parts, unused), os.path.basename(path)))


def split_by_file(
    dataset: datasets.Dataset, path: str | os.PathLike[str], left_out: Sequence[LeftOut] = ()
) -> datasets.DatasetDict:
    """Divides recordings as a `split.csv` says.

    What could not be used when it was written stays out, also if it can be used by now. A validation part counts as
    trained on: it is taken anew, and is the same with the same seed.

    Args:
        dataset: Of a `PreparedAudio`.
        path: What `write_split` wrote; `content_hash` may be left out of a table of one's own.
        left_out: The recordings of the data set that cannot be used, which the table may name.

    Returns:
        The parts `train` and `test`.

    Raises:
        DataError: The table is none, or is about other recordings.
    """
    path = Path(path)
    rows = _read_rows(path)
    names = dataset["file_name"][:]
    unknown = [name for name in names if name not in rows]
    unusable = {name for name, row in rows.items() if row["split"] == LEFT_OUT}
    gone = sorted(set(rows) - set(names) - unusable - {one.file_name for one in left_out})
    if unknown or gone:
        raise DataError(
            f"Expected in {path} the recordings of the data set and no others, found {len(unknown)} missing from the "
            f"table and {len(gone)} missing from the data set, the first {(unknown or gone)[0]}; make the split anew."
        )
    if unusable.intersection(names):
        logger.warning("Left out %d recordings, as %s says", len(unusable.intersection(names)), path)
        dataset = dataset.select([index for index, name in enumerate(names) if name not in unusable])
        names = dataset["file_name"][:]
    # Recordings that are yet to be streamed have no hash.
    changed = [
        name
        for name, content in zip(names, dataset["content_hash"], strict=True)
        if content is not None and rows[name].get("content_hash") not in (None, "", content)
    ]
    if changed:
        raise DataError(
            f"Expected the recordings that {path} was written for, found {len(changed)} with other content, the first "
            f"{changed[0]}; restore them, or make the split anew."
        )
    return divide(dataset, np.array([rows[name]["split"] == "test" for name in names]))


def _read_rows(path: Path) -> dict[str, dict[str, str]]:
    """The rows by file name; `split` is one of `PARTS`."""
    try:
        with open(path, "rb", opener=only_regular) as file:
            file.readline().decode()  # the names of columns are text, those of files need not be
        with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape", opener=only_regular) as lines:
            reader = csv.DictReader(lines, restval="")
            columns, table = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"Expected a table with {', '.join(COLUMNS)} at {path}, found none ({error}); check --split."
        ) from error
    if not {"file_name", "split"} <= set(columns):
        raise DataError(
            f"Expected a table with {', '.join(COLUMNS)} at {path}, found {named(columns) or 'no columns'}; "
            "check --split."
        )
    rows: dict[str, dict[str, str]] = {}
    for row in table:
        if row["split"] not in PARTS:
            raise DataError(
                f"Expected {', '.join(PARTS)} as split in {path}, found {row['split']!r} for {row['file_name']!r}; "
                "mend it."
            )
        if rows.setdefault(row["file_name"], row) is not row:
            raise DataError(f"Expected every recording once in {path}, found {row['file_name']} again; remove a line.")
    return rows
