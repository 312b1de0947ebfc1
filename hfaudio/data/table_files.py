"""Reading CSV, TSV, JSONL and Parquet files as rows."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet

from hfaudio.data.errors import DataError
from hfaudio.data.table_cells import class_label_names, is_class_label
from hfaudio.regular_files import NotRegularError, only_regular

__all__ = ["TABLE_ENDINGS", "Row", "Table", "read_table"]

Row = Mapping[str, Any]
Table = tuple[list[str], Sequence[tuple[int, Row]]]
"""The names of the columns, and each row with its number."""


def read_table(path: Path) -> Table:
    """Reads a table by its ending.

    Args:
        path: One of `TABLE_ENDINGS`.

    Returns:
        The columns, and the rows with the number of their line; text is without surrounding blanks, indices of
        classes are names, and a short row has fewer cells or empty ones.

    Raises:
        DataError: It is no such file.
    """
    try:
        return _READERS[path.suffix.lower()](path)
    except NotRegularError as error:
        raise DataError(f"Expected a table at {path}, which {error}; check --dataset.") from error


def _read_csv(path: Path) -> Table:
    return _read_delimited(path, ",", "comma-separated UTF-8 text")


def _read_tsv(path: Path) -> Table:
    return _read_delimited(path, "\t", "tab-separated UTF-8 text")


def _read_delimited(path: Path, delimiter: str, expected: str) -> Table:
    try:
        with open(path, newline="", encoding="utf-8-sig", opener=only_regular) as file:
            reader = csv.reader(file, delimiter=delimiter)
            columns = [name.strip() for name in next(reader, [])]
            rows = [
                (reader.line_num, dict(zip_longest(columns, map(str.strip, cells[: len(columns)]), fillvalue="")))
                for cells in reader
                if any(map(str.strip, cells))  # spreadsheets leave lines of mere commas
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Expected {expected} in {path}, found {error}; save it as such.") from error
    return columns, rows


def _read_jsonl(path: Path) -> Table:
    try:
        rows = list(_json_rows(path))
    except ValueError as error:  # of the JSON or of its encoding
        raise DataError(f"Expected one JSON object a line in {path}, found {error}; save it as such.") from error
    return list(dict.fromkeys(name for _, row in rows for name in row)), rows


def _json_rows(path: Path) -> Iterator[tuple[int, Row]]:
    with open(path, encoding="utf-8-sig", opener=only_regular) as file:
        for line, text in enumerate(file, start=1):
            if text.strip():
                row = json.loads(text)
                if not isinstance(row, dict):
                    raise ValueError(f"a {type(row).__name__} in line {line}")
                yield line, row


def _read_parquet(path: Path) -> Table:
    try:
        with open(path, "rb", opener=only_regular) as file:
            table = pyarrow.parquet.read_table(file)
    except NotRegularError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"Expected a Parquet table in {path}, found {error}; save it as such.") from error
    rows = table.to_pylist()
    for column, feature in datasets.Features.from_arrow_schema(table.schema).items():
        if is_class_label(feature):
            for row in rows:
                row[column] = class_label_names(feature, row[column])
    return table.column_names, list(enumerate(rows, start=1))


_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}

TABLE_ENDINGS = tuple(_READERS)
