import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from hfaudio.evaluation import Interpretation, write_error_review

NAMES = ["cat", "dog", "owl"]
LOGITS = np.log([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1]])
FILES = ["a.wav", "b, c.wav", "ü.wav"]
NOISE = np.random.default_rng(0).uniform(-1, 1, (3, 4_000)).astype(np.float32)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_and_pictures_of_one_class_a_recording(tmp_path: Path) -> None:
    errors = Interpretation.from_predictions(FILES, [0, 0, 1], LOGITS, NAMES, NOISE, 16_000)
    written = write_error_review(errors, tmp_path / "new" / "eval")
    assert sorted(written) == sorted((tmp_path / "new" / "eval").iterdir())
    assert [path.name for path in sorted(written)] == [
        "confusion_matrix.png", "most_confused.csv", "per_class.csv", "top_losses.csv", "top_losses.html",
        "top_losses.png",
    ]  # fmt: skip
    folder = tmp_path / "new" / "eval"
    assert read(folder / "most_confused.csv") == [{"label": "cat", "predicted": "dog", "count": "1"}]
    rows = read(folder / "per_class.csv")
    assert rows[0] == {
        "class": "cat", "recordings": "2", "precision": "1.0", "recall": "0.5", "f1": "0.6666666666666666",
        "confused_with": "dog",
    }  # fmt: skip
    assert (rows[2]["recordings"], rows[2]["precision"], rows[2]["recall"]) == ("0", "", "")
    assert read(folder / "top_losses.csv")[0] == {
        "file_name": "b, c.wav", "label": "cat", "predicted": "dog", "probability": "0.3", "loss": "1.203973",
    }  # fmt: skip
    assert [row["file_name"] for row in read(folder / "top_losses.csv")[1:]] == ["a.wav", "ü.wav"]
    for name in ("confusion_matrix.png", "top_losses.png"):
        height, width, _ = imread(folder / name).shape
        assert min(height, width) > 250


def test_multi_label_data_has_the_tables_that_it_can_have(tmp_path: Path) -> None:
    errors = Interpretation.from_predictions(FILES, [[0, 1], [], [1]], LOGITS, NAMES)
    write_error_review(errors, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["per_class.csv", "top_losses.csv"]
    assert {row["label"] for row in read(tmp_path / "top_losses.csv")} == {"cat;dog", "", "dog"}


@pytest.mark.parametrize("recordings", [1, 150])
def test_a_table_without_errors_has_its_columns_and_a_long_one_ends(tmp_path: Path, recordings: int) -> None:
    names = [f"{index}.wav" for index in range(recordings)]
    errors = Interpretation.from_predictions(names, [0] * recordings, [[1.0, 0.0]] * recordings, ["x", "y"])
    write_error_review(errors, tmp_path)
    assert (tmp_path / "most_confused.csv").read_text() == "label,predicted,count\n"
    assert len(read(tmp_path / "top_losses.csv")) == min(recordings, 100)
