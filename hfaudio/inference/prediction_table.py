"""Predictions as a table: on the terminal, or as CSV, JSON, JSONL, Parquet or Audacity's labels."""

import csv
import filecmp
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from hfaudio.inference.events import Event
from hfaudio.inference.prediction import Prediction
from hfaudio.spreadsheet_formulas import warn_of_formulas

__all__ = [
    "FORMATS",
    "SILENT_RECORDING",
    "SILENT_WINDOW",
    "Row",
    "event_rows",
    "is_failure",
    "prediction_row",
    "table_columns",
    "write_table",
]

Row = Mapping[str, Any]
ROWS_AT_ONCE = 10_000
PLACES = 6  # decimals of a probability
SILENT_RECORDING = "wholly silent"  # what the column `error` says, as a training does of such a recording
SILENT_WINDOW = "silent"


def table_columns(top_k: int) -> tuple[str, ...]:
    """The columns: the file, its span in seconds, the most probable classes with their probabilities, the error."""
    return ("file", "start", "end", *_ranked(top_k), "error")


def _ranked(top_k: int) -> Iterator[str]:
    for rank in range(1, top_k + 1):
        yield from ("label", "score") if rank == 1 else (f"label_{rank}", f"score_{rank}")


def prediction_row(
    prediction: Prediction, top_k: int = 1, threshold: float = 0.0, silent: str = SILENT_RECORDING
) -> dict[str, Any]:
    """One row of a table; an unknown recording has `unknown` in place of its most probable class.

    Args:
        prediction: Of a recording or a window.
        top_k: Classes to name.
        threshold: Classes that are less probable are left out.
        silent: What the column `error` says of digital silence.
    """
    row: dict[str, Any] = dict.fromkeys(table_columns(top_k))
    row |= {"file": prediction.file, "start": round(prediction.start, 3), "end": round(prediction.end, 3)}
    row["error"] = silent if prediction.silent else prediction.error
    best = prediction.top(top_k)
    labels = [prediction.label, *(label for label, _ in best[1:])]
    named = [(label, score) for label, (_, score) in zip(labels, best, strict=False) if score >= threshold]
    values = [value for label, score in named for value in (label, round(score, PLACES))]
    return row | dict(zip(_ranked(top_k), values, strict=False))


def is_failure(row: Row) -> bool:
    """Whether a row stands for a recording without an answer; a silent window is none."""
    return row["error"] not in (None, SILENT_WINDOW)


def event_rows(events: Iterable[Event]) -> Iterator[dict[str, Any]]:
    """One row an event, with the columns of `table_columns(1)`."""
    for event in events:
        yield {
            "file": event.file,
            "start": round(event.start, 3),
            "end": round(event.end, 3),
            "label": event.label,
            "score": round(event.score, PLACES),
            "error": None,
        }


def write_table(
    rows: Iterable[Row], columns: Sequence[str], path: str | os.PathLike[str], overwrite: bool = True
) -> None:
    """Writes rows, beside the file at first, which is replaced when all are written.

    Args:
        rows: With these columns; a few are held at a time.
        columns: In their order.
        path: Ends in one of `FORMATS`.
        overwrite: Another file that is there is replaced.

    Raises:
        FileExistsError: Another file is there, and may not be replaced.
    """
    path = Path(path)
    with _replacing(path, overwrite) as partial:
        FORMATS[path.suffix.lower()](rows, columns, partial)


@contextmanager
def _replacing(path: Path, overwrite: bool) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.writing")
    try:
        yield partial
        if not overwrite and path.exists() and not filecmp.cmp(partial, path, shallow=False):
            raise FileExistsError(
                f"Expected nothing at {path}, found a file that came there meanwhile; move it away, or run again with "
                "--overwrite."
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _write_csv(rows: Iterable[Row], columns: Sequence[str], path: Path) -> None:
    with _open(path) as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(warn_of_formulas(rows, path.name.removeprefix(".").removesuffix(".writing")))


def _write_json(rows: Iterable[Row], columns: Sequence[str], path: Path) -> None:
    with _open(path) as file:
        for number, row in enumerate(rows):
            file.write(("[\n" if number == 0 else ",\n") + json.dumps(row, ensure_ascii=False))
        file.write("\n]\n" if file.tell() else "[]\n")


def _write_jsonl(rows: Iterable[Row], columns: Sequence[str], path: Path) -> None:
    with _open(path) as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_audacity(rows: Iterable[Row], columns: Sequence[str], path: Path) -> None:
    with _open(path) as file:
        file.writelines(f"{row['start']}\t{row['end']}\t{row['label']}\n" for row in rows if row["label"] is not None)


def _write_parquet(rows: Iterable[Row], columns: Sequence[str], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = ("start", "end", "score")
    schema = pa.schema([(name, pa.float64() if name.startswith(numbers) else pa.string()) for name in columns])
    with pq.ParquetWriter(path, schema) as writer:
        held: list[Row] = []
        for row in rows:
            held.append({name: _utf_8(value) for name, value in row.items()})
            if len(held) == ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(held, schema))
                held = []
        writer.write_table(pa.Table.from_pylist(held, schema))


def _utf_8(value: Any) -> Any:
    """The same, with escapes for the bytes of a file name that are not UTF-8, which Parquet cannot hold."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _open(path: Path) -> TextIO:
    # A file name on the disk need not be UTF-8; Python holds such bytes as surrogates.
    return path.open("w", newline="", encoding="utf-8", errors="surrogateescape")


FORMATS: dict[str, Callable[[Iterable[Row], Sequence[str], Path], None]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
    ".txt": _write_audacity,
}
"""What writes a file, by its ending; `.txt` are labels that Audacity imports."""
