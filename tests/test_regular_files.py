import os
import socket
import stat
from pathlib import Path

import pytest

from hfaudio.regular_files import NotRegularError, only_regular


def read(path: Path) -> bytes:
    with open(path, "rb", opener=only_regular) as file:
        return file.read()


def test_files_are_opened_behind_links_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"words")
    (tmp_path / "b").symlink_to("a")
    assert read(tmp_path / "a") == read(tmp_path / "b") == b"words"


def test_what_is_no_file_is_not_opened(tmp_path: Path, monkeypatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
        for name, words in (("pipe", "named pipe"), ("zero", "device"), ("socket", "socket")):
            with pytest.raises(NotRegularError, match=f"^is a {words}.*, no file$"):
                read(tmp_path / name)


def test_other_mistakes_are_said_as_open_says_them(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("gone")
    for path, error, words in (
        (tmp_path, IsADirectoryError, "Is a directory"),
        (tmp_path / "gone", FileNotFoundError, "No such file"),
        (tmp_path / "dangling", FileNotFoundError, "No such file"),
        (tmp_path / "loop", OSError, "symbolic links"),
    ):
        with pytest.raises(error, match=words):
            read(path)


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    status = os.stat(tmp_path / "file")
    assert stat.S_ISREG(status.st_mode)
    monkeypatch.setattr(os, "stat", lambda _: status)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(NotRegularError, match="named pipe"):
        read(tmp_path / "pipe")
    assert not before or len(os.listdir("/proc/self/fd")) == before
