"""The folder that a run writes into: whose it is, and how what is in it is exchanged."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from safetensors import SafetensorError
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hfaudio.data.class_folders import first_recording
from hfaudio.data.manifest import find_manifest
from hfaudio.file_locks import HAS_LOCKS, let_go, take_lock
from hfaudio.model import SpectrogramCNNConfig

__all__ = ["OutputFolderError", "check_report_place", "claimed_folder", "staged_folder", "staged_model"]

STAGING = ".unfinished-"
PROBED_BYTES = 1 << 20

GUARDS = ("fold.json", "config.json")
"""Without the second nobody loads a model, and without the first a fold counts as unfinished."""

LEFT_BY_RUNS = (
    *GUARDS, "preprocessor_config.json", "model.safetensors", "*_spectrogram_cnn.py", "model.onnx", "model_int8.onnx",
    "README.md", "all_results.json", "split.csv", "left_out.csv", "eval/predictions.csv", "eval/per_class.csv",
    "eval/top_losses.csv", "eval/top_losses.png", "eval/top_losses.html", "eval/most_confused.csv",
    "eval/confusion_matrix.png", "eval/training_curves.png", "eval/calibration.png",
)  # fmt: skip
"""What lies in the folder of a model: it goes when another model comes. All else is the user's, and stays."""

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
PLACE_ERRORS = {
    errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EXDEV
}  # fmt: skip


class OutputFolderError(ValueError):
    """The output folder cannot be written into: one sentence says what to do."""


@contextmanager
def claimed_folder(
    folder: str | os.PathLike[str],
    sources: Sequence[str] = (),
    main_process: bool = True,
    how_to_go_on: str = "go on with --resume_from_checkpoint if a checkpoint is there",
) -> Iterator[None]:
    """Makes sure of a folder before the work, and keeps other runs out of it meanwhile.

    What a run that was killed had not finished writing there is removed. A new folder that stays empty goes again.

    Args:
        folder: Where the run is to write; it is made if it is not there.
        sources: The data sets of the run, of which those that are folders must not be written into.
        main_process: Of several processes of one run, one claims the folder for all.
        how_to_go_on: What to say where the disk has filled, after the advice to make room.

    Raises:
        OutputFolderError: It holds what is not of a run of ours, another run writes there, or it cannot be written
            into; or the disk fills while the block runs.
    """
    folder = Path(folder)
    advice = f"make room, and {how_to_go_on}"
    with _claim(folder, sources) if main_process else nullcontext(), _disk_sentences(folder, advice):
        yield


def check_report_place(page: Path) -> None:
    """Makes sure, before the work, that a report can be written.

    Args:
        page: Where it goes; beside it a .json of the same name.

    Raises:
        OutputFolderError: The place cannot be written into, or has such a .json that is not of an earlier report.
    """
    facts = page.with_suffix(".json")
    with _disk_sentences(page.parent, "choose another --output"):
        if facts.exists() and not page.exists():
            raise OutputFolderError(
                f"Expected {facts} to be free or of an earlier report, found a file without its {page.name}; choose "
                "another --output."
            )
        page.parent.mkdir(parents=True, exist_ok=True)
        _probe(page.parent)


@contextmanager
def staged_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives an empty folder to write into; when the block ends well, its files replace those of `folder` one by one.

    If the block fails, `folder` is as it was. What else lies in `folder` stays, but for graphs of former weights.

    Args:
        folder: Where the files belong; it is made if it is not there.
    """
    folder = Path(folder)
    with _staging(folder) as staging:
        yield staging
        for source in _files(staging):
            destination = folder / source.relative_to(staging)
            destination.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, destination)


@contextmanager
def staged_model(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives an empty folder to write a model into, which replaces the one in `folder` when the block ends well.

    Nothing of the former model stays, neither its tables and pictures nor a graph made of it; other files of the
    folder do. The configuration is the first file that goes and the last that comes: whoever is killed in between
    leaves a folder that nobody loads, rather than one model's settings with another's weights. If the block or a step
    of the exchange fails, `folder` is as it was.

    Args:
        folder: Where the model belongs; it is made if it is not there.
    """
    folder = Path(folder)
    with _staging(folder) as staging:
        new, old = staging / "new", staging / "old"
        new.mkdir()
        yield new
        _exchange(folder, new, old)


@contextmanager
def _claim(folder: Path, sources: Sequence[str]) -> Iterator[None]:
    with _disk_sentences(folder, "choose another --output_dir"):
        is_new = not folder.exists()
        if any("\udc80" <= character <= "\udcff" for character in str(folder)):
            raise OutputFolderError(
                f"Expected a path in UTF-8 as --output_dir, found {os.fsencode(folder)!r}, from which "
                "safetensors reads no weights; choose another."
            )
        _refuse_sources(folder, sources)
        _refuse_foreign(folder)
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
    if lock is None:
        raise OutputFolderError(
            f"Expected no other run that writes into {folder}, found one at work; wait for it, or choose another "
            "--output_dir."
        )
    try:
        with _disk_sentences(folder, "make room, or choose another --output_dir"):
            _remove_dead(folder)
            _probe(folder)
        yield
    finally:
        _unlock(lock)
        if is_new:
            with suppress(OSError):  # it has files
                folder.rmdir()


def _probe(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(PROBED_BYTES))
        file.write(b"\0")  # a disk that filled within the first write says so at the next


def _exchange(folder: Path, new: Path, old: Path) -> None:
    coming = [path.relative_to(new) for path in _files(new)]
    going = [path.relative_to(folder) for pattern in LEFT_BY_RUNS for path in folder.glob(pattern)]
    going += [name for name in coming if name not in going and (folder / name).exists()]
    for name in going:
        if (folder / name).is_dir():
            raise OutputFolderError(f"Expected to write the file {folder / name}, found a folder; move it elsewhere.")
    steps = [(folder / name, old / name) for name in sorted(going, key=_guards_first)]
    steps += [(new / name, folder / name) for name in sorted(coming, key=_guards_first, reverse=True)]
    for _, destination in steps:
        destination.parent.mkdir(parents=True, exist_ok=True)
    done = []
    try:
        for step in steps:
            done.append(step)
            os.replace(*step)
    except BaseException:
        for source, destination in reversed(done):
            if destination.exists() and not source.exists():
                os.replace(destination, source)
        raise


def _guards_first(name: Path) -> tuple[int, str]:
    text = name.as_posix()
    return GUARDS.index(text) if text in GUARDS else len(GUARDS), text


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    _remove_dead(folder)
    lock = None
    while lock is None:
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
        lock = _lock(staging)  # unless another process has just taken it for a dead one
    try:
        yield staging
    finally:
        _unlock(lock)
        shutil.rmtree(staging)


def _remove_dead(folder: Path) -> None:
    """Removes what processes that were killed had not finished; who lives has locked what it writes."""
    for path in folder.glob(f"{STAGING}*"):
        lock = _lock(path) if path.is_dir() and not path.is_symlink() else None
        if lock is not None:
            shutil.rmtree(path)
            _unlock(lock)


def _refuse_sources(folder: Path, sources: Sequence[str]) -> None:
    for source in map(Path, sources):
        inside = source.is_dir() and folder.resolve().is_relative_to(source.resolve())
        # Beside a table that names the recordings other files do no harm.
        if inside and (folder.resolve() == source.resolve() or find_manifest(source) is None):
            raise OutputFolderError(
                f"Expected an --output_dir outside the data set {source}, found {folder}, whose files would be listed "
                "with the recordings; choose another."
            )


def _refuse_foreign(folder: Path) -> None:
    """Refuses a folder that no run of ours has written into, and that holds what must not be mixed with a model."""
    if _has_run(folder):
        return
    found = None
    if folder.resolve() in (Path.home().resolve(), Path(folder.resolve().anchor)):
        found = "a home folder or the root of the disk"
    elif (folder / ".git").exists():
        found = "a git repository"
    else:
        names = [name for pattern in LEFT_BY_RUNS for name in folder.glob(pattern)]
        name = next(iter(names), None) or first_recording(folder)
        if name is not None:
            found = f"{name.relative_to(folder)}, which is not of a run"
    if found is not None:
        raise OutputFolderError(
            f"Expected an empty folder or one of an earlier run as --output_dir, found {found}, in {folder}; choose "
            "another."
        )


def _has_run(folder: Path) -> bool:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        is_model = config.get("model_type") == SpectrogramCNNConfig.model_type
    except (OSError, ValueError, AttributeError):
        is_model = False
    marks = (f"{STAGING}*", f"{PREFIX_CHECKPOINT_DIR}-*/model.safetensors", "cross_validation.json", "fold-*/*.json")
    return is_model or any(next(folder.glob(mark), None) is not None for mark in marks)


@contextmanager
def _disk_sentences(folder: Path, advice: str) -> Iterator[None]:
    """Says in a sentence that something could not be written."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = _disk_reason(error, folder)
        if reason is None:
            raise
        raise OutputFolderError(f"Expected to be able to write into {folder}, found {reason}; {advice}.") from error


def _disk_reason(error: Exception, folder: Path) -> str | None:
    if isinstance(error, OSError):
        ours = error.filename is not None and Path(error.filename).is_relative_to(folder)
        if error.errno in DISK_ERRORS or (error.errno in PLACE_ERRORS and ours):
            return f"{os.strerror(error.errno)} ({error.filename or folder})"
        return None
    text = str(error)
    if text.startswith("Symlink loop"):  # of Path.resolve, up to Python 3.12
        return f"{os.strerror(errno.ELOOP)} ({folder})"
    # safetensors and torch write without Python, and give no number.
    if not any(sign in text for sign in ("os error", "inline_container.cc", "iostream error")):
        return None
    return f"a file that is not whole, with {shutil.disk_usage(folder).free:,} bytes free"


_locks: set[int] = set()  # file descriptors


def _lock(folder: Path) -> int | None:
    """Locks a folder until `_unlock` or the end of the process, however it ends; None if another one has it.

    Where the file system or the system knows no such locks, nobody is kept out.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except PermissionError:
        if HAS_LOCKS:
            raise
        return -1  # Windows opens no folders
    try:
        take_lock(descriptor)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # some network file systems
        pass
    _locks.add(descriptor)
    if not folder.exists():
        _unlock(descriptor)
        return None
    return descriptor


def _unlock(descriptor: int) -> None:
    if descriptor in _locks:
        _locks.remove(descriptor)
        with suppress(OSError):  # some network file systems
            let_go(descriptor)
        os.close(descriptor)


def _leave_locks_to_the_parent() -> None:
    """A process that outlives the run, such as one that reads recordings, must not keep the lock."""
    while _locks:
        os.close(_locks.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_locks_to_the_parent)
