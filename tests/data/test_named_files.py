import unicodedata
from pathlib import Path

import pytest

from hfaudio.data.named_files import AmbiguousNameError, NamedFiles

FILES = ("a.wav", "Dog/Bark 1.WAV", "sub/c.flac", "wavs/lj-1.2.wav", "vögel/ä.wav", "two/d.wav", "two/d.flac", "e.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / unicodedata.normalize("NFC", name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.wav", "a.wav"),
        ("./a.wav", "a.wav"),
        ("sub/../a.wav", "a.wav"),
        # With backslashes.
        ("sub\\c.flac", "sub/c.flac"),
        (".\\sub\\c.flac", "sub/c.flac"),
        # Without an ending.
        ("a", "a.wav"),
        ("c", "sub/c.flac"),
        ("sub/c", "sub/c.flac"),
        ("sub\\c", "sub/c.flac"),
        ("lj-1.2", "wavs/lj-1.2.wav"),
        # In another case or Unicode form.
        ("A.WAV", "a.wav"),
        ("dog/bark 1.wav", "Dog/Bark 1.WAV"),
        ("bark 1", "Dog/Bark 1.WAV"),
        (unicodedata.normalize("NFD", "vögel/ä.wav"), "vögel/ä.wav"),
        (unicodedata.normalize("NFD", "ä.wav"), "vögel/ä.wav"),
        # Below a folder for the recordings.
        ("lj-1.2.wav", "wavs/lj-1.2.wav"),
        ("two/d.wav", "two/d.wav"),
        # Not there, or no recordings.
        ("b.wav", None),
        ("e", None),
        ("sub", None),
        ("sub/", None),
        ("..", None),
        ("no/where/a.wav", None),
        ("/no/where/a.wav", None),
        ("b" * 300, None),
        ("https://host/a.wav", None),
        ("", None),
    ],
)
def test_a_file_is_found_by_what_a_table_calls_it(folder: Path, name: str, found: str | None) -> None:
    path = NamedFiles([folder]).find(name)
    assert (path and Path(path).resolve()) == (found and folder / found)


def test_a_path_may_begin_in_a_folder_for_the_recordings(tmp_path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "audio" / "fold1").mkdir(parents=True)
    (tmp_path / "audio" / "fold1" / "a.wav").touch()
    assert NamedFiles([tmp_path / "meta", tmp_path]).find("fold1/a.wav") == str(tmp_path / "audio/fold1/a.wav")


def test_a_path_from_the_root_may_be_in_another_case(folder: Path) -> None:
    assert NamedFiles([folder]).find(f"{folder}/dog/BARK 1") == str(folder / "Dog" / "Bark 1.WAV")


@pytest.mark.parametrize("name", ["d", "two/d"])
def test_a_name_of_several_files_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(AmbiguousNameError, match=r"2: .*two/d.flac, .*two/d.wav"):
        NamedFiles([folder]).find(name)


def test_exact_names_come_first(folder: Path) -> None:
    (folder / "A.wav").touch()
    assert NamedFiles([folder]).find("A.wav") == str(folder / "A.wav")
    assert NamedFiles([folder]).find("two/d.wav") == str(folder / "two/d.wav")
