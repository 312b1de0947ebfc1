"""Predicting many files into a table, by several processes and in several attempts."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from hfaudio.inference.events import merge_events
from hfaudio.inference.output_lock import only_run
from hfaudio.inference.prediction import Prediction
from hfaudio.inference.prediction_journal import (
    JournalError,
    PredictionJournal,
    merge_journals,
    misfit,
)
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
    overwrite: bool = False,
) -> int:
    """Predicts files into a table, which is there when all are done; what is done meanwhile stands beside it.

    A run that was interrupted goes on where it stopped, and ends with the table of one that was not; files that have
    changed meanwhile are predicted anew. A file that this run did not begin is never replaced without `overwrite`.

    Args:
        path: Of the table; see `hfaudio.inference.prediction_table.FORMATS`. Of a link, where it leads.
        predictor: What predicts.
        files: Gives all files, in the same order each time.
        settings: What becomes a row.
        run: What else decides the rows, such as a hash of the model: a run that goes on must have the same.
        process: The index of this process, which does every n-th file.
        processes: How many there are; the first one puts the table together.
        on_file: Is told the rows of each file.
        overwrite: Replaces what is there, and what an interrupted run of other settings has left.

    Returns:
        In the first process how many recordings have no answer, in the others 0.

    Raises:
        JournalError: What was begun does not fit, a file is in the way, another run writes the table, or nothing can
            be written.
    """
    path = Path(os.path.realpath(path))
    parts = [path.with_name(f".{path.name}.part-{part}-of-{processes}") for part in range(processes)]
    decided = {**run, **asdict(settings)}
    with only_run(path, process):
        with _writing(path):
            if not PredictionJournal.is_finished(parts[process]):  # then the table may be there too, and be ours
                _refuse_to_replace(path, overwrite)
            if process == 0:
                _clear_other_parts(path, processes, overwrite)
            journal = PredictionJournal(parts[process], decided, anew=overwrite)
        own_files = islice(files(), process, None, processes)
        for file, rows in predicted_rows(predictor, journal.skip_done(own_files), settings):
            with _writing(path):
                journal.append(file, rows)
            on_file(rows)
        with _writing(path):
            journal.finish()
        if process > 0:
            return 0
        with _writing(path):
            os.stat(parts[0])  # whose folder may have been removed meanwhile
        while not all(
            PredictionJournal.is_finished(part) and not (overwrite and misfit(part, decided)) for part in parts
        ):
            time.sleep(WAITING)
        failed = 0

        def all_rows() -> Iterator[Row]:
            nonlocal failed
            for row in merge_journals([PredictionJournal(part, decided) for part in parts]):
                failed += is_failure(row)
                yield row

        with _writing(path):
            write_table(all_rows(), settings.columns, path, overwrite)
        for part in reversed(parts):
            part.unlink()
        return failed


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise JournalError(str(error)) from error
    except OSError as error:
        raise JournalError(
            f"Expected to write {path}, found that impossible ({error.strerror}); make it possible and run again, "
            "which goes on where this run stopped."
        ) from error


def _refuse_to_replace(path: Path, overwrite: bool) -> None:
    if path.exists() and not path.is_file():
        raise JournalError(f"Expected a file at {path}, found something else; give another --output.")
    if path.exists() and not overwrite:
        raise JournalError(
            f"Expected nothing at {path}, found a file that this run did not begin; replace it with --overwrite, or "
            "give another --output."
        )
    if path.exists() and not os.access(path, os.W_OK):
        raise JournalError(f"Expected to replace {path}, found it read-only; give another --output.")


def _clear_other_parts(path: Path, processes: int, overwrite: bool) -> None:
    """Refuses, or with `overwrite` removes, what an interrupted run of another number of processes has left."""
    part = re.compile(rf"\.{re.escape(path.name)}\.part-\d+-of-(\d+)")
    for name in os.listdir(path.parent):
        found = part.fullmatch(name)
        if found is None or int(found[1]) == processes:
            continue
        if not overwrite:
            raise JournalError(
                f"Expected {processes} processes, found that an interrupted run of {found[1]} has left "
                f"{path.with_name(name)}; run as many, or start anew with --overwrite."
            )
        path.with_name(name).unlink()
