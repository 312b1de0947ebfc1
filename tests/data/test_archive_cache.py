import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfaudio.data import archive_cache
from hfaudio.data.archive_cache import claim, make_room, release, temporary_name
from hfaudio.data.errors import DataError

CLAIM = "import sys; from pathlib import Path; from hfaudio.data.archive_cache import claim; "
CLAIM += "print(claim(Path(sys.argv[1])), flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def no_claims() -> Iterator[None]:
    yield
    for folder in list(archive_cache._claimed):
        release(Path(folder))


def name_of(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def fill(cache: Path, word: str, last_use: int, size: int = 1000) -> Path:
    """A folder as an archive leaves it, last used some seconds after 2001."""
    folder = cache / name_of(word)
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.wav").write_bytes(bytes(size))
    os.utime(folder, (10**9 + last_use,) * 2)
    return folder


def bound(monkeypatch: pytest.MonkeyPatch, size: int | str) -> None:
    monkeypatch.setenv("HFAUDIO_ARCHIVE_CACHE_BYTES", str(size))


def test_what_was_used_least_recently_makes_room(tmp_path, monkeypatch, caplog) -> None:
    folders = [fill(tmp_path, word, last_use) for word, last_use in (("a", 2), ("b", 1), ("c", 3))]
    bound(monkeypatch, 3000)
    make_room(tmp_path)
    assert (all(map(Path.is_dir, folders)), caplog.messages) == (True, [])
    bound(monkeypatch, 2999)
    make_room(tmp_path)
    assert [folder.is_dir() for folder in folders] == [True, False, True]
    assert sorted(os.listdir(tmp_path)) == sorted([name_of("a"), name_of("c")])
    (message,) = caplog.messages
    assert message.startswith("Removed an unpacked archive of 9.31e-07 GiB, used least recently, from ")
    bound(monkeypatch, 0)
    make_room(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_claim_is_a_use_and_keeps_the_folder(tmp_path, monkeypatch, caplog) -> None:
    old, new = fill(tmp_path, "a", 1), fill(tmp_path, "b", 2)
    assert claim(old)
    assert old.stat().st_mtime > new.stat().st_mtime
    release(old)
    bound(monkeypatch, 1000)
    make_room(tmp_path)
    assert (old.is_dir(), new.is_dir()) == (True, False)
    assert claim(old)
    assert claim(old)
    bound(monkeypatch, 0)
    make_room(tmp_path)
    assert old.is_dir()
    release(old)
    make_room(tmp_path)
    assert not claim(old)


def test_a_claim_of_another_process_keeps_the_folder_while_it_lives(tmp_path, monkeypatch) -> None:
    folder = fill(tmp_path, "a", 1)
    bound(monkeypatch, 0)
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        make_room(tmp_path)
        assert folder.is_dir()
        process.kill()
    make_room(tmp_path)
    assert not folder.exists()


def test_what_killed_processes_left_goes_and_what_others_write_stays(tmp_path, caplog) -> None:
    left, written = (tmp_path / temporary_name(name_of(word)) for word in ("a", "b"))
    for folder in (left, written):
        (folder / "sounds").mkdir(parents=True)
    assert claim(written)
    (tmp_path / "notes").mkdir()
    make_room(tmp_path)
    assert (left.exists(), written.exists(), (tmp_path / "notes").exists()) == (False, True, True)
    assert caplog.messages == []


def test_a_bound_that_is_no_number_is_named(tmp_path, monkeypatch) -> None:
    bound(monkeypatch, "64 GB")
    with pytest.raises(
        DataError, match="Expected a number of bytes in HFAUDIO_ARCHIVE_CACHE_BYTES, found '64 GB'; change or unset it"
    ):
        make_room(tmp_path)
