"""scripts/train.py with a model to start from, and with a search for the learning rate."""

import json

import pytest
from safetensors.torch import load_file

from hfaudio.training import experiment
from hfaudio.training.learning_rate_finder import LearningRateSearch


@pytest.fixture(scope="module")
def trained(train, synthetic_folder, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("first") / "run"
    train("--dataset", synthetic_folder, "--max_steps", 2, "--sampling_rate", 8_000, "--output_dir", folder)
    return folder


def test_a_trained_model_is_taken_further_with_its_features(trained, train_further, two_classes, tmp_path) -> None:
    flags = ("--dataset", two_classes, "--model_name_or_path", trained, "--max_steps", 1, "--learning_rate", 1e-9)
    train_further(*flags, "--ema_decay", 0, "--crop_seconds", 0.25, "--output_dir", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert list(config["id2label"].values()) == ["high", "low"]
    old, new = (json.loads((path / "preprocessor_config.json").read_text()) for path in (trained, tmp_path / "run"))
    assert new.pop("crop_seconds") == 0.25
    old.pop("crop_seconds")
    assert new == old
    assert new["sampling_rate"] == 8_000
    before, after = (load_file(path / "model.safetensors") for path in (trained, tmp_path / "run"))
    stem = "spectrogram_cnn.stem.weight"
    assert (before[stem] - after[stem]).abs().max() < 1e-6
    assert after["classifier.weight"].shape[0] == 2


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--n_mels", "32"), "--n_mels is settled by --model_name_or_path, found 32; leave it out."),
        (("--model_size", "base"), "--model_size is settled by --model_name_or_path, found 'base'; leave it out."),
        (("--backbone_weights", "x"), "--backbone_weights x needs a --backbone, found none."),
        (("--eval_window_hop_seconds", "1"), "--eval_window_hop_seconds needs --eval_window_seconds, found none."),
        (
            ("--eval_window_seconds", "1", "--eval_window_hop_seconds", "2"),
            "--eval_window_hop_seconds must be at most",
        ),
    ],
)
def test_flags_that_contradict_the_model_are_named(
    trained, train_further, two_classes, tmp_path, capsys, flags: tuple, sentence: str
) -> None:
    with pytest.raises(SystemExit) as ending:
        train_further(
            "--dataset", two_classes, "--model_name_or_path", trained, *flags, "--output_dir", tmp_path / "run"
        )
    assert ending.value.code == 2
    assert sentence in capsys.readouterr().err


def test_what_is_no_model_of_ours_is_named(train_further, two_classes, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as ending:
        train_further("--dataset", two_classes, "--model_name_or_path", tmp_path, "--output_dir", tmp_path / "run")
    assert ending.value.code == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_windows_are_written_into_the_model(train, synthetic_folder, tmp_path) -> None:
    flags = ("--dataset", synthetic_folder, "--max_steps", 1, "--eval_window_seconds", 0.5)
    train(*flags, "--output_dir", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["eval_window_frames"], config["eval_window_hop_frames"]) == (26, 12)


def test_a_search_for_the_learning_rate_trains_nothing(train, synthetic_folder, tmp_path, capsys) -> None:
    train("--dataset", synthetic_folder, "--find_lr", "--output_dir", tmp_path)
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith("suggestion: --learning_rate ")
    assert [path.name for path in tmp_path.iterdir()] == ["find_lr.png"]


def test_a_search_in_which_no_loss_falls_is_drawn(train, synthetic_folder, tmp_path, capsys, monkeypatch) -> None:
    found = LearningRateSearch(tuple(10.0**power for power in range(-12, 0)), tuple(map(float, range(12))))
    monkeypatch.setattr(experiment, "find_learning_rate", lambda trainer: found)
    train("--dataset", synthetic_folder, "--find_lr", "--output_dir", tmp_path)
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith(
        "no suggestion: between the rates 1e-12 and 0.1 the loss does not fall by more than its noise; keep "
    )
    assert [path.name for path in tmp_path.iterdir()] == ["find_lr.png"]


def test_every_schedule_at_once(train, synthetic_folder, tmp_path) -> None:
    flags = ("--dataset", synthetic_folder, "--num_train_epochs", 4, "--one_cycle", "--layerwise_lr_decay", 0.5)
    flags += ("--freeze_backbone_epochs", 1, "--unfreeze_gradually", "--batch_growth", 2, "--batch_growth_times", 1)
    flags += (
        "--per_device_train_batch_size",
        10,
        "--early_stopping_patience",
        50,
        "--validation_size",
        0.2,
        "--progressive_crop",
        0.25,
    )
    flags += ("--progressive_resolution", 0.5, "--mixing", "mixup_features", "--waveform_augmentation", "strong")
    train(*flags, "--class_weights", "balanced", "--label_smoothing_factor", 0.1, "--output_dir", tmp_path)
    results = json.loads((tmp_path / "all_results.json").read_text())
    assert results["train_loss"] > 0
    assert [results[f"{part}_recordings"] for part in ("train", "validation", "eval")] == [30, 10, 10]


def test_a_training_that_diverges_is_named(train, synthetic_folder, tmp_path, capsys) -> None:
    flags = ("--dataset", synthetic_folder, "--max_steps", 3, "--learning_rate", 1e38, "--warmup_steps", 0)
    with pytest.raises(SystemExit) as ending:
        train(*flags, "--ema_decay", 0, "--eval_strategy", "no", "--output_dir", tmp_path / "run")
    assert ending.value.code == 2
    assert "the training diverged; try a lower --learning_rate" in capsys.readouterr().err
