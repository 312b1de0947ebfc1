"""What a run has predicted by now, so that one that was interrupted goes on where it stopped."""

import hashlib
import json
import os
import stat
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hfaudio.inference.prediction_table import Row

__all__ = ["JournalError", "PredictionJournal", "merge_journals", "misfit"]


class JournalError(ValueError):
    """What was begun does not fit what is asked for: one sentence says what to do."""


FORMAT = 2
FINISHED = "null\n"  # the last line
CHANGED_MEANWHILE = "changed"

State = Mapping[str, Any] | str | None
"""Of a file when it was predicted: `stat` (size and times, in nanoseconds) and `hash`, the SHA-256 of its content;
`changed` if it was written to meanwhile; None if it was not there."""


class PredictionJournal:
    """A file of one line a recording, in their order, after a line with the settings of the run.

    A recording that has changed since it was predicted is predicted anew, and has a line further on, which counts.

    Args:
        path: Of the file; one that is there is continued.
        settings: Text and numbers that decide the rows.
        anew: One that was begun with other settings, or by an earlier version, is replaced.

    Raises:
        JournalError: The one that is there was begun with other settings, or by an earlier version.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Mapping[str, Any], anew: bool = False) -> None:
        self.path = Path(path)
        self._asked: deque[tuple[int | None, list[int] | None]] = deque()
        if not self.path.exists() or not self._has_whole_lines() or (anew and misfit(self.path, settings)):
            self.path.write_text(_line({"journal": FORMAT, **settings}), encoding="utf-8")
        if reason := misfit(self.path, settings):
            raise JournalError(reason)
        self._file = self.path.open("ab", buffering=0)

    def _has_whole_lines(self) -> bool:
        """Cuts off a last line that is not whole, and tells whether any is left."""
        end = 0
        with self.path.open("rb+") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
            file.truncate(end)
        return end > 0

    def skip_done(self, files: Iterator[str]) -> Iterator[str]:
        """The files that are still to do, and those that have changed since they were done.

        Args:
            files: All files, in the order of the run.

        Raises:
            JournalError: Those that are done are others by now.
        """
        self._unfinish()
        for position, entry in enumerate(self._entries()):
            found = next(files, None)
            if found is None or found != entry["file"]:
                raise JournalError(
                    f"Expected {entry['file']} next, as {self.path}, which an interrupted run has left, has it, found "
                    f"{found or 'no more files'}; restore the files, or start anew with --overwrite."
                )
            if not _is_as_it_was(found, entry["state"]):
                yield self._ask(found, position)
        for file in files:
            yield self._ask(file, None)

    def _ask(self, file: str, position: int | None) -> str:
        self._asked.append((position, _stat(file)))
        return file

    def append(self, file: str, rows: Sequence[Row]) -> None:
        """Notes what was predicted of a file, in the order of `skip_done`."""
        position, before = self._asked.popleft() if self._asked else (None, _stat(file))
        entry = {"file": file, "state": _state(file, before), "rows": list(rows)}
        self._file.write(_line(entry if position is None else {"again": position, **entry}).encode())

    def finish(self) -> None:
        """Notes that no file is left."""
        if not self.is_finished(self.path):
            self._file.write(FINISHED.encode())
        self._file.close()

    def _unfinish(self) -> None:
        """Lets nobody who waits for the end take it for that of this run."""
        if self.is_finished(self.path):
            os.truncate(self.path, os.path.getsize(self.path) - len(FINISHED))

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
        for entry in self._entries():
            yield entry["file"], entry["rows"]

    def _entries(self) -> Iterator[dict[str, Any]]:
        """The lines in the order of the files, each as it was noted last."""
        again: dict[int, int] = {}  # from a file's position to the place of its last line
        with self.path.open("rb") as journal:
            place = len(next(journal))
            for line in journal:
                if line.startswith(b'{"again"'):
                    again[json.loads(line)["again"]] = place
                place += len(line)
        with self.path.open("rb") as journal, self.path.open("rb") as later:
            next(journal)
            position = 0
            for line in journal:
                if line == FINISHED.encode() or line.startswith(b'{"again"'):
                    continue
                if position in again:
                    later.seek(again[position])
                    line = later.readline()
                yield json.loads(line)
                position += 1


def misfit(path: Path, settings: Mapping[str, Any]) -> str | None:
    """Why a journal that is there cannot be continued with these settings, in one sentence; None if it can."""
    with path.open(encoding="utf-8", errors="replace") as file:
        try:
            begun = json.loads(file.readline())
        except ValueError:
            begun = None
    left = f"{path}, which an interrupted run has left,"
    if not isinstance(begun, dict) or begun.get("journal") != FORMAT:
        return (
            f"Expected {left} to be of this version of hfaudio, found another; start anew with --overwrite, or remove "
            "that file."
        )
    name = next((name for name, value in settings.items() if begun.get(name) != value), None)
    if name is None:
        return None
    found = f"{name} {begun.get(name)!r} in place of {settings[name]!r}"
    if name == "model":
        found = f"other weights, graph, configuration or backend ({found})"
    return (
        f"Expected {left} to be of the same settings, found {found}; give the same, start anew with --overwrite, or "
        "remove that file."
    )


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry) + "\n"  # in ASCII: a file name need not be UTF-8


def _stat(file: str) -> list[int] | None:
    try:
        found = os.stat(file)
    except (OSError, ValueError):  # ValueError: a null character in the name
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _hash(file: str) -> str | None:
    """Of the content, or None of what cannot be read or is no regular file."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return None
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None


def _state(file: str, before: list[int] | None) -> State:
    """Of a file that has been predicted, with what it was just before."""
    content = None if before is None else _hash(file)
    if _stat(file) != before:
        return CHANGED_MEANWHILE
    return None if before is None else {"stat": before, "hash": content}


def _is_as_it_was(file: str, state: State) -> bool:
    found = _stat(file)
    if state is None or found is None:
        return state is None and found is None
    if isinstance(state, str):
        return False
    if state["stat"] == found:
        return True
    return state["stat"][0] == found[0] and state["hash"] is not None and state["hash"] == _hash(file)


def merge_journals(journals: Sequence[PredictionJournal]) -> Iterator[Row]:
    """The rows of several processes, of which each did every n-th file, in the order of one process."""
    parts = [journal.read() for journal in journals]
    while True:
        for part in parts:
            entry = next(part, None)
            if entry is None:
                return
            yield from entry[1]
