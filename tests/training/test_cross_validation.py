import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from hfaudio.data import DataError
from hfaudio.evaluation import expected_calibration_error, fit_temperature
from hfaudio.training import (
    AudioTrainingArguments,
    AugmentationArguments,
    CheckpointError,
    CrossValidation,
    DataArguments,
    FeatureArguments,
    ModelArguments,
    RunArguments,
    checkpoints,
    cross_validate,
    write_summary_page,
)
from hfaudio.training import cross_validation as module
from hfaudio.training.cross_validation import FoldResult, fold_folder, folds_to_run


class TrainingBeginsError(Exception):
    """Training would begin here."""


@pytest.fixture
def read(tmp_path: Path):
    def run(training: dict | None = None, **data) -> RunArguments:
        arguments = AudioTrainingArguments(output_dir=str(tmp_path / "run"), use_cpu=True, **(training or {}))
        parts = FeatureArguments(), ModelArguments(), AugmentationArguments(), arguments
        return RunArguments(DataArguments(**data), *parts)

    return run


@pytest.fixture
def in_parts(tmp_path: Path, write_tone):
    """Writes a table with a column `split` or another one, whose folds take turns."""

    def write(*folds: str, column: str = "split") -> str:
        lines = [f"file_name,label,{column}"]
        for index in range(4 * len(folds)):
            write_tone(f"parts/{index}.wav", frequency=200 + 100 * index)
            lines.append(f"{index}.wav,{('high', 'low')[index // 2 % 2]},{folds[index % len(folds)]}")
        (tmp_path / "parts" / "metadata.csv").write_text("\n".join(lines) + "\n")
        return str(tmp_path / "parts")

    return write


def fold_of(name: str, names: tuple[str, ...] = ("a", "b"), file_name: str = "x.wav") -> FoldResult:
    metrics = {"eval_accuracy": 0.5, "eval_macro_f1": 0.5, "train_runtime": 2.0}
    logits = np.array([[1.0, 0.0], [2.0, 0.0]], np.float32)
    return FoldResult(
        name, metrics, [f"{name}-{file_name}", f"{name}-2-{file_name}"], [[0], [1]], logits, names, False
    )


@pytest.mark.parametrize(
    ("fold", "name"),
    [
        ("1", "fold-1"),
        ("my fold (a), Žižkov", "fold-my fold (a), Žižkov"),
        ("", "fold-"),
        (" ", "fold- "),
        ("..", "fold-.."),
        ("fold/1", "fold-fold%2F1"),
        ("a/../../x", "fold-a%2F..%2F..%2Fx"),
        ("/../../evil", "fold-%2F..%2F..%2Fevil"),
        ("a\\..\\b:c*", "fold-a%5C..%5Cb%3Ac%2A"),
        ("a%2Fb\0\n", "fold-a%252Fb%00%0A"),
    ],
)
def test_the_folder_of_a_fold_lies_in_the_output_folder(tmp_path: Path, fold: str, name: str) -> None:
    folder = fold_folder(tmp_path, fold)
    assert folder == tmp_path / name
    (folder / "checkpoint-1").mkdir(parents=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert folder.resolve().parent == tmp_path.resolve()


def test_names_of_folds_lead_nowhere_else(read, in_parts, tmp_path: Path, monkeypatch) -> None:
    class Classifier:
        def save(self, folder: Path) -> None:
            (folder / "model").touch()

    outside = [tmp_path / "evil" / "checkpoint-1", tmp_path / "run" / "fold-x" / "checkpoint-1"]
    for folder in outside:
        folder.mkdir(parents=True)
    monkeypatch.setattr(module, "train_classifier", lambda run: Classifier())
    monkeypatch.setattr(FoldResult, "of", lambda fold, trained: fold_of(fold))
    folds = ("fold/1", "/../../evil", "a/../fold-x")
    result = cross_validate(read(dataset=[in_parts(*folds, column="fold")]))
    assert {fold.fold for fold in result.folds} == set(folds)
    assert all(folder.is_dir() for folder in outside)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "fold-%2F..%2F..%2Fevil",
        "fold-a%2F..%2Ffold-x",
        "fold-fold%2F1",
        "fold-x",
    ]
    assert not (tmp_path / "evil" / "model").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            {"training": {"find_lr": True}},
            "Expected no --find_lr in a cross-validation, found --find_lr; leave it out",
        ),
        (
            {"training": {"resume_from_checkpoint": "last"}},
            "Expected no --resume_from_checkpoint in a cross-validation",
        ),
        ({"training": {"calibrate": False}}, "found --calibrate False; leave it out: the folds are scored without a"),
        ({"training": {"false_reject_rate": 0.05}}, "found --false_reject_rate 0.05; leave it out: it is for"),
        ({"training": {"model_license": "mit"}}, "found --model_license; leave it out: it is for the card of the"),
        ({"split": "random"}, "Expected no --split in a cross-validation, found --split random; leave it out: every"),
        ({"split": "old/split.csv"}, "found --split old/split.csv; leave it out"),
        ({"test_size": 0.3}, "Expected no --test_size in a cross-validation, found --test_size 0.3; leave it out: ev"),
    ],
)
def test_flags_that_could_only_be_ignored_are_refused(read, flags: dict, sentence: str, monkeypatch) -> None:
    monkeypatch.setattr(module, "folds_to_run", lambda run: [])
    with pytest.raises(DataError) as error:
        cross_validate(read(**flags))
    assert sentence in str(error.value)


def test_given_parts_are_no_folds_unless_they_are_named_so(read, in_parts) -> None:
    source = in_parts("train", "Test")
    with pytest.raises(DataError, match="Expected folds, found the given parts Test, train, of which the one to test"):
        folds_to_run(read(dataset=[source]))
    assert folds_to_run(read(dataset=[source], fold_column="split")) == ["Test", "train"]
    assert folds_to_run(read(dataset=[source], num_folds=3)) == ["1", "2", "3"]
    assert folds_to_run(read(dataset=[in_parts("train", "1", "2")])) == ["1", "2", "train"]


def test_a_fold_goes_on_only_with_all_its_settings(read, in_parts, tmp_path: Path, monkeypatch) -> None:
    resumed = []

    def train(run: RunArguments) -> None:
        resumed.append(run.training.checkpoint_to_resume())
        raise TrainingBeginsError

    monkeypatch.setattr(module, "train_classifier", train)
    source = in_parts("1", "2", column="fold")
    run = read(dataset=[source], eval_folds=["2"])
    checkpoint = tmp_path / "run" / "fold-2" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    (checkpoint / "run_settings.json").write_text(json.dumps(run.result_settings()))
    with pytest.raises(TrainingBeginsError):
        cross_validate(run)  # anew, because the checkpoint was not written to its end
    (checkpoint / "trainer_state.json").write_text("{}")
    checkpoints._list_files(checkpoint)
    with pytest.raises(TrainingBeginsError):
        cross_validate(read(dataset=[source], eval_folds=["2"], preparation_processes=1, training={"save_steps": 3}))
    assert resumed == [None, str(checkpoint)]
    for name, value in (("learning_rate", 0.5), ("num_train_epochs", 3), ("adam_beta2", 0.5), ("one_cycle", True)):
        with pytest.raises(
            CheckpointError, match=rf"Expected the settings of the run .*, found --{name} {value} in p"
        ):
            cross_validate(read(dataset=[source], eval_folds=["2"], training={name: value}))
    assert len(resumed) == 2


def test_no_fold_is_calibrated_by_itself(read, in_parts, monkeypatch) -> None:
    found = []

    def train(run: RunArguments) -> None:
        found.append(run.training.calibrate)
        raise TrainingBeginsError

    monkeypatch.setattr(module, "train_classifier", train)
    with pytest.raises(TrainingBeginsError):
        cross_validate(read(dataset=[in_parts("1", "2", column="fold")]))
    assert found == [False]


def scored_fold(name: str, seed: int) -> FoldResult:
    """Forty recordings with logits that are thrice too large."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(40, 2))
    labels = (rng.random(40) < 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))).astype(int)
    metrics = {"eval_accuracy": 0.5, "eval_macro_f1": 0.5, "train_runtime": 2.0}
    files = [f"{name}-{index}.wav" for index in range(40)]
    return FoldResult(name, metrics, files, [[int(own)] for own in labels], 3 * logits, ("a", "b"), False)


def test_one_temperature_is_fitted_to_all_folds_and_judged_by_each(tmp_path: Path) -> None:
    folds = [scored_fold(name, seed) for seed, name in enumerate("12345")]
    result = CrossValidation(tuple(folds))
    summary = result.summary()
    logits = np.concatenate([fold.logits for fold in folds])
    labels = [label for fold in folds for (label,) in fold.labels]
    assert summary["temperature"] == fit_temperature(logits, labels) == pytest.approx(3.0, rel=0.35)
    after = logits.copy()
    for index in range(5):
        own = slice(40 * index, 40 * (index + 1))
        others = CrossValidation((*folds[:index], *folds[index + 1 :]))
        after[own] /= others.summary()["temperature"]
    assert summary["ece"] == pytest.approx(expected_calibration_error(softmax(after, axis=1), labels))
    assert summary["ece_before"] == pytest.approx(expected_calibration_error(softmax(logits, axis=1), labels))
    assert summary["ece"] < summary["ece_before"]
    result.save(tmp_path)
    assert (tmp_path / "eval" / "calibration.png").is_file()
    page = write_summary_page(result, tmp_path).read_text(encoding="utf-8")
    assert f"With a temperature, {summary['temperature']:.3f} over all recordings" in page


def test_a_single_fold_cannot_judge_a_temperature(tmp_path: Path) -> None:
    result = CrossValidation((scored_fold("1", 0),))
    assert result.summary()["ece"] is None
    assert result.summary()["temperature"] == 1.0
    page = write_summary_page(result, tmp_path).read_text(encoding="utf-8")
    assert "With a temperature" not in page
    assert f"No temperature was kept: {result.summary()['temperature_refused']}." in page


def test_a_finished_fold_is_of_all_its_settings(tmp_path: Path) -> None:
    fold_of("1").save(tmp_path, {"adam_beta2": "0.999"})
    loaded = FoldResult.load(tmp_path, {"adam_beta2": "0.999", "of_a_later_version": "1"})
    assert loaded is not None
    assert loaded.fold == "1"
    with pytest.raises(CheckpointError, match="found --adam_beta2 0.999 in place of 0.5; give the same flags"):
        FoldResult.load(tmp_path, {"adam_beta2": "0.5"})
    os.truncate(tmp_path / "fold.json", 100)
    with pytest.raises(CheckpointError, match="found a damaged file; remove it to train the fold again"):
        FoldResult.load(tmp_path, {"adam_beta2": "0.999"})


def test_the_page_shows_hostile_names_as_text(tmp_path: Path) -> None:
    def hostile(what: str) -> str:
        return f"<script>{what}()</script>"

    folds = [fold_of(name, ("b", hostile("label")), f"{hostile('file')}.wav") for name in ("1", hostile("fold"))]
    result = CrossValidation(tuple(folds))
    page = write_summary_page(result, tmp_path).read_text(encoding="utf-8")
    assert "<script" not in page
    for what in ("label", "file", "fold"):
        assert f"&lt;script&gt;{what}()&lt;/script&gt;" in page
    result.save(tmp_path)
    seconds = json.loads((tmp_path / "cross_validation.json").read_text())["train_seconds"]
    assert seconds == {"1": 2.0, hostile("fold"): 2.0}
