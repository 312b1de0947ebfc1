"""What is left out while recordings are streamed, noted by all processes that read them."""

import json
import logging
from pathlib import Path

from hfaudio.data.recordings import LeftOut

__all__ = ["LeftOutLog"]

logger = logging.getLogger(__name__)


class LeftOutLog:
    """Warns of each recording that is left out, once in each process, and notes it in a file that they share.

    Args:
        path: The file, which need not be there yet; None to note nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._warned: set[str] = set()

    def add(self, file_name: str, reason: str) -> None:
        """Notes a recording and why nothing can be learned from it."""
        if file_name in self._warned:
            return
        self._warned.add(file_name)
        logger.warning("Left out %s: %s", file_name, reason)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            line = json.dumps([file_name, reason]) + "\n"
            with self.path.open("ab", buffering=0) as file:  # a line is appended whole, whoever else writes
                file.write(line.encode())

    def read(self) -> list[LeftOut]:
        """What any process has noted, by name."""
        if self.path is None or not self.path.is_file():
            return []
        noted = dict(json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines())
        return [LeftOut(name, reason) for name, reason in sorted(noted.items())]

    def clear(self) -> None:
        """Removes the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
