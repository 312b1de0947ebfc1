"""The whole way on ESC-10, briefly: docs/results.md has what a full training gives."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
import transformers

from hfaudio.data import load_audio_dataset

ESC10 = Path(__file__).parents[3] / "shared" / "data" / "esc10"

pytestmark = pytest.mark.realdata


def test_all_recordings_are_read() -> None:
    audio = load_audio_dataset(ESC10, label_column="category", fold_column="fold", group_column="source_id")
    assert audio.left_out == ()
    assert Counter(audio.dataset["fold"]) == {str(fold): 80 for fold in range(1, 6)}
    assert len(audio.class_names) == 10
    assert len(audio.dataset[0]["waveform"]) == pytest.approx(5 * 16_000, rel=0.01)


def test_the_pipeline_hears_what_the_training_heard(train, tmp_path) -> None:
    flags = ("--label_column", "category", "--fold_column", "fold", "--eval_folds", 5)
    flags += ("--hidden_sizes", 8, 16, 32, "--depths", 1, 1, 1, "--num_train_epochs", 10)
    train("--dataset", ESC10, *flags, "--output_dir", tmp_path)
    assert json.loads((tmp_path / "all_results.json").read_text())["eval_accuracy"] > 0.3
    classify = transformers.pipeline("audio-classification", model=str(tmp_path), device="cpu", trust_remote_code=True)
    with (tmp_path / "eval" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80
    for row in rows:
        (best,) = classify(str(ESC10 / row["file_name"]), top_k=1)
        assert best["label"] == row["predicted"]
        assert best["score"] == pytest.approx(float(row["score"]), abs=1e-4)
