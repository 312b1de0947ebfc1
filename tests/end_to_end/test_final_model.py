"""The model that a cross-validation leaves: trained on all recordings, judged by the folds."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import scipy.special

from hfaudio.inference import Predictor
from hfaudio.model import SpectrogramCNNForAudioClassification
from hfaudio.training import final_model


@pytest.fixture(scope="module")
def run(cross_validate, synthetic_folder, tmp_path_factory) -> Path:
    output_dir = tmp_path_factory.mktemp("run")
    flags = ("--dataset", synthetic_folder, "--num_folds", 2, "--max_steps", 2, "--output_dir", output_dir)
    cross_validate(*flags, "--final_model", "--false_reject_rate", 0.1)
    return output_dir


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_is_trained_on_all_recordings(run) -> None:
    metrics = json.loads((run / "final" / "all_results.json").read_text())
    assert metrics["train_recordings"] == metrics["eval_recordings"] == 50
    split = rows_of(run / "final" / "split.csv")
    assert len(split) == 50
    assert {row["split"] for row in split} == {"train"}
    folds = [(run / f"fold-{fold}" / "model.safetensors").read_bytes() for fold in (1, 2)]
    assert (run / "final" / "model.safetensors").read_bytes() not in folds
    assert not list(run.rglob("checkpoint-*"))


def test_it_is_judged_by_the_folds(run) -> None:
    summary = json.loads((run / "cross_validation.json").read_text())
    metrics = json.loads((run / "final" / "all_results.json").read_text())
    assert metrics["eval_accuracy"] == summary["metrics"]["accuracy"]["pooled"]
    assert (metrics["eval_ece"], metrics["eval_ece_before"]) == (summary["ece"], summary["ece_before"])
    out_of_fold = pyarrow.parquet.read_table(run / "out_of_fold.parquet").to_pylist()
    predicted = {row["file_name"]: row["predicted"] for row in rows_of(run / "final" / "eval" / "predictions.csv")}
    assert predicted == {row["file_name"]: row["predicted"][0] for row in out_of_fold}


def test_temperature_and_threshold_are_settled_by_the_folds(run) -> None:
    config = SpectrogramCNNForAudioClassification.from_pretrained(run / "final").config
    assert config.logit_temperature == json.loads((run / "cross_validation.json").read_text())["temperature"]
    table = pyarrow.parquet.read_table(run / "out_of_fold.parquet")
    columns = [name for name in table.column_names if name.startswith("probability_")]
    logits = np.log(np.stack([table[name].to_numpy() for name in columns], axis=1))
    best = scipy.special.softmax(logits / config.logit_temperature, axis=1).max(axis=1)
    assert np.mean(best < config.unknown_threshold) <= 0.1
    assert np.mean(best <= config.unknown_threshold + 1e-6) > 0.1 - 1 / len(best)
    for fold in (1, 2):
        own = SpectrogramCNNForAudioClassification.from_pretrained(run / f"fold-{fold}").config
        assert (own.logit_temperature, own.unknown_threshold) == (1.0, None)


def test_it_classifies(run, synthetic_folder) -> None:
    recording = next(synthetic_folder.rglob("*.wav"))
    assert Predictor.from_pretrained(run / "final").predict(recording).error is None


def test_it_is_not_trained_again(run, cross_validate, synthetic_folder, capsys) -> None:
    before = (run / "final" / "model.safetensors").stat().st_mtime_ns
    flags = ("--dataset", synthetic_folder, "--num_folds", 2, "--max_steps", 2, "--output_dir", run)
    cross_validate(*flags, "--final_model", "--false_reject_rate", 0.1)
    assert (run / "final" / "model.safetensors").stat().st_mtime_ns == before
    assert f"model: {run / 'final'}, trained on all 50 recordings" in capsys.readouterr().out


def test_one_that_diverged_is_not_left(run, cross_validate, synthetic_folder, monkeypatch, capsys, tmp_path) -> None:
    fit = final_model.fit

    def diverging_fit(*arguments, **settings):
        fitted = fit(*arguments, **settings)
        next(fitted.model.parameters()).data.fill_(float("nan"))
        return fitted

    monkeypatch.setattr(final_model, "fit", diverging_fit)
    folds = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("final"))
    flags = ("--dataset", synthetic_folder, "--num_folds", 2, "--max_steps", 2, "--output_dir", folds)
    with pytest.raises(SystemExit) as ending:
        cross_validate(*flags, "--final_model")
    assert ending.value.code == 2
    assert "found weights that are not numbers: the training diverged" in capsys.readouterr().err
    assert not (folds / "final" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--eval_folds", "1"), "found --eval_folds 1; leave it out: the --final_model is judged by all folds"),
        (("--streaming",), "found --streaming; leave it out: the --final_model decodes all recordings first"),
        (("--false_reject_rate", "0.001"), "needs at least 999 recordings"),
    ],
)
def test_what_it_cannot_do_is_said(cross_validate, synthetic_folder, tmp_path, capsys, flags, sentence) -> None:
    with pytest.raises(SystemExit) as ending:
        cross_validate(
            "--dataset", synthetic_folder, "--num_folds", 2, "--max_steps", 1, "--output_dir", tmp_path / "run",
            "--final_model", *flags,
        )  # fmt: skip
    assert ending.value.code == 2
    assert sentence in capsys.readouterr().err
