"""Reading CSV, TSV, JSONL and Parquet files as rows."""

import codecs
import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet

from hfaudio.data.errors import DataError, named
from hfaudio.data.table_cells import check_label_lists, class_label_names, is_class_label
from hfaudio.regular_files import NotRegularError, only_regular

__all__ = ["TABLE_ENDINGS", "TEXT_TABLE_ENDINGS", "Row", "Table", "read_table"]

Row = Mapping[str, Any]
Table = tuple[list[str], Sequence[tuple[int, Row]]]
"""The names of the columns, and each row with its number."""

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


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
    return _read_delimited(path, ",")


def _read_tsv(path: Path) -> Table:
    return _read_delimited(path, "\t")


def _read_delimited(path: Path, delimiter: str) -> Table:
    expected = f"{DELIMITERS[delimiter]}-separated UTF-8 text"
    text = _text(path, expected)
    header = text.partition("\n")[0].strip("\r")
    found = max((other for other in DELIMITERS if other != delimiter), key=header.count)
    if header.count(found) > header.count(delimiter):
        raise DataError(
            f"Expected {expected} in {path}, found columns separated by {DELIMITERS[found]}s ({found!r}) in its "
            f"first line, {header[:100]!r}; save it with {DELIMITERS[delimiter]}s"
            + (", or name it .tsv." if found == "\t" else ", or name it .csv." if found == "," else ".")
        )
    # Otherwise a quotation mark that is never closed takes all lines after it into one cell, and says nothing.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        # Spreadsheets leave lines of mere commas.
        lines_of_cells = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise DataError(
            f"Expected {expected} in {path}, found {error} in line {reader.line_num}; save it as such."
        ) from error
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    if twice:
        raise DataError(f"Expected every column once in {path}, found {named(twice)} again; rename one.")
    return columns, [(line, _row(path, line, columns, cells)) for line, cells in lines_of_cells]


def _row(path: Path, line: int, columns: Sequence[str], cells: Sequence[str]) -> Row:
    cells = [cell.strip() for cell in cells]
    if any(cells[len(columns) :]):
        raise DataError(
            f"Expected {len(columns)} cells in line {line} of {path}, as in its first line, found {len(cells)}; put "
            "text that holds the separator into quotation marks."
        )
    return dict(zip_longest(columns, cells[: len(columns)], fillvalue=""))


def _text(path: Path, expected: str) -> str:
    """The text of a file in UTF-8.

    Raises:
        DataError: It is in another encoding.
    """
    with open(path, "rb", opener=only_regular) as file:
        content = file.read()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:1000]:
        found = "UTF-16"
    else:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            found = f"another encoding, such as Latin-1, in line {line} (byte 0x{content[error.start]:02x})"
    raise DataError(f"Expected {expected} in {path}, found {found}; save it as UTF-8 (in Excel: 'CSV UTF-8').")


def _read_jsonl(path: Path) -> Table:
    expected = "one JSON object a line"
    rows = []
    for line, own in enumerate(_text(path, f"{expected}, as UTF-8 text,").split("\n"), start=1):
        try:
            rows += [(line, json.loads(own))] if own.strip() else []
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(
                f"Expected {expected} in {path}, found in line {line}: {error}; save it as such."
            ) from error
    for line, row in rows:
        if not isinstance(row, dict):
            raise DataError(
                f"Expected {expected} in {path}, found a {type(row).__name__} in line {line}; save it as such."
            )
    return list(dict.fromkeys(name for _, row in rows for name in row)), rows


def _read_parquet(path: Path) -> Table:
    try:
        with open(path, "rb", opener=only_regular) as file:
            table = pyarrow.parquet.read_table(file)
        rows = table.to_pylist()
    except NotRegularError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"Expected a Parquet table in {path}, found {error}; save it as such.") from error
    for column, feature in datasets.Features.from_arrow_schema(table.schema).items():
        if is_class_label(feature):
            names = getattr(feature, "feature", feature).names
            check_label_lists([row[column] for row in rows], None, f"column {column!r} of {path}", names)
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
TEXT_TABLE_ENDINGS = (".csv", ".tsv", ".jsonl")
