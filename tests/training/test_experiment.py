import csv
import json
import warnings
from dataclasses import replace

import pytest
import torch

from hfaudio.data import AudioCrops
from hfaudio.model import SpectrogramCNNForAudioClassification
from hfaudio.training import (
    AudioTrainingArguments,
    AugmentationArguments,
    DataArguments,
    FeatureArguments,
    ModelArguments,
    RunArguments,
    TrainedClassifier,
    fit_normalization,
    train_classifier,
)
from hfaudio.training.experiment import DivergedError, build_trainer
from hfaudio.training.mixing import MixedCrops
from hfaudio.training.training_data import TrainingData, load_training_data


@pytest.fixture(scope="module")
def trained(synthetic_folder, tmp_path_factory: pytest.TempPathFactory) -> TrainedClassifier:
    run = RunArguments(
        DataArguments(dataset=[str(synthetic_folder)], fold_column="fold", eval_folds=["2"], preparation_processes=1),
        FeatureArguments(n_mels=16, crop_seconds=0.5),
        ModelArguments(hidden_sizes=[4, 8], depths=[1, 1]),
        AugmentationArguments(),
        AudioTrainingArguments(
            output_dir=str(tmp_path_factory.mktemp("run")),
            num_train_epochs=1,
            use_cpu=True,
            bf16=True,
            save_strategy="no",
        ),
    )
    return train_classifier(run)


def test_the_asked_fold_is_held_out(trained) -> None:
    assert set(trained.split["test"]["fold"]) == {"2"}
    assert len(trained.split["train"]) == trained.metrics["train_recordings"] == 40
    assert len(trained.split["test"]) == trained.metrics["eval_recordings"] == 10


def test_metrics_agree_with_the_predictions(trained) -> None:
    right = sum(row["label"] == row["predicted"] for row in trained.predictions)
    assert trained.metrics["eval_accuracy"] == pytest.approx(right / 10)
    assert [row["file_name"] for row in trained.predictions] == list(trained.split["test"]["file_name"])
    assert all(0.1 <= row["score"] <= 1 for row in trained.predictions)


def test_the_model_gives_the_logits_that_were_judged(trained) -> None:
    recordings = list(trained.split["test"].with_format("numpy")["waveform"])
    inputs = trained.feature_extractor(recordings, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        logits = trained.model.eval()(**inputs).logits
    torch.testing.assert_close(logits, torch.from_numpy(trained.logits), rtol=1e-4, atol=1e-5)


def test_normalization_is_that_of_the_training_part(trained) -> None:
    extractor = FeatureArguments(n_mels=16, crop_seconds=0.5).build_extractor()
    crops = AudioCrops(trained.split["train"])
    fit_normalization(extractor, (crops[index]["waveform"] for index in range(len(crops))))
    assert trained.feature_extractor.mean == extractor.mean


def test_the_saved_folder_holds_all_that_the_contract_names(trained, tmp_path) -> None:
    trained.save(tmp_path)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert names == [
        "all_results.json",
        "audio_sources_spectrogram_cnn.py",
        "config.json",
        "configuration_spectrogram_cnn.py",
        "eval/calibration.png",
        "eval/confusion_matrix.png",
        "eval/most_confused.csv",
        "eval/per_class.csv",
        "eval/predictions.csv",
        "eval/top_losses.csv",
        "eval/top_losses.html",
        "eval/top_losses.png",
        "eval/training_curves.png",
        "feature_extraction_spectrogram_cnn.py",
        "left_out.csv",
        "model.safetensors",
        "modeling_spectrogram_cnn.py",
        "pipeline_spectrogram_cnn.py",
        "preprocessor_config.json",
        "resampling_spectrogram_cnn.py",
        "spectral_features_spectrogram_cnn.py",
        "split.csv",
        "timm_trunk_spectrogram_cnn.py",
        "waveforms_spectrogram_cnn.py",
        "windows_spectrogram_cnn.py",
    ]
    assert json.loads((tmp_path / "all_results.json").read_text()) == trained.metrics
    assert (tmp_path / "left_out.csv").read_text() == "file_name,reason\n"
    with (tmp_path / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows].count("test") == 10
    assert len({row["file_name"] for row in rows}) == 50


@pytest.fixture(scope="module")
def several(several_labels) -> TrainingData:
    flags = DataArguments(dataset=[str(several_labels)], label_separator=";", test_size=0.25, preparation_processes=1)
    return load_training_data(flags, 16_000, seed=0)


@pytest.fixture(scope="module")
def single(synthetic_folder) -> TrainingData:
    data = DataArguments(
        dataset=[str(synthetic_folder)], fold_column="fold", eval_folds=["2"], preparation_processes=1
    )
    return load_training_data(data, 16_000, seed=0)


@pytest.mark.parametrize("multi_label", [False, True])
def test_scores_that_are_not_numbers_end_the_run_when_they_are_first_seen(
    multi_label, several, single, tmp_path
) -> None:
    trainer = trainer_of(several if multi_label else single, tmp_path, eval_strategy="steps", eval_steps=1)
    with torch.no_grad():
        trainer.model.classifier.bias[0] = float("nan")
    with pytest.raises(DivergedError, match="found scores that are not numbers: the training diverged"):
        trainer.train()


def test_what_is_written_is_json_whatever_was_measured(trained, tmp_path, caplog) -> None:
    metrics = trained.metrics | {"train_loss": float("nan"), "eval_loss": float("inf")}
    replace(trained, metrics=metrics).save(tmp_path)

    def refuse(name: str) -> None:
        raise ValueError(name)

    written = json.loads((tmp_path / "all_results.json").read_text(), parse_constant=refuse)
    assert written == metrics | {"train_loss": None, "eval_loss": None}
    assert "Not a finite number, and null in what is written: train_loss, eval_loss;" in caplog.text


def trainer_of(recordings: TrainingData, folder, **arguments):
    features, model = FeatureArguments(n_mels=16, crop_seconds=0.5), ModelArguments(hidden_sizes=[4, 8], depths=[1, 1])
    config = model.build_config(1, recordings.class_names, recordings.multi_label)
    training = AudioTrainingArguments(
        output_dir=str(folder), max_steps=1, use_cpu=True, save_strategy="no", **arguments
    )
    # The colour of another example is one of the same batch: parts of a batch would have other ones.
    augmentation = AugmentationArguments(style_mixing=0.0)
    run = RunArguments(DataArguments(), features, model, augmentation, training)
    return build_trainer(SpectrogramCNNForAudioClassification(config), features.build_extractor(), recordings, run)


def test_several_classes_a_recording_are_learned_with_a_sigmoid_each(several, tmp_path) -> None:
    assert several.multi_label
    assert several.class_names == ["high", "low"]
    trainer = trainer_of(several, tmp_path)
    assert trainer.model.config.problem_type == "multi_label_classification"
    assert trainer.compute_loss_func.multi_label
    assert set(trainer.evaluate()) >= {"eval_mean_average_precision", "eval_macro_f1"}


def test_balanced_weights_count_every_class_of_a_recording(several, tmp_path) -> None:
    assert trainer_of(several, tmp_path).compute_loss_func.alpha is None
    counts = torch.tensor([sum(label in own for own in several.split["train"]["label"]) for label in (0, 1)])
    assert len(several.training_labels) == counts.sum()
    trainer = trainer_of(several, tmp_path, class_weights="balanced")
    torch.testing.assert_close(trainer.compute_loss_func.alpha, counts.sum() / (2 * counts.float()))
    assert trainer.train().training_loss > 0


def test_smoothed_labels_of_several_classes_lie_nearer_to_one_half(several, tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # transformers' own loss would not smooth them, and says so
        trainer = trainer_of(several, tmp_path, label_smoothing_factor=0.2, loss="cross_entropy")
    logits, labels = torch.tensor([[2.0, -1.0], [0.5, 3.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels * 0.8 + 0.1)
    torch.testing.assert_close(trainer.compute_loss_func({"logits": logits}, labels), expected)
    assert 0 < trainer.train().training_loss < 10


@pytest.mark.parametrize("arguments", [{}, {"loss": "focal", "focal_gamma": 2.0, "label_smoothing_factor": 0.1}])
@pytest.mark.parametrize("recordings", ["single", "several"])
def test_the_step_of_a_large_batch_of_mixtures_is_that_of_its_parts(recordings, arguments, tmp_path, request) -> None:
    losses, weights = [], []
    for size, steps in ((16, 1), (4, 4)):
        torch.manual_seed(0)
        trainer = trainer_of(
            request.getfixturevalue(recordings),
            tmp_path,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=steps,
            class_weights="balanced",
            optim="sgd",
            learning_rate=1.0,
            warmup_steps=0,
            max_grad_norm=0.0,
            ema_decay=0.0,
            **arguments,
        )
        assert isinstance(trainer.train_dataset, MixedCrops)
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.train = lambda mode=True, module=module: torch.nn.Module.train(module, False)
        trainer.model.dropout.p = 0.0
        losses.append(trainer.train().training_loss)
        weights.append(torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-5)
