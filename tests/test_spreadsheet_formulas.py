import csv
import logging
from pathlib import Path

import datasets
import pytest

from hfaudio.data import LeftOut
from hfaudio.data.split_file import split_by_file, write_split
from hfaudio.evaluation import write_csv
from hfaudio.inference.prediction_table import write_table
from hfaudio.spreadsheet_formulas import warn_of_formulas

LINK = '=HYPERLINK("x","y").wav'


@pytest.mark.parametrize("name", [LINK, "+1 dB.wav", "-a.wav", "@home.wav", "\ta.wav", "\ra.wav", f"sounds/{LINK}"])
def test_a_name_that_begins_as_a_formula_is_warned_of(name: str, caplog) -> None:
    rows = [{"file": "a.wav", "score": -0.5}, {"file": name, "score": None}]
    assert list(warn_of_formulas(rows, "x.csv")) == rows
    (message,) = caplog.messages
    assert message.startswith(
        f"x.csv has cells that begin as formulas do, which a spreadsheet may run (1): {name}; import"
    )


def test_numbers_and_other_names_are_not(caplog) -> None:
    assert list(warn_of_formulas([("-1", "+0.5", "a=b", "a-b.wav", "x/y", "", None, -3)], "x.csv"))
    assert not caplog.messages


def test_at_most_five_are_named(caplog) -> None:
    for _ in warn_of_formulas([(f"={number}",) for number in range(7)], "x.csv"):
        pass
    assert "may run (7): =0" in caplog.text
    assert "=4, and more; import" in caplog.text
    assert "=5" not in caplog.text


def split(name: str) -> datasets.DatasetDict:
    return datasets.DatasetDict(
        {part: datasets.Dataset.from_dict({"file_name": [own], "content_hash": [own]})
         for part, own in (("train", name), ("test", "b.wav"))}
    )  # fmt: skip


WRITERS = {
    "predictions.csv": lambda path, name: write_table([{"file": name}], ["file"], path),
    "left_out.csv": lambda path, name: write_csv(path, ["file"], [{"file": name}]),
    "split.csv": lambda path, name: write_split(split(name), path),
}


@pytest.mark.parametrize("table", WRITERS)
def test_every_table_warns_once_and_keeps_the_names(tmp_path: Path, table: str, caplog) -> None:
    for name in (LINK, 'two\nlines,\tand "quotes".wav', "\u202e猫.wav"):
        WRITERS[table](tmp_path / table, name)
        with (tmp_path / table).open(newline="", encoding="utf-8") as file:
            assert list(csv.reader(file))[1][0] == name
    (message,) = caplog.messages
    assert message.startswith(f"{table} has cells that begin as formulas do")
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("table", ["predictions.csv", "left_out.csv"])
def test_a_name_that_is_not_utf_8_is_kept_byte_by_byte(tmp_path: Path, table: str) -> None:
    WRITERS[table](tmp_path / table, b"\xff.wav".decode(errors="surrogateescape"))
    assert b"\n\xff.wav\r\n" in (tmp_path / table).read_bytes()


def test_a_recording_that_is_left_out_may_have_any_name(tmp_path: Path) -> None:
    name = b"\xff.wav".decode(errors="surrogateescape")
    write_split(split("a.wav"), tmp_path / "split.csv", [LeftOut(name, "empty")])
    assert b"\xff.wav,left_out" in (tmp_path / "split.csv").read_bytes()
    rows = (
        datasets.concatenate_datasets(list(split("a.wav").values()))
        .add_column("label", [0, 0])
        .add_column("group", [None, None])
    )
    rows = rows.cast_column("label", datasets.ClassLabel(names=["a"]))
    assert split_by_file(rows, tmp_path / "split.csv")["test"]["file_name"] == ["b.wav"]
