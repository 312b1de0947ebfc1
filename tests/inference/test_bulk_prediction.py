import json
import threading
from pathlib import Path

import pytest

from hfaudio.inference import Predictor
from hfaudio.inference.bulk_prediction import RowSettings, predict_into
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
