from importlib.util import find_spec
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from hfaudio.data import AudioCrops, CropRule, ExampleKey
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNForAudioClassification
from hfaudio.training import (
    AudioTrainingArguments,
    FeatureChanges,
    FlagError,
    FocalLossTrainer,
    SpecAugmentCollator,
    WaveformAugmentation,
)
from hfaudio.training.keyed_examples import KeyedExamples


@pytest.fixture
def make_trainer(audio, extractor, tmp_path: Path):
    def make(
        gamma: float = 2.0,
        alpha: torch.Tensor | None = None,
        augment: bool = False,
        own_loss=None,
        by_itself: bool = False,
        train_dataset=None,
        **arguments,
    ):
        torch.manual_seed(0)
        config = SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], num_labels=10, dropout=0.0)
        defaults = {"output_dir": str(tmp_path), "max_steps": 2, "per_device_train_batch_size": 8, "use_cpu": True}
        defaults |= {"save_strategy": "no", "eval_strategy": "no"}
        if arguments.get("loss", "focal") == "focal":
            defaults |= {"loss": "focal", "focal_gamma": gamma}
        training = AudioTrainingArguments(**{**defaults, **arguments})
        augmentation = WaveformAugmentation("light", 16_000) if augment else None
        if train_dataset is None:
            train_dataset = AudioCrops(audio.dataset, CropRule(extractor.crop_samples), augmentation)
        return FocalLossTrainer(
            model=None if by_itself else SpectrogramCNNForAudioClassification(config),
            model_init=(lambda: SpectrogramCNNForAudioClassification(config)) if by_itself else None,
            args=training,
            alpha=alpha,
            compute_loss_func=own_loss,
            train_dataset=train_dataset,
            eval_dataset=AudioCrops(audio.dataset, CropRule(extractor.crop_samples), augmentation),
            data_collator=SpecAugmentCollator(extractor, FeatureChanges(band_gain_db=3.0)),
        )

    return make


def test_a_loss_of_ones_own_is_called(make_trainer, tmp_path) -> None:
    called = []

    def loss(outputs, labels, num_items_in_batch=None):
        called.append(len(labels))
        return torch.nn.functional.cross_entropy(outputs.logits, labels)

    trainer = make_trainer(loss="cross_entropy", own_loss=loss)
    trainer.train()
    assert called == [8, 8]
    with pytest.raises(ValueError, match="compute_loss_func weighs the classes itself, found alpha or class_weights"):
        make_trainer(loss="cross_entropy", own_loss=loss, class_weights="balanced")
    with pytest.raises(ValueError, match="compute_loss_func weighs the classes itself, found alpha or class_weights"):
        make_trainer(loss="cross_entropy", own_loss=loss, alpha=torch.ones(10))


def test_class_weights_are_those_of_the_examples(make_trainer, audio, extractor) -> None:
    counts = torch.bincount(torch.tensor(audio.dataset["label"][:]), minlength=10)
    alpha = make_trainer(class_weights="balanced").compute_loss_func.alpha
    torch.testing.assert_close(alpha, counts.sum() / (10 * counts))
    assert make_trainer().compute_loss_func.alpha is None
    with pytest.raises(
        ValueError, match="needs examples that know their classes beforehand, .* found a list; give al"
    ):
        make_trainer(class_weights="balanced", train_dataset=[])
    rows = AudioCrops(audio.dataset.select(range(5)), CropRule(extractor.crop_samples))
    with pytest.raises(ValueError, match="needs examples of every class, found none of "):
        make_trainer(class_weights="balanced", train_dataset=rows)


def test_a_model_can_be_made_by_the_trainer(make_trainer, tmp_path) -> None:
    trainer = make_trainer(by_itself=True)
    trainer.train()
    assert trainer.state.global_step == 2
    assert not trainer.compute_loss_func.multi_label


@pytest.mark.parametrize("kind", ["list", "table", "subset", "both", "crops"])
def test_examples_of_any_data_set_are_drawn_by_seed(make_trainer, audio, extractor, kind: str) -> None:
    crops = AudioCrops(audio.dataset, CropRule(extractor.crop_samples))
    plain = [{"waveform": np.array(row["waveform"], np.float32), "labels": row["label"]} for row in audio.dataset]
    subset = torch.utils.data.Subset(crops, [9, 3, 4, 20, 21, 22, 23, 24])
    datasets_of = {
        "list": plain,
        "table": datasets.Dataset.from_list(plain).with_format("numpy"),
        "subset": subset,
        "both": torch.utils.data.ConcatDataset([plain, subset]),
        "crops": crops,
    }
    trainer = make_trainer(train_dataset=datasets_of[kind])
    examples = KeyedExamples(trainer.train_dataset)
    own = examples[ExampleKey(2, 7, 0.5)]
    assert (own["seed"], own["progress"]) == (7, 0.5)
    if kind in ("subset", "crops"):
        index = 4 if kind == "subset" else 2
        assert np.array_equal(own["waveform"], crops[ExampleKey(index, 7, 0.5)]["waveform"])
        assert own["crop_samples"] == extractor.crop_samples
    else:
        assert np.array_equal(own["waveform"], plain[2]["waveform"])
    if kind == "both":
        last = examples[ExampleKey(50, 7, 0.5)]
        assert np.array_equal(last["waveform"], crops[ExampleKey(9, 7, 0.5)]["waveform"])
        assert len(examples) == 58
    trainer.train()
    assert trainer.state.global_step == 2


def weights(trainer: FocalLossTrainer) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}


def freeze_batch_norm(trainer: FocalLossTrainer) -> FocalLossTrainer:
    """Batch statistics differ between one large batch and its parts by nature; without them the loss decides."""
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train = lambda mode=True, module=module: torch.nn.Module.train(module, False)
    return trainer


@pytest.mark.parametrize("loss", ["focal", "cross_entropy"])
def test_accumulated_batches_make_the_step_of_one_large_batch(make_trainer, loss: str) -> None:
    alpha = torch.linspace(0.5, 1.5, 10)
    arguments = {"loss": loss, "alpha": alpha, "max_steps": 1, "optim": "sgd", "max_grad_norm": 0.0}
    arguments |= {"warmup_steps": 0, "learning_rate": 1.0}
    large = freeze_batch_norm(make_trainer(**arguments, per_device_train_batch_size=12))
    parts = freeze_batch_norm(make_trainer(**arguments, per_device_train_batch_size=4, gradient_accumulation_steps=3))
    before = weights(large)
    large_loss, parts_loss = large.train().training_loss, parts.train().training_loss
    assert large_loss == pytest.approx(parts_loss, rel=1e-5)
    changed = 0
    for name, value in weights(large).items():
        torch.testing.assert_close(value, weights(parts)[name], rtol=1e-4, atol=1e-6)
        changed += not torch.equal(value, before[name])
    assert changed > 5


def test_the_loss_follows_the_arguments(make_trainer) -> None:
    assert make_trainer(gamma=1.5).compute_loss_func.gamma == 1.5
    assert make_trainer(loss="cross_entropy").compute_loss_func.gamma == 0.0
    assert make_trainer(label_smoothing_factor=0.2).compute_loss_func.label_smoothing == 0.2


@pytest.mark.parametrize("workers", [0, 2])
def test_training_batches_differ_each_epoch_but_not_with_the_workers(make_trainer, workers: int) -> None:
    trainer = make_trainer(augment=True, dataloader_num_workers=workers)
    loader = trainer.get_train_dataloader()
    epochs = []
    for epoch in (0, 1, 0):
        loader.set_epoch(epoch)
        epochs.append([(batch["input_features"].numpy(), batch["labels"].numpy()) for batch in loader])
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(epochs[0], epochs[2], strict=True))
    assert not np.array_equal(epochs[0][0][0], epochs[1][0][0])
    reference = make_trainer(augment=True).get_train_dataloader()
    assert all(np.array_equal(b["input_features"].numpy(), a[0]) for b, a in zip(reference, epochs[0], strict=True))


@pytest.mark.parametrize(("progress", "epoch"), [(0, 0), (1.5, 1), (2.0, 2)])
def test_the_sampler_knows_the_epoch_of_a_resumed_run(make_trainer, progress: float, epoch: int) -> None:
    trainer = make_trainer()
    sampler = trainer.get_train_dataloader().batch_sampler.sampler
    trainer.state.epoch = progress
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    assert sampler.epoch == epoch


def test_evaluation_is_not_augmented(make_trainer, audio, extractor) -> None:
    trainer = make_trainer(augment=True, per_device_eval_batch_size=50)
    (batch,) = trainer.get_eval_dataloader()
    clips = [np.array(row["waveform"], dtype=np.float32) for row in audio.dataset]
    expected = extractor(clips, sampling_rate=16_000)
    assert torch.equal(batch["input_features"], expected["input_features"])
    (test_batch,) = trainer.get_test_dataloader(trainer.eval_dataset)
    assert torch.equal(test_batch["input_features"], expected["input_features"])


def test_other_arguments_are_refused(audio, tmp_path) -> None:
    from transformers import TrainingArguments

    config = SpectrogramCNNConfig(hidden_sizes=[4], depths=[1])
    with pytest.raises(TypeError, match="args must be an AudioTrainingArguments, found TrainingArguments"):
        FocalLossTrainer(
            SpectrogramCNNForAudioClassification(config), TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
        )


def test_the_averaged_weights_are_evaluated_and_kept(make_trainer, monkeypatch) -> None:
    own = make_trainer(max_steps=4, ema_decay=0.0, learning_rate=0.1)
    averaged = make_trainer(max_steps=4, ema_decay=0.9, learning_rate=0.1, eval_strategy="steps", eval_steps=1)
    lent, evaluation_loop = [], FocalLossTrainer.__mro__[1].evaluation_loop

    def watched(self, *args, **kwargs):
        lent.append({name: value.clone() for name, value in self.model.state_dict().items()})
        return evaluation_loop(self, *args, **kwargs)

    monkeypatch.setattr(FocalLossTrainer.__mro__[1], "evaluation_loop", watched)
    for trainer in (own, averaged):
        trainer.train()
    assert len(lent) == 4
    final = weights(averaged)
    name = "classifier.weight"
    torch.testing.assert_close(lent[-1][name], final[name])
    assert not torch.allclose(final[name], weights(own)[name])  # the same run, but for the average
    assert own.weight_average is None


def test_a_frozen_trunk_stays_and_the_head_learns(make_trainer) -> None:
    trainer = make_trainer(max_steps=2, ema_decay=0.0, freeze_backbone_epochs=1, learning_rate=0.1, warmup_steps=0)
    before = weights(trainer)
    trainer.train()
    changed = {name for name, value in weights(trainer).items() if not torch.equal(value, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_layers_have_their_own_rates(make_trainer) -> None:
    rates = {group["lr"] for group in make_trainer(layerwise_lr_decay=0.5).create_optimizer().param_groups}
    assert max(rates) == pytest.approx(3e-3)
    assert len(rates) == 4  # classifier, two blocks, stem
    assert len({group["lr"] for group in make_trainer().create_optimizer().param_groups}) == 1


def test_normalizations_and_biases_do_not_decay(make_trainer) -> None:
    trainer = make_trainer()
    names = set(trainer.get_decay_parameter_names(trainer.model))
    assert names == {name for name, parameter in trainer.model.named_parameters() if parameter.ndim > 1}
    decayed = [group for group in trainer.create_optimizer().param_groups if group["weight_decay"]]
    assert sum(len(group["params"]) for group in decayed) == len(names)


def test_the_rate_rises_and_falls_once(make_trainer) -> None:
    trainer = make_trainer(max_steps=10, one_cycle=True, logging_steps=1)
    trainer.train()
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    highest = rates.index(max(rates))
    assert 0 < highest < 5
    assert rates[: highest + 1] == sorted(rates[: highest + 1])
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
    assert rates[-1] < 1e-3 * max(rates)


def test_batches_grow(make_trainer) -> None:
    arguments = {"max_steps": -1, "num_train_epochs": 2, "per_device_train_batch_size": 10}
    steps = []
    for growth in ({}, {"batch_growth": 5, "batch_growth_times": 1}):
        trainer = make_trainer(**arguments, **growth)
        trainer.train()
        steps.append(trainer.state.global_step)
    assert steps == [10, 6]


def test_a_run_that_no_longer_improves_stops(make_trainer) -> None:
    arguments = {"max_steps": 6, "eval_strategy": "steps", "eval_steps": 1, "learning_rate": 1e-30, "ema_decay": 0.0}
    steps = []
    for patience in (0, 2):
        trainer = freeze_batch_norm(make_trainer(**arguments, early_stopping_patience=patience))
        trainer.train()
        steps.append(trainer.state.global_step)
    assert steps == [6, 3]


@pytest.mark.parametrize("steps", [0, 2])
def test_half_precision_is_for_training_alone(make_trainer, steps: int) -> None:
    trainer = make_trainer(bf16=True, max_steps=max(steps, 1), ema_decay=0.0)
    seen = []
    trainer.model.classifier.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    if steps:
        trainer.train()
        assert set(seen) == {torch.bfloat16}
        seen.clear()
    predicted = trainer.predict(trainer.eval_dataset).predictions
    assert set(seen) == {torch.float32}
    inputs = trainer.data_collator([trainer.eval_dataset[0], trainer.eval_dataset[1]])
    seen.clear()
    with torch.no_grad():
        logits = trainer.model.eval()(inputs["input_features"], inputs["attention_mask"]).logits
    assert seen == [torch.bfloat16]  # what it trains with is back in its place
    np.testing.assert_allclose(predicted[:2], logits, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"optim": "adamw_bnb_8bit"}, "Expected --optim adamw_bnb_8bit to be possible here, found ImportError"),
        ({"optim_args": "x"}, "Expected --optim adamw_torch_fused with --optim_args x to be possible here, found"),
        ({"optim_args": "x", "layerwise_lr_decay": 0.5}, "with --optim_args x to be possible here, found ValueError"),
        (
            {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"x": 1}},
            "--lr_scheduler_type polynomial with --lr_scheduler_kwargs {'x': 1} to be possible here, found TypeError",
        ),
    ],
)
def test_what_optimizer_or_schedule_refuse_is_one_sentence(make_trainer, arguments: dict, sentence: str) -> None:
    if arguments.get("optim") and find_spec("bitsandbytes"):
        pytest.skip("bitsandbytes is installed")
    with pytest.raises(FlagError) as error:
        make_trainer(**arguments).train()
    assert sentence in str(error.value)
