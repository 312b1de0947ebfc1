import os
from pathlib import Path

import pytest

from hfaudio.data.errors import DataError
from hfaudio.data.ready_datasets import holds_audio, load_parts
from hfaudio.data.recordings import Columns
from hfaudio.data.sources import list_recordings
from hfaudio.data.split_file import split_by_file
from hfaudio.data.table_files import TABLE_ENDINGS, read_table


@pytest.mark.parametrize("ending", TABLE_ENDINGS)
def test_a_pipe_is_no_table(tmp_path: Path, ending: str) -> None:
    (tmp_path / "meta").mkdir()
    os.mkfifo(tmp_path / "meta" / f"table{ending}")
    with pytest.raises(DataError, match=r"^Expected a table at .*, which is a named pipe \(FIFO\), no file; check"):
        read_table(tmp_path / "meta" / f"table{ending}")
    with pytest.raises(DataError, match=r"no file|column of recordings"):
        list_recordings(tmp_path, Columns())
    with pytest.raises(DataError, match="a file of another kind"):
        list_recordings(tmp_path / "meta" / f"table{ending}", Columns())


def test_a_pipe_among_parquet_tables_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    assert not holds_audio(tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"^Expected a table at .*, which is a named pipe \(FIFO\), no file; remove it"
    ):
        load_parts(str(tmp_path))


def test_a_pipe_is_no_split_file(tmp_path: Path, audio) -> None:
    os.mkfifo(tmp_path / "split.csv")
    with pytest.raises(DataError, match=r"found none \(is a named pipe \(FIFO\), no file\); check --split"):
        split_by_file(audio.dataset, tmp_path / "split.csv")


@pytest.mark.parametrize("name", ["metadata.csv", "train.csv"])
def test_a_table_that_cannot_be_read_is_not_passed_over(tmp_path: Path, name: str) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "0.wav").touch()
    if name == "train.csv":
        (tmp_path / "test.csv").write_text("file_name,label\ncat/0.wav,cat\n")
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=r"^Expected a table at .*, which is a named pipe \(FIFO\)"):
        list_recordings(tmp_path, Columns())
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("moved.csv")
    with pytest.raises(DataError, match=rf"found No such file or directory \(.*{name}\)"):
        list_recordings(tmp_path, Columns())


def test_the_separator_of_quoted_columns_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"file_name";"label"\r\n"a.wav";"cat"\r\n')
    with pytest.raises(DataError, match=r"found columns separated by semicolons \(';'\)"):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("damage", ["{oops", "[" * 100_000])
def test_a_damaged_line_of_json_is_named(tmp_path: Path, damage: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"file_name": "a.wav"}\n\n' + damage)
    with pytest.raises(DataError, match=r"^Expected one JSON object a line in .*, found in line 3: "):
        read_table(tmp_path / "a.jsonl")
