import logging
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from hfaudio.data import LeftOut, LeftOutLog


def note(path: Path, process: int) -> None:
    log = LeftOutLog(path)
    for index in range(200):
        log.add(f"{process}/{index}.wav", "wholly\nsilent, ä")


def test_several_processes_add_to_one_file(tmp_path) -> None:
    path = tmp_path / "run" / "log"
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(note, [path] * 4, range(4)))
    noted = LeftOutLog(path).read()
    assert len(noted) == 800
    assert noted[0] == LeftOut("0/0.wav", "wholly\nsilent, ä")


def test_a_recording_is_named_once(tmp_path, caplog) -> None:
    log = LeftOutLog(tmp_path / "log")
    for _ in range(3):
        log.add("a.wav", "empty")
    LeftOutLog(tmp_path / "log").add("a.wav", "empty")
    assert [record.message for record in caplog.records] == ["Left out a.wav: empty"] * 2
    assert log.read() == [LeftOut("a.wav", "empty")]


def test_without_a_file_there_is_only_the_warning(caplog) -> None:
    log = LeftOutLog()
    with caplog.at_level(logging.WARNING):
        log.add("a.wav", "empty")
    log.clear()
    assert log.read() == []
    assert "Left out a.wav" in caplog.text


def test_what_was_noted_can_be_forgotten(tmp_path) -> None:
    log = LeftOutLog(tmp_path / "log")
    log.add("a.wav", "empty")
    log.clear()
    log.clear()
    assert log.read() == []
