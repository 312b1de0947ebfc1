"""What a run has predicted by now, so that one that was interrupted goes on where it stopped."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hfaudio.inference.prediction_table import Row

__all__ = ["JournalError", "PredictionJournal", "merge_journals"]


class JournalError(ValueError):
    """What was begun does not fit what is asked for: one sentence says what to do."""


FINISHED = "null\n"  # the last line


class PredictionJournal:
    """A file of one line a recording, in their order, after a line with the settings of the run.

    Args:
        path: Of the file; one that is there is continued.
        settings: Text and numbers that decide the rows.

    Raises:
        JournalError: The one that is there was begun with other settings.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._settings = dict(settings)
        if self.path.exists():
            self._mend()
        else:
            self.path.write_text(_line(self._settings), encoding="utf-8")
        with self.path.open(encoding="utf-8") as file:
            begun = json.loads(file.readline())
        different = [name for name, value in self._settings.items() if begun.get(name) != value]
        if different:
            name = different[0]
            raise JournalError(
                f"Expected {self.path}, which an interrupted run has left, to be of the same settings, found {name} "
                f"{begun.get(name)!r} in place of {self._settings[name]!r}; give the same, or remove that file."
            )

    def _mend(self) -> None:
        """Cuts off a last line that is not whole, and writes the first one where not even that is."""
        end = 0
        with self.path.open("rb+") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
            file.truncate(end)
        if end == 0:
            self.path.write_text(_line(self._settings), encoding="utf-8")

    def skip_done(self, files: Iterator[str]) -> Iterator[str]:
        """The files that are still to do.

        Args:
            files: All files, in the order of the run.

        Raises:
            JournalError: Those that are done are others by now.
        """
        for done, _ in self.read():
            found = next(files, None)
            if found != done:
                raise JournalError(
                    f"Expected {done} next, as {self.path}, which an interrupted run has left, has it, found "
                    f"{found or 'no more files'}; restore the files, or remove that file to start anew."
                )
        yield from files

    def append(self, file: str, rows: Sequence[Row]) -> None:
        """Notes what was predicted of a file."""
        with self.path.open("a", encoding="utf-8") as journal:
            journal.write(_line({"file": file, "rows": list(rows)}))

    def finish(self) -> None:
        """Notes that no file is left."""
        if not self.is_finished(self.path):
            with self.path.open("a", encoding="utf-8") as journal:
                journal.write(FINISHED)

    @staticmethod
    def is_finished(path: Path) -> bool:
        """Whether a journal is there and has no file left."""
        try:
            with path.open("rb") as journal:
                journal.seek(max(0, os.path.getsize(path) - len(FINISHED)))
                return journal.read() == FINISHED.encode()
        except FileNotFoundError:
            return False

    def read(self) -> Iterator[tuple[str, list[Row]]]:
        """Each file that is done, with its rows."""
        with self.path.open(encoding="utf-8") as journal:
            next(journal)
            for line in journal:
                if line != FINISHED:
                    entry = json.loads(line)
                    yield entry["file"], entry["rows"]


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry) + "\n"  # in ASCII: a file name need not be UTF-8


def merge_journals(journals: Sequence[PredictionJournal]) -> Iterator[Row]:
    """The rows of several processes, of which each did every so-manieth file, in the order of one process."""
    parts = [journal.read() for journal in journals]
    while True:
        for part in parts:
            entry = next(part, None)
            if entry is None:
                return
            yield from entry[1]
