import errno
import multiprocessing
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hfaudio.training import (
    OutputFolderError,
    check_report_place,
    claimed_folder,
    output_folder,
    staged_folder,
    staged_model,
)

FORK = multiprocessing.get_context("fork")
OLD = {
    "README.md": "old", "all_results.json": "old", "config.json": '{"model_type": "spectrogram_cnn"}',
    "eval/most_confused.csv": "old", "eval/predictions.csv": "old", "left_out.csv": "old", "model.onnx": "old",
    "model.safetensors": "old", "modeling_spectrogram_cnn.py": "old", "preprocessor_config.json": "old",
}  # fmt: skip
NEW = {
    "README.md": "new", "config.json": '{"model_type": "spectrogram_cnn", "new": 1}', "eval/predictions.csv": "new",
    "eval/top_losses.html": "new", "model.safetensors": "new", "preprocessor_config.json": "new", "split.csv": "new",
}  # fmt: skip
OWN = {"notes.txt": "mine", "eval/notes.txt": "mine", "sounds/0.wav": "mine", "my_model.onnx": "mine"}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def read(folder: Path) -> dict[str, str]:
    names = [path for path in folder.rglob("*") if path.is_file() and ".unfinished-" not in str(path)]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in names}


def replace(folder: Path) -> None:
    with claimed_folder(folder), staged_model(folder) as staging:
        write(staging, NEW)


def test_files_appear_when_all_are_written(tmp_path) -> None:
    folder = tmp_path / "deep" / "run"
    with staged_folder(folder) as staging:
        (staging / "eval").mkdir()
        (staging / "eval" / "a.txt").write_text("a")
        assert [path.name for path in folder.iterdir()] == [staging.name]
    assert (folder / "eval" / "a.txt").read_text() == "a"
    assert [path.name for path in folder.iterdir()] == ["eval"]


def test_older_files_are_replaced_and_others_stay(tmp_path) -> None:
    (tmp_path / "run" / "eval").mkdir(parents=True)
    (tmp_path / "run" / "eval" / "old.txt").write_text("old")
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with staged_folder(tmp_path / "run") as staging:
        (staging / "eval").mkdir()
        (staging / "eval" / "old.txt").write_text("new")
    assert (tmp_path / "run" / "eval" / "old.txt").read_text() == "new"
    assert (tmp_path / "run" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("staged", [staged_folder, staged_model])
def test_a_failure_leaves_everything_as_it_was(tmp_path, staged) -> None:
    write(tmp_path, OLD)

    def fail_half_way() -> None:
        with staged(tmp_path) as staging:
            (staging / "README.md").write_text("new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_half_way()
    assert read(tmp_path) == OLD
    assert not list(tmp_path.glob(".*"))


def test_nothing_of_a_former_model_stays_and_nothing_of_the_users_goes(tmp_path) -> None:
    write(tmp_path, OLD | OWN)
    replace(tmp_path)
    assert read(tmp_path) == NEW | OWN
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("step", range(len(OLD) + len(NEW) + 1))
def test_a_process_that_is_killed_at_any_step_leaves_one_model_or_none(tmp_path, monkeypatch, step: int) -> None:
    folder = write(tmp_path / "run", OLD | OWN)
    moves = 0
    move = os.replace

    def move_or_die(source: Path, destination: Path) -> None:
        nonlocal moves
        if moves == step:
            os._exit(9)
        moves += 1
        move(source, destination)

    def run() -> None:
        os.replace = move_or_die  # in this process alone
        replace(folder)

    process = FORK.Process(target=run)
    process.start()
    process.join()
    found = read(folder)
    assert process.exitcode == (9 if step < len(OLD) + len(NEW) else 0)
    assert found in (OLD | OWN, NEW | OWN) or "config.json" not in found
    assert ("config.json" in found) == (step in (0, len(OLD) + len(NEW)))
    assert OWN.items() <= found.items()
    replace(folder)  # the next run goes through, and nothing of the dead one is left
    assert read(folder) == NEW | OWN
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("step", [0, 3, len(OLD), len(OLD) + len(NEW) - 1])
def test_an_exchange_that_fails_is_undone(tmp_path, monkeypatch, step: int) -> None:
    write(tmp_path, OLD | OWN)
    move, moves = os.replace, []

    def fail_once(source: Path, destination: Path) -> None:
        moves.append(source)
        if len(moves) == step + 1:
            raise KeyboardInterrupt
        move(source, destination)

    monkeypatch.setattr(os, "replace", fail_once)
    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path)
    assert read(tmp_path) == OLD | OWN


def test_a_folder_in_the_place_of_a_file_is_said_before_anything_moves(tmp_path) -> None:
    write(tmp_path, OLD | {"split.csv/mine.txt": "mine"})
    with pytest.raises(OutputFolderError, match="Expected to write the file .*split.csv, found a folder; move it"):
        replace(tmp_path)
    assert read(tmp_path) == OLD | {"split.csv/mine.txt": "mine"}


def test_a_fold_is_finished_after_its_model_is_there(tmp_path, monkeypatch) -> None:
    placed = []
    move = os.replace
    monkeypatch.setattr(os, "replace", lambda *step: placed.append(Path(step[1]).name) or move(*step))
    with staged_model(tmp_path) as staging:
        write(staging, NEW | {"fold.json": "{}"})
    assert placed[-2:] == ["config.json", "fold.json"]


def test_two_runs_do_not_write_into_one_folder(tmp_path) -> None:
    def second() -> None:
        with pytest.raises(OutputFolderError, match="Expected no other run that writes into .*, found one at work;"):
            replace(tmp_path)

    with claimed_folder(tmp_path):
        second()
        process = FORK.Process(target=second)
        process.start()
        process.join()
        assert process.exitcode == 0
        with claimed_folder(tmp_path, main_process=False):  # another process of the same run
            pass
    replace(tmp_path)


def test_a_process_that_outlives_its_run_does_not_keep_the_folder(tmp_path) -> None:
    def fork_and_die() -> None:
        claimed_folder(tmp_path).__enter__()
        started, waiting = os.pipe()
        if os.fork() == 0:
            os.write(waiting, b"1")
            time.sleep(5)
            os._exit(0)
        os.read(started, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=fork_and_die)
    process.start()
    process.join()
    replace(tmp_path)
    with claimed_folder(tmp_path):
        child = FORK.Process(target=time.sleep, args=(60,), daemon=True)
        child.start()
    replace(tmp_path)
    child.kill()


def test_what_a_dead_run_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path) -> None:
    write(tmp_path, {".unfinished-dead/new/model.safetensors": "half"})
    with staged_folder(tmp_path) as living:
        with claimed_folder(tmp_path):
            assert list(tmp_path.glob(".unfinished-*")) == [living]
        with staged_folder(tmp_path) as other:
            assert sorted(tmp_path.glob(".unfinished-*")) == sorted([living, other])
    assert list(tmp_path.iterdir()) == []


FOREIGN = {
    "recordings in class folders": {"dog/0.wav": ""},
    "a recording in any letter case": {"a/b/c/take.FLAC": ""},
    "a model of another kind": {"config.json": '{"model_type": "wav2vec2"}'},
    "broken settings": {"config.json": "[]"},
    "weights": {"model.safetensors": ""},
    "a card": {"README.md": "mine"},
    "a split": {"split.csv": "mine"},
    "a git repository": {".git/HEAD": "ref: refs/heads/main"},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_folder_of_something_else_is_refused(tmp_path, kind: str) -> None:
    write(tmp_path, FOREIGN[kind])
    with (
        pytest.raises(OutputFolderError, match="Expected an empty folder or one of an earlier run as --output_dir, f"),
        claimed_folder(tmp_path),
    ):
        pass
    assert read(tmp_path) == FOREIGN[kind]


def test_a_home_folder_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(OutputFolderError, match="found a home folder or the root of the disk, in"):
        claimed_folder(tmp_path).__enter__()
    with pytest.raises(OutputFolderError, match="found a home folder or the root of the disk, in /;"):
        claimed_folder("/").__enter__()


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"notes.txt": "mine", "train.log": "mine"},
        OLD | {"sounds/0.wav": "mine"},
        OLD | {".git/HEAD": "a clone of a model of ours"},
        {"checkpoint-5/model.safetensors": "", "README.md": "mine"},
        {"fold-1/fold.json": "{}", "cross_validation.json": "{}"},
    ],
)
def test_a_folder_of_a_run_or_of_notes_is_taken(tmp_path, files: dict[str, str]) -> None:
    write(tmp_path, files)
    with claimed_folder(tmp_path):
        pass
    assert read(tmp_path) == files


def test_a_data_set_is_not_written_into(tmp_path) -> None:
    sounds = write(tmp_path / "sounds", {"dog/0.wav": "", "cat/1.wav": ""})
    for folder in (sounds, sounds / "runs" / "first"):
        with (
            pytest.raises(OutputFolderError, match=f"Expected an --output_dir outside the data set {sounds}, found"),
            claimed_folder(folder, ["nowhere", "owner/name", str(sounds)]),
        ):
            pass
    assert sorted(path.name for path in sounds.iterdir()) == ["cat", "dog"]
    write(sounds, {"metadata.csv": "file_name,label\ndog/0.wav,dog\n"})
    with claimed_folder(sounds / "run", [str(sounds)]):  # the table names the recordings, whatever lies beside them
        pass
    with pytest.raises(OutputFolderError, match="outside the data set"):
        claimed_folder(sounds, [str(sounds)]).__enter__()


def test_a_path_that_is_not_text_is_refused(tmp_path) -> None:
    with pytest.raises(
        OutputFolderError, match=r"Expected a path in UTF-8 as --output_dir, found b'.*m\\xff', from which"
    ):
        claimed_folder(tmp_path / "m\udcff").__enter__()


def test_a_new_folder_that_stays_empty_goes_again(tmp_path) -> None:
    with claimed_folder(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
    assert list(tmp_path.iterdir()) == []


def in_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "run"


def at_a_link_to_nothing(folder: Path) -> Path:
    (folder / "link").symlink_to("nothing")
    return folder / "link"


def at_a_link_to_itself(folder: Path) -> Path:
    (folder / "link").symlink_to("link")
    return folder / "link"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (in_a_file, "Not a directory"),
        (at_a_link_to_nothing, "File exists"),
        (at_a_link_to_itself, "Too many levels of symbolic links"),
        (lambda folder: folder / ("x" * 300), "File name too long"),
    ],
)
def test_a_place_that_cannot_be_written_into_is_said(tmp_path, place: Callable[[Path], Path], reason: str) -> None:
    folder = place(tmp_path)
    with pytest.raises(OutputFolderError, match=f"^Expected to be able to write into {re.escape(str(folder))}, found"):
        claimed_folder(folder).__enter__()
    with pytest.raises(OutputFolderError, match=rf"found {reason} \(.*\); choose another --output_dir\.$"):
        claimed_folder(folder).__enter__()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG])
def test_a_disk_that_takes_nothing_is_said_before_the_work(tmp_path, monkeypatch, number: int) -> None:
    def refuse(dir: Path, **_: object) -> None:
        raise OSError(number, os.strerror(number), str(dir))

    monkeypatch.setattr(output_folder.tempfile, "TemporaryFile", refuse)
    sentence = rf"into {tmp_path}, found {os.strerror(number)} \({tmp_path}\); make room, or choose another --output_d"
    with pytest.raises(OutputFolderError, match=sentence):
        claimed_folder(tmp_path).__enter__()
    claimed_folder(tmp_path, main_process=False).__enter__()


@pytest.fixture
def small_disk(tmp_path) -> Path:
    """A file system of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs more rights")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(folder: Path) -> None:
    (folder / "big").write_bytes(bytes(8 << 20))


WRITERS = {
    "python": fill,
    "torch": lambda folder: torch.save(torch.zeros(2 << 20), folder / "optimizer.pt"),
    "safetensors": lambda folder: save_file({"a": torch.zeros(2 << 20)}, folder / "model.safetensors"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_disk_that_fills_while_the_run_writes_is_said(small_disk, writer: str) -> None:
    sentence = rf"^Expected to be able to write into {small_disk}/run, found .*; make room, and go on with --resume"
    with pytest.raises(OutputFolderError, match=sentence), claimed_folder(small_disk / "run"):
        WRITERS[writer](small_disk / "run")


def test_a_folder_that_was_removed_meanwhile_is_said(tmp_path) -> None:
    claim = claimed_folder(tmp_path / "run")
    claim.__enter__()
    (tmp_path / "run").rmdir()
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory", str(tmp_path / "run" / "config.json"))
    with pytest.raises(OutputFolderError, match=r"found No such file or directory \(.*config.json\); make room"):
        claim.__exit__(FileNotFoundError, gone, None)


def test_how_to_go_on_when_the_disk_has_filled_is_that_of_the_script(tmp_path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(OutputFolderError, match=r"; make room, and run it again\.$"),
        claimed_folder(tmp_path / "run", how_to_go_on="run it again"),
    ):
        raise full


def test_a_disk_that_is_full_is_said_before_the_work(small_disk) -> None:
    (small_disk / "other").write_bytes(bytes(3_700_000))
    with pytest.raises(OutputFolderError, match="found No space left on device .*; make room, or choose another"):
        claimed_folder(small_disk / "run").__enter__()


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOENT, "No such file"), RuntimeError("shape"), PermissionError(errno.EACCES, "x", "/a")],
)
def test_other_errors_are_not_hidden(tmp_path, error: Exception) -> None:
    with pytest.raises(type(error), match=re.escape(str(error))), claimed_folder(tmp_path):
        raise error


def test_a_report_does_not_take_the_place_of_another_table(tmp_path) -> None:
    (tmp_path / "metadata.json").write_text("mine")
    with pytest.raises(
        OutputFolderError, match="Expected .*metadata.json to be free or of an earlier report, found a"
    ):
        check_report_place(tmp_path / "metadata.html")
    (tmp_path / "metadata.html").touch()
    check_report_place(tmp_path / "metadata.html")
    check_report_place(tmp_path / "new" / "report.html")


def test_a_report_that_cannot_be_written_is_said(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputFolderError, match=r"found File exists \(.*\); choose another --output\.$"):
        check_report_place(tmp_path / "file" / "report.html")
