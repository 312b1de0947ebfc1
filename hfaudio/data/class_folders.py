"""Class folders: the name of a sub-folder is the class of the recordings in it."""

import errno
import logging
import os
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import NoReturn

from hfaudio.audio import AUDIO_EXTENSIONS, READABLE_EXTENSIONS, may_be_recording
from hfaudio.data.errors import DataError, named
from hfaudio.data.parts import folds_by_folder, part_kind
from hfaudio.data.recordings import LeftOut, Listing, Recording
from hfaudio.data.table_files import TABLE_ENDINGS

__all__ = [
    "filled_sub_folders",
    "find_files",
    "first_recording",
    "has_table",
    "holds_recordings",
    "list_beside",
    "list_class_folders",
    "other_recordings",
    "split_parts",
    "sub_folders",
]

logger = logging.getLogger(__name__)

LOOKED_AT = 100_000  # files, before a folder is taken for one without recordings
NO_DATA = frozenset({"__MACOSX"})
OF_MACOS = "._"  # begins the names of files that hold what another file system cannot
TOOL_FOLDERS = frozenset(
    {
        ".AppleDouble", ".Spotlight-V100", ".TemporaryItems", ".Trashes", ".cache", ".dvc", ".fseventsd", ".git",
        ".github", ".hg", ".huggingface", ".idea", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".svn",
        ".thumbnails", ".tox", ".venv", ".vscode",
    }
)  # fmt: skip
"""Hidden folders that other programs keep, of which nobody expects a class."""


def list_class_folders(folder: Path) -> Listing:
    """Lists the audio files below each sub-folder, at any depth, in the order of their names.

    Files beside the sub-folders, and those of hidden folders, are left out by name. A warning tells of files that
    links put into several classes. Folders within the classes that are named like parts (`dog/train`) are the folds.

    Args:
        folder: The data set, or a part of one.

    Returns:
        The recordings; none if there are no sub-folders.

    Raises:
        DataError: A class has no audio file, or holds the parts of a data set.
    """
    recordings = list(_list_classes(folder))
    _warn_of_links(recordings)
    _check_levels(folder, recordings)
    folds = folds_by_folder([one.file_name for one in recordings], [one.labels for one in recordings])
    recordings = [replace(one, fold=fold) for one, fold in zip(recordings, folds, strict=True)]
    return Listing(recordings, left_out=list_beside(folder, ()))


def list_beside(folder: Path, parts: Sequence[Path]) -> list[LeftOut]:
    """The audio files that belong to no class: those that lie loose in a folder, and what is hidden.

    Args:
        folder: The data set.
        parts: Its parts, if it has any; the recordings of the other sub-folders belong to none.
    """
    loose = [
        LeftOut(_printable(name), "lies in no class folder")
        for name in sorted(os.listdir(folder))
        if not name.startswith(".") and not (folder / name).is_dir() and may_be_recording(folder / name)
    ]
    dotted = sorted(
        path
        for place in ([folder] if parts else [folder, *sub_folders(folder)])
        for path in place.iterdir()
        if path.name.startswith(".") and not path.name.startswith(OF_MACOS)
    )
    loose += [
        LeftOut(_relative(str(path), folder), "is hidden: take the dot from its name")
        for path in dotted
        if path.suffix.lower() in AUDIO_EXTENSIONS and not path.is_dir()
    ]
    hidden = [path for path in dotted if path.name not in TOOL_FOLDERS and path.is_dir()]
    reasons = dict.fromkeys(hidden, "lies in a hidden folder: take the dot from its name")
    if parts:
        others = [path for path in sub_folders(folder) if path not in parts]
        reasons |= dict.fromkeys(others, f"lies beside the parts {named(part.name for part in parts)}")
    return loose + [
        LeftOut(_relative(path, folder), reason) for place, reason in reasons.items() for path in find_files(place)
    ]


def split_parts(folder: Path) -> list[Path]:
    """The sub-folders that are the parts of a split (`train`, `test`, `fold1`, ...), by their names; else none.

    One folder of such a name beside others is a class if recordings lie in it: `train` beside `car` and `bus`.

    Raises:
        DataError: One such folder beside others has sub-folders or a table, and may be a class or a part.
    """
    parts = [path for path in sub_folders(folder) if part_kind(path.name)]
    others = [path for path in sub_folders(folder) if path not in parts and find_files(path)] if parts else []
    if len(parts) != 1 or not others:
        return parts
    (part,) = parts
    inner = filled_sub_folders(part)
    alike = inner & set().union(*map(filled_sub_folders, others))  # sessions or speakers, say, within every class
    if not has_table(part) and (not inner or alike or holds_recordings(part)):
        return []
    raise DataError(
        f"Expected either the classes or the parts of a data set in {folder}, found {part.name} with "
        f"{'a table' if has_table(part) else f'the sub-folders {named(sorted(inner))}'} beside "
        f"{named(other.name for other in others)}; give {part} if it is all of the data set, put its recordings "
        "into it without sub-folders if it is a class, or write a metadata.csv."
    )


def filled_sub_folders(folder: Path) -> set[str]:
    """The names of the sub-folders with recordings."""
    return {path.name for path in sub_folders(folder) if find_files(path)}


def has_table(folder: Path) -> bool:
    """Whether a folder has a `metadata` table of its own."""
    return any(path.suffix.lower() in TABLE_ENDINGS for path in folder.glob("metadata.*"))


def holds_recordings(folder: Path) -> bool:
    """Whether recordings lie in a folder itself, and not only in its sub-folders."""
    return any(os.path.dirname(path) == os.fspath(folder) for path in find_files(folder))


def sub_folders(folder: Path) -> list[Path]:
    """The sub-folders, in the order of their names, but for hidden ones and what archives of macOS bring along."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name not in NO_DATA
    )


def find_files(folder: str | os.PathLike[str], endings: Container[str] | None = None) -> list[str]:
    """The paths of the files below a folder, at any depth and behind links, in order; hidden ones are left aside.

    A file is given once for each name that it has: `os.path.realpath` tells whether two names lead to one.

    Args:
        folder: Where to look.
        endings: Those of the files wanted, in lower case; None for recordings, and for what may be one; see
            `hfaudio.audio.may_be_recording`.

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
            path
            for name in names
            if not name.startswith(".") and _is_wanted(path := os.path.join(directory, name), endings)
        ]
    return sorted(found)


def other_recordings(folder: Path, paths: Sequence[str]) -> list[str]:
    """The names of the recordings below a folder that are none of some files."""
    given = set(map(os.path.abspath, paths))
    others = [path for path in find_files(folder) if os.path.abspath(path) not in given]
    if others:  # only then does it matter where links lead
        places = set(map(os.path.realpath, paths))
        others = [path for path in others if os.path.realpath(path) not in places]
    return [_relative(path, folder) for path in others]


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


def _is_wanted(path: str, endings: Container[str] | None) -> bool:
    return may_be_recording(path) if endings is None else os.path.splitext(path)[1].lower() in endings


def _list_classes(folder: Path) -> Iterator[Recording]:
    for class_folder in sub_folders(folder):
        files = find_files(class_folder)
        if not files:
            raise DataError(
                f"Expected recordings in every sub-folder of {folder}, found none in {class_folder.name}; audio files "
                f"end in {', '.join(READABLE_EXTENSIONS)}. Add some, or move the folder elsewhere."
            )
        for path in files:
            yield Recording(_relative(path, folder), (_printable(class_folder.name),), path)


def _check_levels(folder: Path, recordings: Sequence[Recording]) -> None:
    """Refuses parts with classes of their own within a class, and warns of sub-folders that may be the classes."""
    inner: dict[str, set[str]] = defaultdict(set)
    with_parts = set()
    for recording in recordings:
        label, *folders, _ = PurePath(recording.file_name).parts
        inner[label].add(folders[0] if folders else "")
        if len(folders) > 1 and part_kind(folders[0]):
            with_parts.add(label)
    if with_parts and with_parts != set(inner):
        name = min(with_parts)
        raise DataError(
            f"Expected classes in {folder}, found {name} with the parts {named(sorted(inner[name]))}, beside "
            f"{named(sorted(set(inner) - with_parts))}; give {folder / name} as the data set, or write a metadata.csv."
        )
    shared = set.intersection(*inner.values()) if len(inner) > 1 else set()
    shared = {name for name in shared if name and not part_kind(name)}
    if len(shared) > 1 and not any("" in names for names in inner.values()):
        logger.warning(
            "Took %s for the classes, and not the sub-folders %s that they share; if those are the classes, write a "
            "metadata.csv.",
            named(sorted(inner)),
            named(sorted(shared)),
        )


def _warn_of_links(recordings: Sequence[Recording]) -> None:
    """Warns of files that stand in several classes, because of links to them or to folders that hold them."""
    places: dict[str, str] = {}  # of folders, because most files share theirs
    by_place: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        folder, name = os.path.split(str(recording.audio))
        if folder not in places:
            places[folder] = os.path.realpath(folder)
        path = os.path.join(places[folder], name)
        by_place[os.path.realpath(path) if os.path.islink(path) else path].append(recording)
    shared = [own for own in by_place.values() if len({recording.labels for recording in own}) > 1]
    if shared:
        logger.warning(
            "Links put files into several classes, where they contradict each other: %s",
            named(" and ".join(recording.file_name for recording in own) for own in shared),
        )


def _relative(path: str, folder: Path) -> str:
    return _printable(Path(os.path.relpath(path, folder)).as_posix())


def _printable(name: str) -> str:
    """A name as text: Linux allows names that are none, and tables do not. Different names stay different."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
