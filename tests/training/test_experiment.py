import csv
import json

import pytest

from hfaudio.training import (
    AudioTrainingArguments,
    DataArguments,
    FeatureArguments,
    ModelArguments,
    TrainedClassifier,
    train_classifier,
)


@pytest.fixture(scope="module")
def trained(synthetic_folder, tmp_path_factory: pytest.TempPathFactory) -> TrainedClassifier:
    return train_classifier(
        DataArguments(dataset=str(synthetic_folder), fold_column="fold", eval_folds=["2"], preparation_processes=1),
        FeatureArguments(n_mels=16, crop_seconds=0.5),
        ModelArguments(hidden_sizes=[4, 8], depths=[1, 1]),
        AudioTrainingArguments(
            output_dir=str(tmp_path_factory.mktemp("run")), num_train_epochs=1, use_cpu=True, save_strategy="no"
        ),
    )


def test_the_asked_fold_is_held_out(trained) -> None:
    assert set(trained.split["test"]["fold"]) == {"2"}
    assert len(trained.split["train"]) == trained.metrics["train_recordings"] == 40
    assert len(trained.split["test"]) == trained.metrics["eval_recordings"] == 10


def test_metrics_agree_with_the_predictions(trained) -> None:
    right = sum(row["label"] == row["predicted"] for row in trained.predictions)
    assert trained.metrics["eval_accuracy"] == pytest.approx(right / 10)
    assert [row["file_name"] for row in trained.predictions] == list(trained.split["test"]["file_name"])
    assert all(0.1 <= row["score"] <= 1 for row in trained.predictions)


def test_normalization_is_that_of_the_training_part(trained) -> None:
    from hfaudio.training import fit_normalization

    extractor = FeatureArguments(n_mels=16, crop_seconds=0.5).build_extractor()
    fit_normalization(extractor, trained.split["train"])
    assert trained.feature_extractor.mean == extractor.mean


def test_the_saved_folder_holds_all_that_the_contract_names(trained, tmp_path) -> None:
    trained.save(tmp_path)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert names == [
        "all_results.json",
        "config.json",
        "configuration_spectrogram_cnn.py",
        "eval/predictions.csv",
        "feature_extraction_spectrogram_cnn.py",
        "left_out.csv",
        "model.safetensors",
        "modeling_spectrogram_cnn.py",
        "preprocessor_config.json",
        "split.csv",
    ]
    assert json.loads((tmp_path / "all_results.json").read_text()) == trained.metrics
    assert (tmp_path / "left_out.csv").read_text() == "file_name,reason\n"
    with (tmp_path / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows].count("test") == 10
    assert len({row["file_name"] for row in rows}) == 50
