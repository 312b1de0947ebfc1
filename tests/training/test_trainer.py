from pathlib import Path

import numpy as np
import pytest
import torch

from hfaudio.data import AudioCrops, CropRule
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNForAudioClassification
from hfaudio.training import (
    AudioTrainingArguments,
    FeatureChanges,
    FocalLossTrainer,
    SpecAugmentCollator,
    WaveformAugmentation,
)


@pytest.fixture
def make_trainer(audio, extractor, tmp_path: Path):
    def make(gamma: float = 2.0, alpha: torch.Tensor | None = None, augment: bool = False, **arguments):
        torch.manual_seed(0)
        config = SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], num_labels=10, dropout=0.0)
        defaults = {"output_dir": str(tmp_path), "max_steps": 2, "per_device_train_batch_size": 8, "use_cpu": True}
        defaults |= {"save_strategy": "no", "eval_strategy": "no"}
        if arguments.get("loss", "focal") == "focal":
            defaults |= {"loss": "focal", "focal_gamma": gamma}
        training = AudioTrainingArguments(**{**defaults, **arguments})
        augmentation = WaveformAugmentation("light", 16_000) if augment else None
        return FocalLossTrainer(
            model=SpectrogramCNNForAudioClassification(config),
            args=training,
            alpha=alpha,
            train_dataset=AudioCrops(audio.dataset, CropRule(extractor.crop_samples), augmentation),
            eval_dataset=AudioCrops(audio.dataset, CropRule(extractor.crop_samples), augmentation),
            data_collator=SpecAugmentCollator(extractor, FeatureChanges(band_gain_db=3.0)),
        )

    return make


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
