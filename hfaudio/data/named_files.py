"""Finding the files that a table names, also where it names them a little differently than the disk does."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from hfaudio.audio import AUDIO_EXTENSIONS
from hfaudio.data.class_folders import find_files

__all__ = ["URL", "AmbiguousNameError", "NamedFiles"]

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
AUDIO_FOLDERS = ("audio", "wavs", "wav", "clips")
"""Sub-folders in which the paths of a table may begin."""


class AmbiguousNameError(Exception):
    """A name of several files; the message says how many, and names two."""


class NamedFiles:
    """Finds files by the names that a table has for them.

    A name is looked for as it is written; with backslashes as separators; and then in another case, in another
    Unicode form, or without its ending. A name without a folder may be that of a file in any folder below the last
    of those given.

    Args:
        folders: Where relative paths may begin; the last has all the others in it.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        places = [os.fspath(folder) for folder in folders]
        self._root = places[-1]
        self._places = places + [os.path.join(place, name) for place in places for name in AUDIO_FOLDERS]
        self._names: dict[str, dict[str, list[str]]] = {}

    def find(self, name: str) -> str | None:
        """The path of a file, or None where there is none.

        Raises:
            AmbiguousNameError: There are several.
        """
        if URL.match(name):
            return None
        for written in dict.fromkeys((name, name.replace("\\", "/"))):
            if found := self._find(written):
                if len(found) > 1:
                    raise AmbiguousNameError(f"{len(found)}: {found[0]}, {found[1]}")
                return found[0]
        return None

    def _find(self, name: str) -> list[str]:
        for place in self._places:
            if os.path.isfile(path := os.path.join(place, name)):
                return [path]
        # A name alone may be that of a file in any folder below. For a path all folders would be searched in vain.
        if not os.path.dirname(name):
            return self._by_name.get(name) or self._by_loose_name.get(_loose(name)) or []
        for place in self._places[:1] if os.path.isabs(name) else self._places:
            if found := sorted(self._match(os.sep if os.path.isabs(name) else place, Path(name).parts)):
                return found
        return []

    def _match(self, folder: str, parts: Sequence[str]) -> Iterator[str]:
        """The files that a path may mean, each folder of which may be in another case or Unicode form."""
        head, *rest = parts
        if rest and os.path.isdir(exact := os.path.join(folder, head)):
            yield from self._match(exact, rest)
            return
        for name in self._loose_names(folder).get(_loose(head), []):
            path = os.path.join(folder, name)
            if rest and os.path.isdir(path):
                yield from self._match(path, rest)
            elif not rest and os.path.isfile(path):
                yield path

    def _loose_names(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._names:
            readable = os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)
            self._names[folder] = _by_keys((name, name) for name in (os.listdir(folder) if readable else ()))
        return self._names[folder]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        by_name: dict[str, list[str]] = defaultdict(list)
        for path in find_files(self._root):
            by_name[os.path.basename(path)].append(path)
        return by_name

    @cached_property
    def _by_loose_name(self) -> dict[str, list[str]]:
        return _by_keys((name, path) for name, paths in self._by_name.items() for path in paths)


def _by_keys(files: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    """Files by what they may be called: by their names, and without their endings."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for name, path in files:
        stem, ending = os.path.splitext(name)
        by_key[_loose(name)].append(path)
        if ending.lower() in AUDIO_EXTENSIONS:
            by_key[_loose(stem)].append(path)
    return by_key


def _loose(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
