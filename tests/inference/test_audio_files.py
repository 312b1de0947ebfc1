import errno
import io
import os
from pathlib import Path

import pytest

from hfaudio.inference import audio_files as module
from hfaudio.inference.audio_files import FileListError, find_audio, read_file_list


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.wav", "a.MP3", "notes.txt", "deep/er/c.ogg", "deep/d.flac", ".hidden.wav", ".git/x.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def found(folder: Path, *sources: str) -> list[str]:
    return [str(Path(path).relative_to(folder)) for path in find_audio([str(folder / source) for source in sources])]


def test_a_folder_gives_its_recordings_at_any_depth_in_order(folder) -> None:
    assert found(folder, "") == ["a.MP3", "b.wav", "deep/d.flac", "deep/er/c.ogg"]


@pytest.mark.parametrize("at_most", [1, 3])
def test_of_a_large_folder_all_are_found_too(folder, at_most: int, monkeypatch) -> None:
    monkeypatch.setattr(module, "SORTED_AT_MOST", at_most)
    assert sorted(found(folder, "")) == ["a.MP3", "b.wav", "deep/d.flac", "deep/er/c.ogg"]


def test_files_are_taken_whatever_they_are_called_and_in_the_order_given(folder) -> None:
    assert found(folder, "notes.txt", "b.wav", "b.wav") == ["notes.txt", "b.wav", "b.wav"]


def test_patterns_are_followed(folder) -> None:
    assert found(folder, "**/*.[of]*") == ["deep/d.flac", "deep/er/c.ogg"]
    (folder / "[x].wav").touch()
    assert found(folder, "[x].wav") == ["[x].wav"]  # a file of that name


@pytest.mark.parametrize(("source", "words"), [("gone", "nothing"), ("*.m4a", "nothing"), ("empty", "none")])
def test_where_there_is_nothing_it_is_said(folder, source: str, words: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(
        FileListError, match=rf"^Expected recordings at .*, found {words}; their names end in .*\.wav and the like"
    ):
        found(folder, source)


def test_what_may_be_a_recording_is_given_too(folder) -> None:
    for name in ("d.AIFC", "e.3gp", "f", "g.unknown"):
        (folder / name).write_bytes(bytes(range(100)))
    for name in ("cover.jpg", "Thumbs.db", "README", "labels.txt"):
        (folder / name).write_text("words and words")
    (folder / "gone.wav").symlink_to(folder / "nothing.wav")
    (folder / "round.wav").symlink_to(folder / "round.wav")
    os.mkfifo(folder / "pipe.wav")
    (folder / "zero.wav").symlink_to("/dev/zero")
    (folder / "deep" / "empty.wav").mkdir()
    taken = ["d.AIFC", "e.3gp", "f", "g.unknown", "gone.wav", "pipe.wav", "round.wav", "zero.wav"]
    assert found(folder, "") == sorted(["a.MP3", "b.wav", "deep/d.flac", "deep/er/c.ogg", *taken])
    assert found(folder, "*[!3]") == sorted(["b.wav", *taken])
    assert found(folder, *taken) == taken


def test_a_folder_behind_a_link_is_searched_once(folder, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "z.wav").touch()
    (folder / "link").symlink_to(elsewhere)
    (folder / "other").symlink_to(elsewhere)
    assert found(folder, "") == ["a.MP3", "b.wav", "deep/d.flac", "deep/er/c.ogg", "link/z.wav"]


def test_a_link_to_a_folder_is_no_way_round_in_circles(folder) -> None:
    (folder / "deep" / "up").symlink_to(folder)
    assert len(found(folder, "")) == 4


def test_files_are_found_as_they_are_asked_for(folder) -> None:
    paths = find_audio([str(folder)])
    assert next(paths).endswith("a.MP3")
    (folder / "deep" / "d.flac").unlink()
    assert [os.path.basename(path) for path in paths] == ["b.wav", "c.ogg"]


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch) -> None:
    scan = os.scandir

    def refusing(path):
        if os.path.basename(path) == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(FileListError, match=r"^Expected to read the folder .*deep, found that impossible \(Perm"):
        list(find_audio([str(folder)]))


@pytest.mark.parametrize("source", ["gone.wav", "*.m4a", "empty"])
def test_a_source_without_recordings_is_said_before_the_first_recording_of_another(folder, source: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(FileListError, match="^Expected recordings at "):
        next(find_audio([str(folder / "b.wav"), str(folder / source)]))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "a.wav\n\nsub/b c.wav\n"),
        ("list.csv", 'label,file_name\nx,a.wav\ny,"sub/b c.wav"\n,\n'),
        ("LIST.TSV", "path\tlabel\na.wav\tx\nsub/b c.wav\ty\n"),
    ],
)
def test_lists_and_tables_are_read(name: str, text: str) -> None:
    assert list(read_file_list(io.StringIO(text), name, Path("/data"))) == ["/data/a.wav", "/data/sub/b c.wav"]


def test_a_table_without_a_column_of_files_is_named() -> None:
    with pytest.raises(
        FileListError, match="^Expected one of the columns file_name, .* in x.csv, found sound, label;"
    ):
        list(read_file_list(io.StringIO("sound,label\n"), "x.csv", Path()))


def test_blanks_around_a_listed_path_count_only_in_the_name_of_a_file(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav "):
        (tmp_path / name).touch()
    lines = io.StringIO("  a.wav \n\t\nb.wav \n gone.wav\n")
    found = list(read_file_list(lines, "list.txt", tmp_path))
    assert found == [str(tmp_path / name) for name in ("a.wav", "b.wav ", " gone.wav")]
    table = io.StringIO("label, file_name\nx, a.wav\ny,\nz\n")
    assert list(read_file_list(table, "list.csv", tmp_path)) == [str(tmp_path / "a.wav")]


@pytest.mark.parametrize(("name", "text"), [("list.txt", "\n  \n"), ("list.csv", "file_name\n"), ("list.txt", "")])
def test_a_list_without_paths_is_said(name: str, text: str) -> None:
    with pytest.raises(FileListError, match=f"^Expected paths in {name}, found none"):
        list(read_file_list(io.StringIO(text), name, Path()))


def test_a_table_that_is_none_is_said() -> None:
    lines = io.StringIO(f"file_name\n{'x' * 200_000}\n")
    with pytest.raises(FileListError, match=r"^Expected a table in x.csv, found something else \(field larger"):
        list(read_file_list(lines, "x.csv", Path()))
