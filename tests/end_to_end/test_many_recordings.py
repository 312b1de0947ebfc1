"""So many recordings that ways are taken which fewer never need: processes that compare, files in larger pieces."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from hfaudio.data.fingerprints import WORTH_PROCESSES

ROOT = Path(__file__).parents[2]
COUNT = 2_500
RATE = 4_000
FEW_STEPS = ("--max_steps", 1, "--eval_strategy", "no", "--per_device_eval_batch_size", 250)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,500 different noises of a fiftieth of a second, of two classes in two folds; the last can be compared."""
    assert COUNT > WORTH_PROCESSES
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    rows = ["file_name,label,fold"]
    for index in range(COUNT):
        seconds = 0.5 if index >= COUNT - 20 else 0.02
        soundfile.write(folder / f"{index:04}.wav", rng.normal(0.0, 0.1, round(seconds * RATE)), RATE)
        rows.append(f"{index:04}.wav,{'ab'[index % 2]},{index // 2 % 2 + 1}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def trained(sounds: Path, train: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    train("--dataset", sounds, "--fold_column", "none", *FEW_STEPS, "--output_dir", folder)
    return folder


def test_they_are_inspected(sounds, main_of, tmp_path) -> None:
    main_of("inspect_dataset")([str(sounds), "--output", str(tmp_path / "report.html")])
    facts = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (facts["kept"], facts["overlaps"]["folds"]) == (COUNT, {"1": COUNT // 2, "2": COUNT // 2})
    assert facts["overlaps"]["near_duplicates"] == []
    assert (tmp_path / "report.html").stat().st_size < 1_000_000


def test_they_are_trained_on(trained) -> None:
    results = json.loads((trained / "all_results.json").read_text())
    assert (results["train_recordings"], results["eval_recordings"]) == (COUNT * 4 // 5, COUNT // 5)
    rows = list(csv.DictReader((trained / "split.csv").open(newline="")))
    assert len({row["file_name"] for row in rows}) == COUNT


def test_each_is_held_out_once(sounds, cross_validate, tmp_path) -> None:
    cross_validate("--dataset", sounds, "--fold_column", "fold", *FEW_STEPS, "--output_dir", tmp_path)
    held_out = pq.read_table(tmp_path / "out_of_fold.parquet")["file_name"].to_pylist()
    assert sorted(held_out) == [f"{index:04}.wav" for index in range(COUNT)]


def test_two_processes_predict_each_once(sounds, trained, tmp_path) -> None:
    command = [
        sys.executable,
        "scripts/predict.py",
        "--model",
        trained,
        sounds,
        "--output",
        tmp_path / "predictions.csv",
    ]
    processes = [
        subprocess.Popen(
            [*map(str, command), "--threads", "1"],
            cwd=ROOT,
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for process in processes:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
    rows = list(csv.DictReader((tmp_path / "predictions.csv").open(newline="")))
    assert [Path(row["file"]).name for row in rows] == [f"{index:04}.wav" for index in range(COUNT)]
    assert {row["label"] for row in rows} <= {"a", "b"}
