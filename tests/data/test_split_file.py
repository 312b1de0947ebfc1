import csv
from pathlib import Path

import datasets
import pytest

from hfaudio.data import (
    DataError,
    LeftOut,
    split_by_file,
    split_randomly,
    take_validation_part,
    write_split,
)


@pytest.fixture
def rows(make_rows) -> datasets.Dataset:
    return make_rows("ab" * 10)


@pytest.fixture
def path(rows, tmp_path: Path) -> Path:
    write_split(split_randomly(rows, 0.2, seed=0), tmp_path / "split.csv")
    return tmp_path / "split.csv"


def sentence(dataset: datasets.Dataset, path: Path) -> str:
    with pytest.raises(DataError) as error:
        split_by_file(dataset, path)
    return str(error.value)


def test_a_row_is_a_name_a_part_and_a_hash(make_rows, tmp_path) -> None:
    dataset = make_rows("aabb", contents="wxyz")
    write_split(datasets.DatasetDict({"train": dataset.select([0, 2]), "test": dataset.select([3])}), tmp_path / "s")
    assert (tmp_path / "s").read_text().splitlines() == [
        "file_name,split,content_hash",
        "0.wav,train,w",
        "2.wav,train,y",
        "3.wav,test,z",
    ]


def test_what_was_written_gives_the_same_split_in_any_order(rows, path) -> None:
    split = split_randomly(rows, 0.2, seed=0)
    for dataset in (rows, rows.select(range(19, -1, -1))):
        again = split_by_file(dataset, path)
        assert all(set(again[part]["file_name"]) == set(split[part]["file_name"]) for part in ("train", "test"))


def test_a_validation_part_counts_as_trained_on(rows, tmp_path) -> None:
    split = take_validation_part(split_randomly(rows, 0.2, seed=0), 0.5, seed=0)
    write_split(split, tmp_path / "split.csv")
    assert ",validation," in (tmp_path / "split.csv").read_text()
    again = split_by_file(rows, tmp_path / "split.csv")
    assert again["test"]["file_name"] == split["test"]["file_name"]
    assert len(again["train"]) == len(split["train"]) + len(split["validation"])


def test_names_may_hold_commas_quotes_and_any_letter(make_rows, tmp_path) -> None:
    dataset = make_rows("abab")
    names = ["a,b.wav", 'a"b.wav', "ä/日.wav", " x.wav"]
    dataset = dataset.remove_columns("file_name").add_column("file_name", names)
    write_split(split_randomly(dataset, 0.5, seed=0), tmp_path / "split.csv")
    split = split_by_file(dataset, tmp_path / "split.csv")
    assert {*split["train"]["file_name"], *split["test"]["file_name"]} == set(names)


def test_a_table_of_ones_own_needs_no_hashes(rows, tmp_path) -> None:
    lines = [f"{name},{'test' if index < 4 else 'train'},note" for index, name in enumerate(rows["file_name"])]
    (tmp_path / "mine.csv").write_text("\n".join(["\ufefffile_name,split,comment", *lines]), encoding="utf-8")
    assert len(split_by_file(rows, tmp_path / "mine.csv")["test"]) == 4


@pytest.mark.parametrize("unknown", ["in the table", "in the data set"])
def test_where_a_hash_is_not_known_it_is_not_compared(rows, path, unknown: str) -> None:
    streamed = rows.remove_columns("content_hash").add_column("content_hash", [None] * 20)
    if unknown == "in the table":
        write_split(split_by_file(streamed, path), path)
        assert path.read_text().count(",\n") == 20
    assert len(split_by_file(rows if unknown == "in the table" else streamed, path)["test"]) == 4


def test_what_cannot_be_used_now_may_stand_in_the_table(rows, path) -> None:
    usable = rows.select(range(18))
    split = split_by_file(usable, path, [LeftOut("18.wav", "the file is empty"), LeftOut("19.wav", "wholly silent")])
    assert len(split["train"]) + len(split["test"]) == 18
    assert "0 missing from the table and 2 missing from the data set" in sentence(usable, path)


def test_what_could_not_be_used_then_stays_out(rows, path, caplog) -> None:
    write_split(split_by_file(rows, path), path, [LeftOut("bad.wav", "a"), LeftOut("gone.wav", "b")] * 2)
    assert path.read_text().splitlines()[-2:] == ["bad.wav,left_out,", "gone.wav,left_out,"]
    repaired = datasets.concatenate_datasets([rows, rows.select([0]).map(lambda _: {"file_name": "bad.wav"})])
    split = split_by_file(repaired, path)
    assert len(split["train"]) + len(split["test"]) == 20
    assert f"Left out 1 recordings, as {path} says" in caplog.text


def test_recordings_of_other_content_are_refused(make_rows, path) -> None:
    changed = make_rows("ab" * 10, contents=[*map(str, range(18)), "x", "y"])
    assert sentence(changed, path) == (
        f"Expected the recordings that {path} was written for, found 2 with other content, the first 18.wav; restore "
        "them, or make the split anew."
    )


def test_other_recordings_are_refused(make_rows, rows, path) -> None:
    start = f"Expected in {path} the recordings of the data set and no others, found "
    assert sentence(make_rows("ab" * 11), path) == (
        f"{start}2 missing from the table and 0 missing from the data set, the first 20.wav; make the split anew."
    )
    assert sentence(rows.select(range(17)), path) == (
        f"{start}0 missing from the table and 3 missing from the data set, the first 17.wav; make the split anew."
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            b"file_name,split\n0.wav,development\n",
            "train, validation, test, left_out as split in {}, found 'development' for '0.wav'; mend it.",
        ),
        (
            b"file_name,split\n0.wav,\n",
            "train, validation, test, left_out as split in {}, found '' for '0.wav'; mend it.",
        ),
        (
            b"split,file_name\ntrain,1.wav\n0.wav\n",
            "train, validation, test, left_out as split in {}, found '0.wav' for ''; mend it.",
        ),
        (
            b"file_name,split\n0.wav\n",
            "train, validation, test, left_out as split in {}, found '' for '0.wav'; mend it.",
        ),
        (
            b"file_name,split\n0.wav,train\n0.wav,test\n",
            "every recording once in {}, found 0.wav again; remove a line.",
        ),
        (
            b"file,part\n0.wav,train\n",
            "a table with file_name, split, content_hash at {}, found file, part; check --split.",
        ),
        (b"", "a table with file_name, split, content_hash at {}, found no columns; check --split."),
        (b"\xff\xfe\x00", "a table with file_name, split, content_hash at {}, found none ('utf-8' codec"),
    ],
)
def test_tables_that_say_something_else_are_refused(rows, path, text: bytes, found: str) -> None:
    path.write_bytes(text)
    assert sentence(rows, path).startswith(f"Expected {found.format(path)}")


def test_a_missing_table_is_named(rows, tmp_path) -> None:
    expected = "Expected a table with file_name, split, content_hash at {}, found none ([Errno"
    assert sentence(rows, tmp_path / "gone.csv").startswith(expected.format(tmp_path / "gone.csv"))
    assert sentence(rows, tmp_path).startswith(expected.format(tmp_path))
    assert sentence(rows, tmp_path).endswith("; check --split.")


def test_a_table_that_divides_copies_or_groups_is_refused(make_rows, tmp_path) -> None:
    path = tmp_path / "split.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("file_name", "split"), *((f"{i}.wav", "test" if i > 1 else "train") for i in range(4))]
        )
    assert "found 1 on both sides: 1.wav and 2.wav" in sentence(make_rows("abab", contents="wxxz"), path)
    assert "found 1 sources on both sides" in sentence(make_rows("abab", groups="sttu"), path)
    assert "found no b; hold out less" in sentence(make_rows("aaab"), path)
