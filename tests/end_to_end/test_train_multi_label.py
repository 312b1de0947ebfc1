"""Recordings of several classes, from the table to the stock pipeline."""

import csv
import json

import pytest
import soundfile
import transformers

from hfaudio.data import load_audio_dataset


@pytest.fixture(scope="module")
def finished(train, several_labels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "run"
    flags = ("--dataset", several_labels, "--label_separator", ";", "--preparation_processes", 1, "--test_size", 0.25)
    flags += ("--num_train_epochs", 60, "--per_device_train_batch_size", 6, "--waveform_augmentation", "none")
    # Nothing but their colour tells these two classes apart, and six recordings are too few to mix.
    flags += ("--mixing", "none", "--style_mixing", 0, "--crop_speed", 1, "--crop_margin", 0, "--ema_decay", 0)
    train(*flags, "--class_weights", "balanced", "--label_smoothing_factor", 0.05, "--output_dir", folder)
    return folder


def test_the_metrics_are_those_of_several_classes(finished) -> None:
    results = json.loads((finished / "all_results.json").read_text())
    assert results["eval_mean_average_precision"] > 0.9
    assert "eval_accuracy" not in results
    card = (finished / "README.md").read_text()
    assert "| held-out recordings | mean average precision | macro-F1 |" in card
    assert "any number of them: high, low." in card


def test_the_pipeline_scores_each_class_by_itself(finished, several_labels) -> None:
    classify = transformers.pipeline("audio-classification", model=str(finished), device="cpu", trust_remote_code=True)
    dataset = load_audio_dataset(several_labels, label_separator=";").dataset
    labels = dict(zip(dataset["file_name"], dataset["label"], strict=True))
    with (finished / "eval" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {row["label"] for row in rows} == {"high;low", "high", "low", ""}
    for row in rows:
        assert [["high", "low"].index(label) for label in row["label"].split(";") if label] == labels[row["file_name"]]
        samples, _ = soundfile.read(several_labels / row["file_name"], dtype="float32")
        scores = {best["label"]: best["score"] for best in classify({"array": samples, "sampling_rate": 16_000})}
        assert row["predicted"] == ";".join(name for name in ("high", "low") if scores[name] >= 0.5)
        assert max(scores.values()) == pytest.approx(float(row["score"]), abs=1e-4)
    assert any(row["predicted"] in ("", "high;low") for row in rows)  # which no softmax could say


def test_a_run_prints_what_it_measured_and_takes_the_split_of_another(
    train, finished, several_labels, tmp_path, capsys
) -> None:
    flags = ("--dataset", several_labels, "--label_separator", ";", "--split", finished / "split.csv")
    train(*flags, "--max_steps", 1, "--output_dir", tmp_path)
    assert (tmp_path / "split.csv").read_bytes() == (finished / "split.csv").read_bytes()
    assert "Measured on what split.csv holds out of" in (tmp_path / "README.md").read_text()
    first = capsys.readouterr().out.splitlines()[-4]
    assert first.startswith("mean average precision ")
    assert ", macro-F1 " in first
