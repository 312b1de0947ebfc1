"""The whole way, as the contract of scripts/train.py has it."""

import csv
import json
import os
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers

from hfaudio.training.early_stopping import EarlyStopping

FOLD_2 = ("--fold_column", "fold", "--eval_folds", "2")


def weights_of(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_a_run_ends_with_metrics_the_model_and_one_prediction(launch, synthetic_folder, tmp_path) -> None:
    done = launch("--dataset", synthetic_folder, *FOLD_2, "--num_train_epochs", 2, "--output_dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()[-4:]
    results = json.loads((tmp_path / "run" / "all_results.json").read_text())
    assert lines[0].startswith(
        f"accuracy {results['eval_accuracy']:.1%}, macro-F1 {results['eval_macro_f1']:.3f} on 10"
    )
    assert lines[1].startswith("expected calibration error ")
    assert lines[2].startswith(f"model: {tmp_path / 'run'} (")
    assert lines[3].startswith("prediction: audio/alarm/alarm_001.wav is ")
    assert lines[3].endswith(", labelled alarm")
    assert "is not supported for audio-classification" not in done.stderr
    files = {path.name for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert {"README.md", "split.csv", "left_out.csv", "predictions.csv"} <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.name.startswith((".", "check"))) == []


def test_the_same_seed_gives_the_same_weights_byte_for_byte(train, synthetic_folder, tmp_path) -> None:
    flags = ("--dataset", synthetic_folder, *FOLD_2, "--num_train_epochs", 2)
    train(*flags, "--output_dir", tmp_path / "one")
    train(*flags, "--output_dir", tmp_path / "two")
    train(*flags, "--output_dir", tmp_path / "workers", "--dataloader_num_workers", 2)
    train(*flags, "--output_dir", tmp_path / "other", "--seed", 7)
    assert weights_of(tmp_path / "one") == weights_of(tmp_path / "two") == weights_of(tmp_path / "workers")
    assert weights_of(tmp_path / "one") != weights_of(tmp_path / "other")


@pytest.mark.parametrize("interrupt_at", [5, 7])
def test_an_interrupted_run_resumes_to_the_same_weights(
    train, synthetic_folder, tmp_path, monkeypatch, interrupt_at: int
) -> None:
    flags = ("--dataset", synthetic_folder, *FOLD_2, "--num_train_epochs", 2, "--save_steps", 1)
    flags += ("--per_device_train_batch_size", 8, "--dropout", 0.5)
    train(*flags, "--output_dir", tmp_path / "whole")

    def interrupt(self, args, state, control, **kwargs) -> None:
        if state.global_step == interrupt_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transformers.trainer_callback.DefaultFlowCallback, "on_step_begin", interrupt, raising=False)
        with pytest.raises(KeyboardInterrupt):
            train(*flags, "--output_dir", tmp_path / "resumed")
    assert [path.name for path in (tmp_path / "resumed").iterdir()] == [f"checkpoint-{interrupt_at}"]
    with pytest.raises(SystemExit) as ending:
        train(*flags, "--output_dir", tmp_path / "resumed")
    assert ending.value.code == 2
    place = flags.index("--eval_folds") + 1
    other = (*flags[:place], 3, *flags[place + 1 :])
    with pytest.raises(SystemExit) as ending:  # another fold might have been trained on
        train(*other, "--output_dir", tmp_path / "resumed", "--resume_from_checkpoint")
    assert ending.value.code == 2
    train(*flags, "--output_dir", tmp_path / "resumed", "--resume_from_checkpoint")
    assert weights_of(tmp_path / "resumed") == weights_of(tmp_path / "whole")
    assert not list((tmp_path / "resumed").glob("checkpoint-*"))


def test_a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before_to_the_same_weights(
    train, synthetic_folder, tmp_path, monkeypatch, caplog
) -> None:
    def interrupt(self, args, state, control, **kwargs) -> None:
        if state.global_step == 4:
            raise KeyboardInterrupt

    flags = ("--dataset", synthetic_folder, *FOLD_2, "--max_steps", 6, "--save_steps", 1, "--save_total_limit", 2)
    flags += ("--per_device_train_batch_size", 8)
    train(*flags, "--output_dir", tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(transformers.trainer_callback.DefaultFlowCallback, "on_step_begin", interrupt, raising=False)
        with pytest.raises(KeyboardInterrupt):
            train(*flags, "--output_dir", tmp_path / "resumed")
    os.truncate(tmp_path / "resumed" / "checkpoint-4" / "model.safetensors", 100)
    train(*flags, "--output_dir", tmp_path / "resumed", "--resume_from_checkpoint")
    assert "Resuming from checkpoint-3: checkpoint-4 has a damaged model.safetensors" in caplog.text
    assert weights_of(tmp_path / "resumed") == weights_of(tmp_path / "whole")


@pytest.mark.parametrize(
    "ending", [("--early_stopping_patience", 1, "--validation_size", 0.2, "--eval_steps", 1), ("--max_steps", 2)]
)
def test_a_run_that_is_killed_when_its_last_checkpoint_is_written_takes_no_further_step(
    train, synthetic_folder, tmp_path, monkeypatch, ending: tuple
) -> None:
    def kill(self, *args, **kwargs) -> None:
        raise KeyboardInterrupt

    # No evaluation is so much better than the first: the run ends at its second step, within an epoch.
    monkeypatch.setattr("hfaudio.training.trainer.EarlyStopping", partial(EarlyStopping, threshold=100.0))
    flags = ("--dataset", synthetic_folder, *FOLD_2, *ending, "--save_steps", 1, "--per_device_train_batch_size", 12)
    train(*flags, "--output_dir", tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(transformers.Trainer, "_finalize_training", kill)
        with pytest.raises(KeyboardInterrupt):
            train(*flags, "--output_dir", tmp_path / "resumed")
    assert list((tmp_path / "resumed").glob("checkpoint-*"))
    train(*flags, "--output_dir", tmp_path / "resumed", "--resume_from_checkpoint")
    assert weights_of(tmp_path / "resumed") == weights_of(tmp_path / "whole")


# accelerate starts one process where it is told --cpu, whatever --num_processes says; torchrun starts two.
@pytest.mark.parametrize(
    ("launcher", "processes"),
    [
        (("accelerate.commands.launch", "--cpu", "--num_processes", "2"), 1),
        (("torch.distributed.run", "--standalone", "--nproc_per_node", "2"), 2),
    ],
)
def test_several_processes_train_one_model(launch, synthetic_folder, tmp_path, launcher, processes) -> None:
    flags = ("--dataset", synthetic_folder, *FOLD_2, "--num_train_epochs", 1, "--per_device_train_batch_size", 8)
    done = launch(*flags, "--output_dir", tmp_path, module=launcher)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("accuracy ") == 1
    results = json.loads((tmp_path / "all_results.json").read_text())
    assert results["processes"] == processes
    assert results["eval_recordings"] == 10
    assert len((tmp_path / "eval" / "predictions.csv").read_text().splitlines()) == 11


def test_bf16_trains_close_to_single_precision(train, synthetic_folder, tmp_path) -> None:
    flags = ("--dataset", synthetic_folder, *FOLD_2, "--num_train_epochs", 1)
    train(*flags, "--output_dir", tmp_path / "fp32")
    train(*flags, "--output_dir", tmp_path / "bf16", "--bf16")
    full, half = (json.loads((tmp_path / name / "all_results.json").read_text()) for name in ("fp32", "bf16"))
    assert half["train_loss"] == pytest.approx(full["train_loss"], rel=0.02)
    assert weights_of(tmp_path / "fp32") != weights_of(tmp_path / "bf16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fp16 needs a GPU")
def test_fp16_trains_on_a_gpu(launch, synthetic_folder, tmp_path) -> None:
    flags = ("--dataset", synthetic_folder, "--use_cpu", "false", "--max_steps", 5)
    done = launch(*flags, "--fp16", "--output_dir", tmp_path, module=("accelerate.commands.launch",))
    assert done.returncode == 0, done.stderr
    losses = json.loads((tmp_path / "all_results.json").read_text())
    assert losses["train_loss"] < 10


@pytest.mark.parametrize("features", ["mfcc", "mfcc_delta"])
def test_every_kind_of_features_trains(train, synthetic_folder, tmp_path, features: str) -> None:
    train(
        "--dataset",
        synthetic_folder,
        "--features",
        features,
        "--n_mfcc",
        8,
        "--max_steps",
        2,
        "--logging_strategy",
        "no",
        "--output_dir",
        tmp_path,
    )
    assert (tmp_path / "model.safetensors").is_file()


def test_groups_are_kept_together(train, synthetic_folder, tmp_path) -> None:
    train("--dataset", synthetic_folder, "--group_column", "fold", "--max_steps", 1, "--output_dir", tmp_path)
    with (tmp_path / "split.csv").open() as file:
        held_out = [row["file_name"] for row in csv.DictReader(file) if row["split"] == "test"]
    assert len(held_out) == 10
    assert len({int(Path(name).stem[-3:]) % 5 for name in held_out}) == 1


def test_a_finished_folder_is_replaced_by_the_next_run(train, synthetic_folder, tmp_path) -> None:
    flags = ("--dataset", synthetic_folder, "--max_steps", 1, "--output_dir", tmp_path)
    train(*flags)
    before = weights_of(tmp_path)
    train(*flags, "--seed", 3)
    assert weights_of(tmp_path) != before
