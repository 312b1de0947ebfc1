"""scripts/cross_validate.py: every fold once, and again where it stopped."""

import json

import numpy as np
import pyarrow.parquet
import pytest

from hfaudio.training import checkpoints
from hfaudio.training import cross_validation as module


def test_every_recording_is_predicted_by_the_run_that_held_it_out(
    cross_validate, synthetic_folder, tmp_path, capsys, monkeypatch
) -> None:
    trained = []
    train_classifier = module.train_classifier

    def train_and_log(run):
        trained.append(run.data.eval_folds)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train_classifier(run)

    monkeypatch.setattr(module, "train_classifier", train_and_log)
    flags = ("--dataset", synthetic_folder, "--fold_column", "fold", "--max_steps", 1, "--output_dir", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(*flags)
    cross_validate(*flags)
    assert trained == [["1"], ["2"], ["3"], ["3"], ["4"], ["5"]]  # what was finished is not done again
    output = capsys.readouterr().out
    summary = json.loads((tmp_path / "cross_validation.json").read_text())
    scores = summary["metrics"]["accuracy"]
    assert list(scores["folds"]) == ["1", "2", "3", "4", "5"]
    assert scores["mean"] == pytest.approx(np.mean(list(scores["folds"].values())))
    assert scores["std"] == pytest.approx(np.std(list(scores["folds"].values()), ddof=1))
    assert f"accuracy {scores['mean']:.1%} ± {scores['std']:.1%} over 5 folds (1: " in output
    assert "50 recordings held out once each" in output

    table = pyarrow.parquet.read_table(tmp_path / "out_of_fold.parquet").to_pylist()
    assert len({row["file_name"] for row in table}) == 50
    pooled = np.mean([row["labels"] == row["predicted"] for row in table])
    assert pooled == pytest.approx(scores["pooled"])
    for row in table:
        probabilities = {name: value for name, value in row.items() if name.startswith("probability_")}
        assert sum(probabilities.values()) == pytest.approx(1.0)
        assert max(probabilities, key=probabilities.get) == f"probability_{row['predicted'][0]}"
        assert row["file_name"] in (tmp_path / f"fold-{row['fold']}" / "eval" / "predictions.csv").read_text()

    page = (tmp_path / "index.html").read_text()
    assert "50 recordings, each predicted by the run that held its fold out; 5 folds" in page
    assert "data:image/png;base64," in page
    assert page.count("<audio ") == 12  # of all folds, two of which were not trained in this process
    assert (tmp_path / "eval" / "confusion_matrix.png").is_file()
    assert (tmp_path / "eval" / "top_losses.png").is_file()
    assert "HiResCAM" in (tmp_path / "fold-1" / "eval" / "top_losses.html").read_text()
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_folds_of_other_settings_are_not_taken_for_done(cross_validate, synthetic_folder, tmp_path, capsys) -> None:
    flags = ("--dataset", synthetic_folder, "--num_folds", 2, "--eval_folds", 2, "--output_dir", tmp_path)
    cross_validate(*flags, "--max_steps", 1)
    assert [path.name for path in tmp_path.glob("fold-*")] == ["fold-2"]
    with pytest.raises(SystemExit) as ending:
        cross_validate(*flags, "--max_steps", 2)
    assert ending.value.code == 2
    assert "a fold of the same settings, found --max_steps 1 in place of 2;" in capsys.readouterr().err


def test_an_interrupted_fold_goes_on_from_its_checkpoint(
    cross_validate, synthetic_folder, tmp_path, monkeypatch, capsys
) -> None:
    import transformers

    def interrupt(self, args, state, control, **kwargs) -> None:
        if state.global_step == 3:
            raise KeyboardInterrupt

    flags = ("--dataset", synthetic_folder, "--fold_column", "fold", "--eval_folds", 1, "--max_steps", 5)
    flags += ("--save_steps", 1)
    cross_validate(*flags, "--output_dir", tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(transformers.trainer_callback.DefaultFlowCallback, "on_step_begin", interrupt, raising=False)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(*flags, "--output_dir", tmp_path / "resumed")
    fold = tmp_path / "resumed" / "fold-1"
    assert [path.name for path in fold.glob("checkpoint-*")] == ["checkpoint-3"]
    with pytest.raises(SystemExit) as ending:
        cross_validate(*flags, "--learning_rate", 0.5, "--output_dir", tmp_path / "resumed")
    assert ending.value.code == 2
    assert "found --learning_rate 0.5 in place of 0.003; give the same flags" in capsys.readouterr().err
    (fold / "checkpoint-4").mkdir()  # as if it had been killed while it wrote the next one
    (fold / "checkpoint-4" / "model.safetensors").touch()
    (fold / "checkpoint-3" / "train_seconds.json").write_text("1000.0")
    checkpoints._list_files(fold / "checkpoint-3")
    cross_validate(*flags, "--output_dir", tmp_path / "resumed", "--preparation_processes", 1)
    assert "; trained for 10" in capsys.readouterr().out
    assert json.loads((fold / "all_results.json").read_text())["train_runtime"] > 1_000
    weights = [(tmp_path / run / "fold-1" / "model.safetensors").read_bytes() for run in ("whole", "resumed")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ((), "Expected at least two folds, found 0; name their column with --fold_column, or make some with"),
        (("--fold_column", "fold", "--eval_folds", "9"), "Expected --eval_folds among 1, 2, 3, 4, 5, found 9."),
        (
            ("--fold_column", "fold", "--early_stopping_patience", "3"),
            "--early_stopping_patience needs --validation_size, found none: to stop by the held-out part",
        ),
        (("--num_folds", "2", "--split", "random"), "Expected no --split in a cross-validation, found --split random"),
        (("--num_folds", "2", "--find_lr"), "Expected no --find_lr in a cross-validation, found --find_lr; leave it"),
    ],
)
def test_folds_that_are_not_there_are_named(
    cross_validate, synthetic_folder, two_classes, tmp_path, capsys, flags: tuple, sentence: str
) -> None:
    source = synthetic_folder if flags else two_classes
    with pytest.raises(SystemExit) as ending:
        cross_validate("--dataset", source, *flags, "--output_dir", tmp_path / "run")
    assert ending.value.code == 2
    assert sentence in capsys.readouterr().err


def test_without_a_data_set_the_folds_take_as_many_epochs_as_train_py(cross_validate, tmp_path, monkeypatch) -> None:
    epochs = []

    def train(run):
        epochs.append(run.training.num_train_epochs)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train_classifier", train)
    monkeypatch.setattr(module, "folds_to_run", lambda run: ["1", "2"])  # without writing the sounds
    with pytest.raises(KeyboardInterrupt):
        cross_validate("--output_dir", tmp_path)
    assert epochs == [16]


def test_several_classes_a_recording(cross_validate, several_labels, tmp_path, capsys) -> None:
    flags = ("--dataset", several_labels, "--label_separator", ";", "--num_folds", 2, "--max_steps", 1)
    cross_validate(*flags, "--output_dir", tmp_path)
    assert "mean average precision" in capsys.readouterr().out
    rows = pyarrow.parquet.read_table(tmp_path / "out_of_fold.parquet").to_pylist()
    assert {len(row["labels"]) for row in rows} >= {1, 2}
    assert "What was taken for what" not in (tmp_path / "index.html").read_text()
