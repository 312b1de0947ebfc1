"""Class folders: the name of a sub-folder is the class of the recordings in it."""

import errno
import os
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NoReturn

from hfaudio.audio import AUDIO_EXTENSIONS, READABLE_EXTENSIONS
from hfaudio.data.errors import DataError
from hfaudio.data.recordings import SPLIT_NAMES, LeftOut, Recording

__all__ = ["find_files", "first_recording", "list_class_folders", "list_loose_files", "split_parts"]

LOOKED_AT = 100_000  # files, before a folder is taken for one without recordings


def list_class_folders(folder: Path) -> list[Recording]:
    """Lists the audio files below each sub-folder, at any depth, in the order of their names.

    Where every sub-folder is named like a part of a split (`train`, `test`, ...), the classes are one level below,
    and the part becomes the fold.

    Args:
        folder: The data set.

    Returns:
        The recordings; none if there are no sub-folders.

    Raises:
        DataError: A class has no audio file, or a part no class.
    """
    parts = split_parts(folder)
    for part in parts:
        if not _sub_folders(part):
            raise DataError(
                f"Expected one sub-folder of recordings for each class in {part}, found none; make them, write a "
                "metadata.csv, or move the folder elsewhere."
            )
    if parts:
        return [recording for part in parts for recording in _list_classes(folder, part, part.name)]
    return list(_list_classes(folder, folder, fold=None))


def list_loose_files(folder: Path) -> list[LeftOut]:
    """The audio files that lie beside the class folders, and so have no class."""
    return [
        LeftOut(name, "lies in no class folder")
        for name in sorted(os.listdir(folder))
        if os.path.splitext(name)[1].lower() in AUDIO_EXTENSIONS and not name.startswith(".")
    ]


def split_parts(folder: Path) -> list[Path]:
    """The sub-folders, if every one is named like a part of a split (`train`, `test`, ...); else none."""
    parts = _sub_folders(folder)
    return parts if all(part.name.lower() in SPLIT_NAMES for part in parts) else []


def find_files(folder: str | os.PathLike[str], endings: Container[str] = AUDIO_EXTENSIONS) -> list[str]:
    """The paths of the files below a folder, at any depth and behind links, in order; hidden ones are left aside.

    Args:
        folder: Where to look.
        endings: Those of the files wanted, in lower case.

    Raises:
        DataError: A folder cannot be read: what lies in it would be left out without a word.
    """
    found = []
    seen = set()
    for directory, sub_folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        place = os.path.realpath(directory)
        if place in seen:  # a link to a folder that holds it would be followed for ever
            sub_folders.clear()
            continue
        seen.add(place)
        sub_folders[:] = sorted(name for name in sub_folders if not name.startswith("."))
        found += [
            os.path.join(directory, name)
            for name in names
            if os.path.splitext(name)[1].lower() in endings and not name.startswith(".")
        ]
    return sorted(found)


def _refuse(error: OSError) -> NoReturn:
    raise DataError(
        f"Expected to be able to read every folder of the data set, found {os.strerror(error.errno or errno.EIO)} "
        f"({error.filename}); allow reading it, or move it elsewhere."
    ) from error


def first_recording(folder: Path) -> Path | None:
    """The first recording below a folder that is met, or None; links to folders are not followed."""
    looked_at = 0
    for directory, sub_folders, names in os.walk(folder):
        sub_folders[:] = sorted(name for name in sub_folders if not name.startswith("."))
        found = [name for name in sorted(names) if os.path.splitext(name)[1].lower() in AUDIO_EXTENSIONS]
        if found:
            return Path(directory, found[0])
        looked_at += len(names)
        if looked_at > LOOKED_AT:
            break
    return None


def _list_classes(root: Path, folder: Path, fold: str | None) -> Iterator[Recording]:
    for class_folder in _sub_folders(folder):
        files = find_files(class_folder)
        if not files:
            raise DataError(
                f"Expected recordings in every sub-folder of {folder}, found none in {class_folder.name}; audio files "
                f"end in {', '.join(READABLE_EXTENSIONS)}. Add some, or move the folder elsewhere."
            )
        for path in files:
            file_name = Path(os.path.relpath(path, root)).as_posix()
            yield Recording(_printable(file_name), (_printable(class_folder.name),), path, fold=fold)


def _printable(name: str) -> str:
    """A name as text: Linux allows names that are none, and tables do not."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
