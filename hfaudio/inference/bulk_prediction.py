"""Predicting many files into a table, by several processes and in several attempts."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from hfaudio.inference.events import merge_events
from hfaudio.inference.prediction import Prediction
from hfaudio.inference.prediction_journal import PredictionJournal, merge_journals
from hfaudio.inference.prediction_table import (
    SILENT_RECORDING,
    SILENT_WINDOW,
    Row,
    event_rows,
    is_failure,
    prediction_row,
    table_columns,
    write_table,
)
from hfaudio.inference.predictor import Predictor

__all__ = ["RowSettings", "predict_into", "predicted_rows"]

WAITING = 0.2  # seconds between looks at what the other processes have done


@dataclass(frozen=True)
class RowSettings:
    """What becomes a row.

    Attributes:
        top_k: Classes that are named.
        threshold: Classes that are less probable are left out.
        windows: One row a window.
        timeline: One row an event: windows that hold a class are joined.

    Raises:
        ValueError: A number lies outside its bounds, or two settings contradict each other.
    """

    top_k: int = 1
    threshold: float = 0.0
    windows: bool = False
    timeline: bool = False

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ValueError(f"--top_k must be at least 1, found {self.top_k}.")
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"--threshold must be from 0 to 1, found {self.threshold:g}.")
        if self.timeline and not self.threshold:
            raise ValueError("--timeline needs a --threshold, such as 0.5: the least probability of what is heard.")
        if self.timeline and self.top_k > 1:
            raise ValueError("--timeline names one class an event, --top_k several: give one of them.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table."""
        return table_columns(self.top_k)

    def rows_of(self, predictions: list[Prediction]) -> list[Row]:
        """The rows of one file, of its windows or of itself."""
        heard = [one for one in predictions if one.error is None]
        failed = [prediction_row(one, self.top_k) for one in predictions if one.error is not None]
        if self.timeline:
            return [*event_rows(merge_events(heard, self.threshold)), *failed]
        silent = SILENT_WINDOW if self.windows else SILENT_RECORDING
        return [*(prediction_row(one, self.top_k, self.threshold, silent) for one in heard), *failed]


def predicted_rows(
    predictor: Predictor, files: Iterator[str], settings: RowSettings
) -> Iterator[tuple[str, list[Row]]]:
    """Predicts files, one after another.

    Args:
        predictor: What predicts.
        files: Paths.
        settings: What becomes a row.

    Yields:
        Each file, with its rows.
    """
    if settings.windows or settings.timeline:
        predictions = predictor.stream_windows(files)
    else:
        predictions = ([one] for one in predictor.stream(files))
    for own in predictions:
        yield str(own[0].file), settings.rows_of(own)


def predict_into(
    path: Path,
    predictor: Predictor,
    files: Callable[[], Iterator[str]],
    settings: RowSettings,
    run: Mapping[str, object],
    process: int = 0,
    processes: int = 1,
    on_file: Callable[[list[Row]], None] = lambda rows: None,
) -> int:
    """Predicts files into a table, which is there when all are done; what is done meanwhile stands beside it.

    A run that was interrupted goes on where it stopped, and ends with the table of one that was not.

    Args:
        path: Of the table; see `hfaudio.inference.prediction_table.FORMATS`.
        predictor: What predicts.
        files: Gives all files, in the same order each time.
        settings: What becomes a row.
        run: What else decides the rows, such as the model: a run that goes on must have the same.
        process: The index of this process, which does every so-manieth file.
        processes: How many there are; the first one puts the table together.
        on_file: Is told the rows of each file.

    Returns:
        In the first process how many recordings have no answer, in the others 0.

    Raises:
        JournalError: What was begun does not fit.
    """
    parts = [path.with_name(f".{path.name}.part-{part}-of-{processes}") for part in range(processes)]
    decided = {**run, **asdict(settings)}
    journal = PredictionJournal(parts[process], decided)
    own_files = islice(files(), process, None, processes)
    for file, rows in predicted_rows(predictor, journal.skip_done(own_files), settings):
        journal.append(file, rows)
        on_file(rows)
    journal.finish()
    if process > 0:
        return 0
    while not all(PredictionJournal.is_finished(part) for part in parts):
        time.sleep(WAITING)
    failed = 0

    def all_rows() -> Iterator[Row]:
        nonlocal failed
        for row in merge_journals([PredictionJournal(part, decided) for part in parts]):
            failed += is_failure(row)
            yield row

    write_table(all_rows(), settings.columns, path)
    for part in parts:
        part.unlink()
    return failed
