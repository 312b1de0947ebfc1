import errno
import json
import os
import shutil
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from hfaudio.inference import Predictor
from hfaudio.inference.bulk_prediction import RowSettings, predict_into
from hfaudio.inference.output_lock import only_run
from hfaudio.inference.prediction_journal import JournalError, PredictionJournal

RUN = {"model": "m"}


@pytest.fixture
def files(write_tone) -> list[str]:
    paths = [write_tone(f"{index}.wav", frequency=200 * (index + 1), seconds=0.3 + 0.2 * index) for index in range(9)]
    paths[4].write_bytes(b"")
    return list(map(str, paths))


@pytest.fixture
def predictor(model_folder) -> Predictor:
    return Predictor.from_pretrained(model_folder, batch_size=2, threads=2)


SETTINGS = {
    "recordings": RowSettings(top_k=2),
    "windows": RowSettings(windows=True),
    "events": RowSettings(timeline=True, threshold=0.2),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_run_that_is_stopped_ends_with_the_table_of_one_that_is_not(predictor, files, tmp_path, settings) -> None:
    whole, stopped = tmp_path / "whole.csv", tmp_path / "stopped.csv"
    assert predict_into(whole, predictor, lambda: iter(files), settings, RUN) == 1
    done: list[object] = []

    def stop(rows) -> None:
        done.append(rows)
        if len(done) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_into(stopped, predictor, lambda: iter(files), settings, RUN, on_file=stop)
    assert not stopped.exists()
    (part,) = tmp_path.glob(".stopped*")
    with part.open("ab") as journal:
        journal.write(b'{"file": "half a li')  # as a kill leaves it
    again: list[object] = []
    assert predict_into(stopped, predictor, lambda: iter(files), settings, RUN, on_file=again.append) == 1
    assert len(again) == len(files) - 4
    assert stopped.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_files_and_one_puts_them_in_order(predictor, files, tmp_path, processes: int) -> None:
    predict_into(tmp_path / "one.jsonl", predictor, lambda: iter(files), RowSettings(), RUN)
    counts: dict[int, int] = {}

    def work(process: int) -> None:
        own: list[object] = []
        arguments = (predictor, lambda: iter(files), RowSettings(), RUN, process, processes, own.append)
        predict_into(tmp_path / "some.jsonl", *arguments)
        counts[process] = len(own)

    threads = [threading.Thread(target=work, args=(process,)) for process in reversed(range(processes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts.values(), reverse=True) == [len(files[process::processes]) for process in range(processes)]
    assert (tmp_path / "some.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert not list(tmp_path.glob(".*"))


def stop_after(number: int):
    """What `on_file` takes, to interrupt a run after some files."""
    done: list[object] = []

    def stop(rows) -> None:
        done.append(rows)
        if len(done) == number:
            raise KeyboardInterrupt

    return stop


@pytest.fixture
def interrupt(predictor, files, tmp_path):
    """Interrupts a run after seven of nine files, and gives what goes on with it and the rows of a whole run."""
    path = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_into(path, predictor, lambda: iter(files), RowSettings(), RUN, on_file=stop_after(7))

    def go_on(**arguments) -> tuple[int, bytes, bytes]:
        again: list[object] = []
        run = arguments.pop("run", RUN)
        predict_into(path, predictor, lambda: iter(files), RowSettings(), run, on_file=again.append, **arguments)
        predict_into(tmp_path / "whole.csv", predictor, lambda: iter(files), RowSettings(), run)
        return len(again), path.read_bytes(), (tmp_path / "whole.csv").read_bytes()

    return go_on


def change_samples(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2000:] = bytes(2000)
    path.write_bytes(content)


def change_and_hide_it(path: Path) -> None:
    before = path.stat()
    change_samples(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap_for_another(path: Path) -> None:
    shutil.copy(path.with_name("8.wav"), path)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


CHANGES = {
    "content": (change_samples, 1),
    "content of the same size and time": (change_and_hide_it, 1),
    "another file": (swap_for_another, 1),
    "removed": (Path.unlink, 1),
    "its time alone": (touch, 0),
}


@pytest.mark.parametrize(("change", "more"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("index", [0, 4, 6])
def test_a_file_that_has_changed_is_predicted_anew(interrupt, files, change, more: int, index: int) -> None:
    change(Path(files[index]))
    if index == 4 and change in (change_samples, change_and_hide_it):
        more = 1  # the broken one, which was empty and is no longer
    again, table, whole = interrupt()
    assert again == 2 + more
    assert table == whole


def test_a_missing_file_that_came_back_is_predicted_anew(predictor, files, tmp_path, interrupt) -> None:
    content = Path(files[1]).read_bytes()
    Path(files[1]).unlink()
    with pytest.raises(KeyboardInterrupt):
        predict_into(tmp_path / "out.csv", predictor, lambda: iter(files), RowSettings(), RUN, on_file=stop_after(1))
    Path(files[1]).write_bytes(content)
    again, table, whole = interrupt()
    assert again == 1 + 2
    assert table == whole


def test_a_file_that_changes_again_and_again_counts_as_it_is_last(predictor, files, tmp_path, interrupt) -> None:
    for seconds in (100, 2_000):
        Path(files[2]).write_bytes(Path(files[2]).read_bytes()[:-seconds])
        with pytest.raises(KeyboardInterrupt):
            predict_into(
                tmp_path / "out.csv", predictor, lambda: iter(files), RowSettings(), RUN, on_file=stop_after(1)
            )
    again, table, whole = interrupt()
    assert again == 2
    assert table == whole


def test_a_file_that_changes_while_it_is_predicted_does_not_count(predictor, files, tmp_path) -> None:
    journal = PredictionJournal(tmp_path / "journal", RUN)
    assert next(journal.skip_done(iter(files[:1]))) == files[0]
    change_samples(Path(files[0]))
    journal.append(files[0], [{"label": "x"}])
    again = PredictionJournal(tmp_path / "journal", RUN)
    assert list(again.skip_done(iter(files[:1]))) == files[:1]


def test_another_model_refuses_to_go_on_unless_it_may_start_anew(interrupt, tmp_path) -> None:
    with pytest.raises(JournalError, match="found other weights, graph, configuration or backend .*--overwrite"):
        interrupt(run={"model": "other"})
    again, table, whole = interrupt(run={"model": "other"}, overwrite=True)
    assert again == 9
    assert table == whole
    assert not list(tmp_path.glob(".*"))


def test_what_an_earlier_version_left_is_refused_unless_the_run_starts_anew(interrupt, tmp_path) -> None:
    (tmp_path / ".out.csv.part-0-of-1").write_text('{"model": "m", "top_k": 1}\n{"file": "a.wav", "rows": []}\n')
    with pytest.raises(JournalError, match="to be of this version of hfaudio, found another; start anew with"):
        interrupt()
    assert interrupt(overwrite=True)[0] == 9


def test_what_another_number_of_processes_left_is_refused_or_removed(predictor, files, tmp_path, interrupt) -> None:
    arguments = (predictor, lambda: iter(files[::2]), RowSettings(), RUN, 0, 2)
    with pytest.raises(JournalError, match="^Expected 2 processes, found that an interrupted run of 1 has left "):
        predict_into(tmp_path / "out.csv", *arguments)
    (tmp_path / ".out.csv.part-1-of-2").write_text(
        json.dumps({"journal": 2, **RUN, **asdict(RowSettings())}) + "\nnull\n"
    )
    predict_into(tmp_path / "out.csv", *arguments, overwrite=True)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["out.csv", "link.csv"])
def test_a_file_of_others_is_never_replaced_unasked(predictor, files, tmp_path, name: str) -> None:
    (tmp_path / "out.csv").write_text("mine")
    (tmp_path / "link.csv").symlink_to("out.csv")
    arguments = (predictor, lambda: iter(files[:2]), RowSettings(), RUN)
    with pytest.raises(JournalError, match="^Expected nothing at .*out.csv, found a file that this run did not begin"):
        predict_into(tmp_path / name, *arguments)
    assert (tmp_path / "out.csv").read_text() == "mine"
    assert not list(tmp_path.glob(".*"))
    predict_into(tmp_path / name, *arguments, overwrite=True)
    assert (tmp_path / "out.csv").read_text().startswith("file,start")
    assert (tmp_path / "link.csv").is_symlink()
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(JournalError, match="^Expected a file at .*folder.csv, found something else"):
        predict_into(tmp_path / "folder.csv", *arguments, overwrite=True)


def test_a_file_that_came_meanwhile_is_not_replaced(predictor, files, tmp_path) -> None:
    path = tmp_path / "out.csv"

    def come(rows) -> None:
        path.write_text("mine")

    arguments = (predictor, lambda: iter(files[:1]), RowSettings(), RUN)
    with pytest.raises(JournalError, match="^Expected nothing at .*, found a file that came there meanwhile"):
        predict_into(path, *arguments, on_file=come)
    assert path.read_text() == "mine"
    path.unlink()
    predict_into(path, *arguments, on_file=pytest.fail)  # nothing is lost
    assert path.read_text().startswith("file,start")


def test_a_kill_after_the_table_was_written_ends_with_the_same_table(predictor, files, tmp_path, monkeypatch) -> None:
    path = tmp_path / "out.csv"

    def die(self: Path, missing_ok: bool = False) -> None:
        if not missing_ok:  # the journal
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", die)
        with pytest.raises(SystemExit):
            predict_into(path, predictor, lambda: iter(files), RowSettings(), RUN)
    table = path.read_bytes()
    predict_into(path, predictor, lambda: iter(files), RowSettings(), RUN, on_file=pytest.fail)
    assert path.read_bytes() == table
    assert not list(tmp_path.glob(".*"))


def test_of_two_runs_at_one_table_the_second_is_refused(predictor, files, tmp_path) -> None:
    refused: list[str] = []

    def come_second(rows) -> None:
        for processes in (1, 2):
            with pytest.raises(
                JournalError, match="^Expected no other run that writes .*, found one at work"
            ) as error:
                predict_into(path, predictor, lambda: iter(files), RowSettings(), RUN, processes=processes)
            refused.append(str(error.value))

    path = tmp_path / "out.csv"
    predict_into(path, predictor, lambda: iter(files), RowSettings(), RUN, on_file=come_second)
    assert len(refused) == 2 * len(files)
    assert path.read_text().count("\n") == 1 + len(files)
    assert not list(tmp_path.glob(".*"))


def test_the_lock_of_a_run_that_was_killed_is_in_nobodys_way(predictor, files, tmp_path) -> None:
    (tmp_path / ".out.csv.lock-0").touch()
    predict_into(tmp_path / "out.csv", predictor, lambda: iter(files[:1]), RowSettings(), RUN)
    assert not list(tmp_path.glob(".*"))


def test_many_runs_at_once_never_share_a_table(tmp_path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(50):
            try:
                with only_run(tmp_path / "x.csv"):
                    inside.append(number)
                    most.append(len(inside))
                    inside.remove(number)
            except JournalError:
                continue

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_is_a_sentence_and_the_run_goes_on_later(predictor, files, tmp_path, monkeypatch) -> None:
    path = tmp_path / "out.csv"

    def full(self, file, rows) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    arguments = (path, predictor, lambda: iter(files), RowSettings(), RUN)
    with monkeypatch.context() as patch:
        patch.setattr(PredictionJournal, "append", full)
        with pytest.raises(JournalError, match=r"found that impossible \(No space left on device\); make it possible"):
            predict_into(*arguments)
    assert predict_into(*arguments) == 1
    with pytest.raises(JournalError, match=r"found its folder unwritable \(No such file or directory\)"):
        predict_into(tmp_path / "gone" / "out.csv", *arguments[1:])


def test_a_folder_that_vanishes_meanwhile_is_a_sentence(predictor, files, tmp_path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    arguments = (predictor, lambda: iter(files[:2]), RowSettings(), RUN)
    with pytest.raises(JournalError, match=r"^Expected to write .*gone/out.csv, found that impossible \(No such file"):
        predict_into(folder / "out.csv", *arguments, on_file=lambda rows: shutil.rmtree(folder, ignore_errors=True))


def interrupted(folder: Path) -> Path:
    journal = PredictionJournal(folder / "journal", {"model": "m", "top_k": 1})
    journal.append("a.wav", [{"label": "x"}])
    journal.append("b.wav", [])
    return journal.path


def test_other_settings_do_not_go_on(tmp_path) -> None:
    path = interrupted(tmp_path)
    with pytest.raises(JournalError, match=r"to be of the same settings, found top_k 1 in place of 5; give the same"):
        PredictionJournal(path, {"model": "m", "top_k": 5})


@pytest.mark.parametrize("files", [["b.wav"], ["a.wav", "c.wav"], ["a.wav"]])
def test_other_files_do_not_go_on(tmp_path, files: list[str]) -> None:
    journal = PredictionJournal(interrupted(tmp_path), {"model": "m", "top_k": 1})
    with pytest.raises(JournalError, match=r"^Expected [ab]\.wav next, as .*, found"):
        list(journal.skip_done(iter(files)))


def test_the_rest_is_still_to_do(tmp_path) -> None:
    journal = PredictionJournal(interrupted(tmp_path), {"model": "m", "top_k": 1})
    assert list(journal.skip_done(iter(["a.wav", "b.wav", "c.wav"]))) == ["c.wav"]
    assert not journal.is_finished(journal.path)
    journal.finish()
    journal.finish()
    assert journal.is_finished(journal.path)
    assert list(journal.read()) == [("a.wav", [{"label": "x"}]), ("b.wav", [])]


def test_a_journal_of_nothing_whole_begins_anew(tmp_path) -> None:
    (tmp_path / "journal").write_text(json.dumps({"model"[:3]: "m"})[:5])
    journal = PredictionJournal(tmp_path / "journal", {"model": "m"})
    assert list(journal.read()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"top_k": 0}, "--top_k must be at least 1, found 0."),
        ({"threshold": 1.5}, "--threshold must be from 0 to 1, found 1.5."),
        ({"timeline": True}, "--timeline needs a --threshold"),
        ({"timeline": True, "threshold": 0.5, "top_k": 2}, "--timeline names one class an event"),
    ],
)
def test_settings_that_contradict_each_other_are_named(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        RowSettings(**arguments)
