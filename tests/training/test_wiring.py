"""Every flag of a training reaches what it is to change: with the flag something is other than without."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import HfArgumentParser, TrainerCallback, set_seed
from transformers.integrations import integration_utils

from hfaudio.data import DataError, ExampleKey
from hfaudio.data.crops import label_targets
from hfaudio.evaluation import Calibration, calibration, fit_temperature
from hfaudio.training import (
    DataArguments,
    FocalLossTrainer,
    RunArguments,
    experiment,
    train_classifier,
    training_arguments,
)
from hfaudio.training.early_stopping import EarlyStopping
from hfaudio.training.mixing import MixedCrops
from hfaudio.training.training_data import TrainingData, load_training_data
from hfaudio.training.weight_averaging import WeightAverage

# A run in which nothing is changed, mixed or scheduled but what a test asks for.
PLAIN = ["--use_cpu", "--n_mels", "16", "--crop_seconds", "0.5", "--save_strategy", "no", "--eval_strategy", "no"]
PLAIN += ["--crop_speed", "1", "--crop_margin", "0", "--waveform_augmentation", "none", "--mixing", "none"]
PLAIN += ["--style_mixing", "0", "--ema_decay", "0", "--per_device_train_batch_size", "8"]
PLAIN += ["--fold_column", "fold", "--eval_folds", "2", "--preparation_processes", "1", "--disable_tqdm", "true"]
SMALL = ["--hidden_sizes", "4", "8", "--depths", "1", "1"]


@pytest.fixture(scope="module")
def parse(synthetic_folder, tmp_path_factory) -> Callable[..., RunArguments]:
    """Reads flags; later ones win."""
    folder = tmp_path_factory.mktemp("wiring")

    def make(*flags: object, model: Sequence[str] = SMALL) -> RunArguments:
        argv = ["--dataset", str(synthetic_folder), "--output_dir", str(folder), *PLAIN, *model, *map(str, flags)]
        return RunArguments(*HfArgumentParser(RunArguments.parts()).parse_args_into_dataclasses(argv))

    return make


@pytest.fixture(scope="module")
def recordings(parse) -> TrainingData:
    return load_training_data(parse().data, 16_000, seed=0)


@pytest.fixture
def build(parse, recordings) -> Callable[..., FocalLossTrainer]:
    """Makes the trainer of a run with some flags; the weights are the same each time."""

    def make(*flags: object, **others: Any) -> FocalLossTrainer:
        run = parse(*flags, **others)
        set_seed(0)
        extractor = run.features.build_extractor()
        classifier = experiment._new_classifier(run, extractor, recordings)
        return experiment.build_trainer(classifier, extractor, recordings, run)

    return make


def drawn(trainer: FocalLossTrainer, progress: float = 0.0) -> SimpleNamespace:
    """Sixteen training examples at some share of the training, and the batch that they make."""
    examples = [trainer.train_dataset[ExampleKey(index, 100 + index, progress)] for index in range(16)]
    batch = trainer.data_collator(examples)
    return SimpleNamespace(
        waveforms=[example["waveform"] for example in examples],
        labels=[example["labels"] for example in examples],
        partners=["partner" in example for example in examples],
        features=batch["input_features"],
        targets=batch["labels"],
    )


def same_waveforms(one: SimpleNamespace, other: SimpleNamespace) -> bool:
    return all(map(np.array_equal, one.waveforms, other.waveforms))


@pytest.mark.parametrize(
    "flags", [("--waveform_augmentation", "light"), ("--waveform_augmentation", "strong"), ("--crop_speed", 1.5)]
)
def test_waveforms_are_changed(build, flags) -> None:
    assert same_waveforms(drawn(build()), drawn(build()))
    assert not same_waveforms(drawn(build()), drawn(build(*flags)))


def test_crops_reach_into_the_margin(build) -> None:
    def silent(trainer: FocalLossTrainer) -> int:
        return sum(not (one[0] and one[-1]) for one in drawn(trainer).waveforms)

    assert silent(build("--crop_margin", 0.4)) > silent(build())


def test_crops_and_resolution_grow(build) -> None:
    def sizes(*flags: object) -> list[tuple[int, int]]:
        both = [drawn(build(*flags), progress) for progress in (0.0, 1.0)]
        return [(len(one.waveforms[0]), one.features.shape[2]) for one in both]

    assert sizes() == [(8_000, 16), (8_000, 16)]
    assert sizes("--progressive_crop", 0.25) == [(4_000, 16), (8_000, 16)]
    assert sizes("--progressive_resolution", 0.5) == [(8_000, 8), (8_000, 16)]


@pytest.mark.parametrize("flags", [("--style_mixing", 1), ("--band_gain_db", 6)])
def test_features_alone_are_changed(build, flags) -> None:
    plain, changed = drawn(build()), drawn(build(*flags))
    assert same_waveforms(plain, changed)
    assert not torch.allclose(plain.features, changed.features)


@pytest.mark.parametrize(("kind", "axis"), [("freq", 2), ("time", 3)])
def test_bands_and_frames_are_masked(build, kind: str, axis: int) -> None:
    def hidden(*flags: object) -> int:
        features = drawn(build(*flags)).features
        return int((features == 0.0).all(dim=5 - axis).sum())

    none = hidden()
    narrow, wide = hidden(f"--{kind}_mask", 1), hidden(f"--{kind}_mask", 6)
    several = hidden(f"--{kind}_mask", 6, f"--num_{kind}_masks", 3)
    assert none < narrow < wide < several


@pytest.mark.parametrize("kind", ["between_class", "mixup", "mixup_features"])
def test_examples_are_mixed(build, kind: str) -> None:
    plain, trainer = drawn(build()), build("--mixing", kind)
    assert isinstance(trainer.train_dataset, MixedCrops)
    assert trainer.train_dataset.mixing.kind == kind
    assert trainer.train_dataset.sampling_rate == 16_000
    mixed = drawn(trainer)
    assert (plain.targets.shape, mixed.targets.shape) == ((16,), (16, 10))
    assert set(mixed.partners) == {kind == "mixup_features"}
    assert not torch.allclose(plain.features, mixed.features)
    assert any(label.max() < 1.0 for label in mixed.labels)


def test_shares_and_number_of_mixtures_follow_the_flags(build) -> None:
    def largest(*flags: object) -> np.ndarray:
        return np.array([label.max() for label in drawn(build("--mixing", "between_class", *flags)).labels])

    assert (largest() < 1.0).all()
    assert largest("--mixup_alpha", 1000).max() < 0.6
    assert largest("--mixup_alpha", 1).max() > 0.7
    assert (largest("--mixing_probability", 0) == 1.0).all()
    assert 0 < (largest("--mixing_probability", 0.5) < 1.0).sum() < 16


def test_class_weights_of_a_file_reach_the_loss_by_their_names(build, recordings, tmp_path: Path) -> None:
    names = recordings.class_names
    lines = [f"{name}: {1 + index}" for index, name in enumerate(names)]
    (tmp_path / "weights.yaml").write_text("\n".join(reversed(lines)))
    assert build().compute_loss_func.alpha is None
    trainer = build("--class_weights", tmp_path / "weights.yaml")
    torch.testing.assert_close(trainer.compute_loss_func.alpha, torch.arange(1.0, 1.0 + len(names)))


def test_the_validation_part_is_evaluated_on_the_way(parse) -> None:
    for flags, part in (((), "test"), (("--validation_size", 0.25), "validation")):
        run = parse(*flags)
        data, extractor = load_training_data(run.data, 16_000, seed=0), run.features.build_extractor()
        trainer = experiment.build_trainer(experiment._new_classifier(run, extractor, data), extractor, data, run)
        assert np.array_equal(trainer.eval_dataset.targets, label_targets(data.split[part]))
        assert np.array_equal(trainer.eval_dataset[0]["waveform"], np.float32(data.split[part][0]["waveform"]))


def rates(trainer: FocalLossTrainer, steps: int = 20) -> list[float]:
    """The learning rate of each step of a run."""
    trainer.create_optimizer_and_scheduler(steps)
    found = []
    for _ in range(steps):
        found.append(max(trainer.lr_scheduler.get_last_lr()))
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    return found


FALLING = [0.0, 0.5] + [0.5 + 0.5 * math.cos(math.pi * step / 18) for step in range(18)]
STAYING = [0.0, 0.5] + [1.0] * 18
GROWING = ("--batch_growth", 2)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), FALLING),
        (("--lr_scheduler_type", "constant_with_warmup"), STAYING),
        (("--lr_scheduler_type", "linear", "--warmup_steps", 0), [1 - step / 20 for step in range(20)]),
        (("--warmup_steps", 4), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (GROWING, STAYING),
        ((*GROWING, "--lr_scheduler_type", "cosine"), FALLING),
        (("--one_cycle",), [0.04]),
        (("--one_cycle", *GROWING), [0.04]),
    ],
)
def test_the_rate_rises_and_then_falls_or_stays(build, flags, expected) -> None:
    assert rates(build("--learning_rate", 0.1, *flags))[: len(expected)] == pytest.approx([0.1 * x for x in expected])


def test_batches_grow_in_place_of_a_falling_rate(build) -> None:
    def train(*flags: object) -> tuple[int, list[float]]:
        trainer = build("--num_train_epochs", 3, "--warmup_steps", 0, "--logging_steps", 1, *flags)
        trainer.train()
        logged = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
        return trainer.state.global_step, logged

    steps, logged = train()
    assert steps == 15
    assert logged[-1] < 0.1 * logged[0]
    steps, logged = train(*GROWING)
    assert steps == 5 + 3 + 2
    assert logged == [3e-3] * 10
    assert train(*GROWING, "--batch_growth_times", 1)[0] == 5 + 5 + 3


def test_layers_learn_at_rates_of_their_own(build) -> None:
    def groups(*flags: object) -> set[float]:
        return {round(group["lr"], 9) for group in build(*flags).create_optimizer().param_groups}

    assert groups() == {0.003}
    assert groups("--layerwise_lr_decay", 0.5) == {0.003, 0.0015, 0.00075, 0.000375}


def test_the_average_and_the_patience_are_those_that_were_asked_for(build) -> None:
    def found(*flags: object) -> list[float]:
        callbacks = build("--eval_strategy", "steps", *flags).callback_handler.callbacks
        decays = [one.decay for one in callbacks if isinstance(one, WeightAverage)]
        return decays + [one.patience for one in callbacks if isinstance(one, EarlyStopping)]

    assert found() == []
    assert found("--ema_decay", 0.9) == [0.9]
    assert found("--early_stopping_patience", 3) == [3]


class Learning(TrainerCallback):
    """How many parameters learn in each step."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        self.found.append(sum(parameter.requires_grad for parameter in kwargs["model"].parameters()))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), ["all"] * 4),
        (("--freeze_backbone_epochs", 2), ["head", "head", "all", "all"]),
        (("--freeze_backbone_epochs", 2, "--unfreeze_gradually"), ["head", "head", "some", "some"]),
    ],
)
def test_the_trunk_learns_when_it_is_its_turn(build, flags, expected) -> None:
    trainer, learning = build("--num_train_epochs", 4, "--per_device_train_batch_size", 40, *flags), Learning()
    trainer.add_callback(learning)
    trainer.train()
    names = {2: "head", len(list(trainer.model.parameters())): "all"}
    assert [names.get(found, "some") for found in learning.found] == expected


def test_a_trunk_of_timms_is_trained(build) -> None:
    pytest.importorskip("timm")
    trainer = build("--backbone", "timm/test_efficientnet", model=())
    assert trainer.model.config.backbone == "timm/test_efficientnet"
    assert any("timm_model" in name for name, _ in trainer.model.named_parameters())


def test_the_weights_of_a_trunk_are_asked_for_by_their_name(parse, recordings, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(experiment, "load_backbone_weights", lambda model, source: asked.append(source))
    run = parse()
    experiment._new_classifier(run, run.features.build_extractor(), recordings)
    assert asked == []
    run.model.backbone_weights = "weights.pt"  # without a --backbone, which needs timm
    experiment._new_classifier(run, run.features.build_extractor(), recordings)
    assert asked == ["weights.pt"]


class Tracker(TrainerCallback):
    """Stands for a tracker, and keeps what it is given."""

    logs: list[dict[str, float]]

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        type(self).logs.append(dict(logs))


def test_every_tracker_gets_the_logs_and_the_final_metrics(parse, monkeypatch) -> None:
    trackers = {name: type(name, (Tracker,), {"logs": []}) for name in ("one", "two", "three")}
    for name, tracker in trackers.items():
        monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, name, tracker)
    monkeypatch.setattr(training_arguments, "get_available_reporting_integrations", lambda: list(trackers))
    flags = ("--max_steps", 1, "--eval_strategy", "steps", "--eval_steps", 1, "--logging_steps", 1)
    trained = train_classifier(parse(*flags, "--report_to", "one", "two"))
    one, two, three = (tracker.logs for tracker in trackers.values())
    assert one == two
    assert three == []
    assert {"loss", "eval_loss", "test_accuracy"} <= set().union(*one)
    assert next(entry for entry in one if "test_loss" in entry)["test_loss"] == trained.metrics["eval_loss"]
    # What the curves draw is what was evaluated on the way, and no more.
    assert sum("eval_loss" in entry for entry in trained.log_history) == 1


CALIBRATED = ("--max_steps", 10)


@pytest.fixture
def any_temperature(monkeypatch) -> None:
    """Lets ten recordings of ten classes settle a temperature, whatever it is worth."""
    monkeypatch.setattr(calibration, "FEWEST_TO_CALIBRATE", 10)
    monkeypatch.setattr(Calibration, "_no_help", lambda self: None)


def test_ten_recordings_leave_the_scores_as_they_are_and_it_is_said(parse) -> None:
    trained = train_classifier(parse(*CALIBRATED))
    assert (trained.model.config.logit_temperature, trained.metrics["temperature"]) == (1.0, 1.0)
    assert trained.metrics["eval_ece"] == trained.metrics["eval_ece_before"]
    sentence = "it needs at least 50 recordings that were not trained on, found 10"
    assert trained.metrics["temperature_refused"] == trained.calibration.refusal == sentence


@pytest.mark.usefixtures("any_temperature")
def test_the_model_is_saved_with_the_temperature_of_the_held_out_part(parse) -> None:
    plain, trained = (train_classifier(parse(*CALIBRATED, *flags)) for flags in (("--calibrate", "false"), ()))
    labels = trained.split["test"]["label"][:]
    assert plain.model.config.logit_temperature == plain.metrics["temperature"] == 1.0
    temperature = trained.model.config.logit_temperature
    assert temperature == trained.metrics["temperature"] == fit_temperature(plain.logits, labels)
    assert abs(temperature - 1.0) > 0.02
    np.testing.assert_allclose(trained.logits, plain.logits / temperature, rtol=1e-5)
    assert trained.metrics["eval_accuracy"] == plain.metrics["eval_accuracy"]
    assert (plain.metrics["temperature_refused"], trained.metrics["temperature_refused"]) == (None, None)
    # What is reported is of temperatures that were fitted on other recordings.
    assert np.array_equal(trained.calibration.before, plain.logits)
    assert trained.metrics["eval_ece_before"] == plain.metrics["eval_ece"] == plain.metrics["eval_ece_before"]
    assert trained.metrics["eval_ece"] == trained.calibration.error_after
    assert not np.allclose(trained.calibration.after, trained.logits, rtol=1e-3)


@pytest.mark.usefixtures("any_temperature")
def test_the_temperature_is_that_of_the_validation_part(parse) -> None:
    flags = (*CALIBRATED, "--validation_size", 0.25)
    trained = train_classifier(parse(*flags))
    validation = trained.split["validation"]
    waveforms = list(validation.with_format("numpy")["waveform"])
    trained.model.config.logit_temperature = 1.0
    with torch.no_grad():
        logits = trained.model.eval()(**trained.feature_extractor(waveforms, sampling_rate=16_000)).logits.numpy()
    assert trained.metrics["temperature"] == pytest.approx(fit_temperature(logits, validation["label"][:]), rel=1e-3)
    np.testing.assert_allclose(trained.calibration.after, trained.logits, rtol=1e-5)


def test_the_threshold_rejects_as_many_as_was_asked_for(parse) -> None:
    assert train_classifier(parse(*CALIBRATED)).model.config.unknown_threshold is None
    for rate, rejected in ((0.1, 0), (0.5, 4)):
        trained = train_classifier(parse(*CALIBRATED, "--false_reject_rate", rate))
        threshold = trained.model.config.unknown_threshold
        assert (threshold, rate) == (trained.metrics["unknown_threshold"], trained.metrics["false_reject_rate"])
        best = np.exp(trained.logits).max(axis=1) / np.exp(trained.logits).sum(axis=1)
        assert (best < threshold - 1e-6).sum() == rejected


def test_rates_that_cannot_be_kept_are_refused_before_the_training(parse, several_labels) -> None:
    with pytest.raises(DataError, match="--false_reject_rate 0.01 needs at least 99 recordings .* found 10 in"):
        train_classifier(parse("--false_reject_rate", 0.01))
    data = DataArguments(dataset=[str(several_labels)], label_separator=";", test_size=0.25, preparation_processes=1)
    with pytest.raises(DataError, match="--false_reject_rate needs one class a recording, found several"):
        train_classifier(replace(parse("--false_reject_rate", 0.3), data=data))
