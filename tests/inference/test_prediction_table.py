import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hfaudio.inference import Prediction
from hfaudio.inference import prediction_table as module
from hfaudio.inference.prediction_table import (
    FORMATS,
    SILENT_WINDOW,
    is_failure,
    prediction_row,
    table_columns,
    write_table,
)

HEARD = Prediction("a, b.wav", 0.0, 2.00049, ("clap", "hum", "rain"), np.float32([0.25, 0.7, 0.05]))
FAILED = Prediction("ü.wav", 0.0, 0.0, ("clap", "hum", "rain"), np.empty(0, np.float32), "the file is empty (0 bytes)")


def test_a_row_names_the_most_probable_classes() -> None:
    assert prediction_row(HEARD, top_k=2) == {
        "file": "a, b.wav", "start": 0.0, "end": 2.0, "label": "hum", "score": 0.7, "label_2": "clap", "score_2": 0.25,
        "error": None,
    }  # fmt: skip
    assert prediction_row(HEARD, top_k=2, threshold=0.5)["label_2"] is None
    assert prediction_row(HEARD, threshold=0.9)["label"] is None
    assert tuple(prediction_row(HEARD, 5)) == table_columns(5)


def test_an_unknown_recording_has_no_first_class() -> None:
    unknown = replace(HEARD, unknown_threshold=0.8)
    row = prediction_row(unknown, top_k=2)
    assert row == {**prediction_row(HEARD, top_k=2), "label": "unknown"}
    assert prediction_row(unknown, threshold=0.75)["label"] is None
    assert prediction_row(replace(FAILED, unknown_threshold=0.8)) == prediction_row(FAILED)


def test_an_error_stands_in_its_row() -> None:
    assert prediction_row(FAILED) == {
        "file": "ü.wav", "start": 0.0, "end": 0.0, "label": None, "score": None, "error": "the file is empty (0 bytes)"
    }  # fmt: skip


def test_silence_stands_in_its_row_and_in_a_window_is_no_failure() -> None:
    silent = replace(HEARD, probabilities=np.empty(0, np.float32), unknown_threshold=0.8)
    row = prediction_row(silent, top_k=2)
    assert row == {**dict.fromkeys(row), "file": "a, b.wav", "start": 0.0, "end": 2.0, "error": "wholly silent"}
    window = prediction_row(silent, top_k=2, silent=SILENT_WINDOW)
    assert window == row | {"error": "silent"}
    assert [is_failure(one) for one in (row, window, prediction_row(HEARD), prediction_row(FAILED))] == [1, 0, 0, 1]


@pytest.mark.parametrize("number", [0, 1, 5])
def test_every_format_holds_the_rows(tmp_path: Path, number: int, monkeypatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 2)
    rows = [prediction_row(HEARD), prediction_row(FAILED)] * number
    for ending in FORMATS:
        write_table(iter(rows), table_columns(1), tmp_path / f"x{ending.upper()}")
    read = {ending: tmp_path / f"x{ending.upper()}" for ending in FORMATS}
    assert json.loads(read[".json"].read_text()) == rows
    assert [json.loads(line) for line in read[".jsonl"].read_text().splitlines()] == rows
    assert pq.read_table(read[".parquet"]).to_pylist() == rows
    with read[".csv"].open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
        ]
    assert read[".txt"].read_text() == "0.0\t2.0\thum\n" * number


def test_a_table_is_replaced_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("the former")

    def rows():
        yield prediction_row(HEARD)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(rows(), table_columns(1), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "the former"
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".txt"])
def test_a_name_that_is_not_utf_8_is_written_as_it_is(tmp_path: Path, ending: str) -> None:
    name = b"\xff.wav".decode(errors="surrogateescape")
    row = {**prediction_row(HEARD), "file": name, "label": name}
    write_table([row], table_columns(1), tmp_path / f"x{ending}")
    assert b"\xff.wav" in (tmp_path / f"x{ending}").read_bytes()
