"""Locks on files, and what is left of them where the system has none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hfaudio import file_locks
from hfaudio.data import archive_cache
from hfaudio.file_locks import is_at, let_go, take_lock

WITHOUT_FCNTL = """
import sys
sys.modules["fcntl"] = None  # as on Windows
import hfaudio.data, hfaudio.inference, hfaudio.training
from hfaudio.file_locks import HAS_LOCKS, take_lock
take_lock(0)
print(HAS_LOCKS)
"""


def test_one_holds_a_lock_until_it_lets_go(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    try:
        take_lock(first)
        with pytest.raises(BlockingIOError):
            take_lock(second, shared=True)
        let_go(first)
        take_lock(first, shared=True)
        take_lock(second, shared=True, wait=True)
    finally:
        os.close(first)
        os.close(second)


def test_what_was_exchanged_is_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert is_at(descriptor, path)
        path.rename(tmp_path / "other")
        assert not is_at(descriptor, path)
        path.touch()
        assert not is_at(descriptor, path)
    finally:
        os.close(descriptor)


def test_the_package_works_without_locks() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_FCNTL], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr


def test_without_locks_no_unpacked_archive_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_locks, "fcntl", None)
    monkeypatch.setattr(archive_cache, "HAS_LOCKS", False)
    monkeypatch.setenv(archive_cache.BOUND_VARIABLE, "0")
    folder = tmp_path / ("0" * 64)
    assert not archive_cache.claim(folder)
    folder.mkdir()
    (folder / "file").write_bytes(b"1")
    assert archive_cache.claim(folder)
    archive_cache.make_room(tmp_path)
    assert (folder / "file").exists()
