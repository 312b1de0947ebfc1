from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from hfaudio.training.freezing import TrunkFreezer


class Changes(TrainerCallback):
    """Which of stem, first and second block and classifier change in each step, in weights or statistics."""

    def __init__(self) -> None:
        self.changed: list[str] = []

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        self.before = self.parts(kwargs["model"])

    def on_step_end(self, args, state, control, **kwargs) -> None:
        after = self.parts(kwargs["model"])
        self.changed.append("".join(name for name in after if not same(after[name], self.before[name])))

    def parts(self, model) -> dict[str, list[torch.Tensor]]:
        trunk = model.base_model
        stem = [*trunk.stem.state_dict().values(), *trunk.stem_norm.state_dict().values()]
        parts = {"s": stem, "1": trunk.blocks[0].state_dict().values(), "2": trunk.blocks[1].state_dict().values()}
        parts["c"] = model.classifier.state_dict().values()
        return {name: [weight.clone() for weight in weights] for name, weights in parts.items()}


def same(first, second) -> bool:
    return all(map(torch.equal, first, second))


@pytest.mark.parametrize(
    ("freezer", "expected"),
    [
        (TrunkFreezer(1.0), ["c"] * 3 + ["s12c"] * 3),
        (TrunkFreezer(2 / 3), ["c"] * 2 + ["s12c"] * 4),
        (TrunkFreezer(1.0, gradual=True), ["c"] * 3 + ["2c", "12c", "s12c"]),
        (TrunkFreezer(0.0, gradual=True), ["s12c"] * 6),
        (TrunkFreezer(9.0), ["c"] * 6),
    ],
)
def test_only_what_is_thawed_changes(toy_trainer, freezer: TrunkFreezer, expected: list[str]) -> None:
    changes = Changes()
    trainer = toy_trainer(callbacks=[freezer, changes], weight_decay=0.1)
    trainer.train()
    assert changes.changed == expected
    assert all(parameter.requires_grad for parameter in trainer.model.parameters())


def test_the_trunk_computes_no_gradients(toy_trainer) -> None:
    found = []

    class Look(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
            found.append({name for name, one in kwargs["model"].named_parameters() if one.grad is not None})

    toy_trainer(callbacks=[TrunkFreezer(1.0), Look()], max_steps=1).train()
    assert found == [{"classifier.weight", "classifier.bias"}]


def test_what_was_frozen_before_stays_so(toy_trainer) -> None:
    trainer = toy_trainer(callbacks=[TrunkFreezer(0.5)], num_train_epochs=1)
    trainer.model.base_model.stem.weight.requires_grad_(False)
    trainer.train()
    assert [name for name, one in trainer.model.named_parameters() if not one.requires_grad] == [
        "spectrogram_cnn.stem.weight"
    ]


def test_a_run_resumed_within_an_epoch_ends_like_an_uninterrupted_one(toy_trainer, tmp_path: Path) -> None:
    whole = toy_trainer(callbacks=[TrunkFreezer(1.0, gradual=True)], save_strategy="steps", save_steps=1)
    whole.train()
    for step, expected in ((2, ["c", "2c", "12c", "s12c"]), (4, ["12c", "s12c"])):
        changes = Changes()
        resumed = toy_trainer(callbacks=[TrunkFreezer(1.0, gradual=True), changes])
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert changes.changed == expected
        assert same(whole.model.state_dict().values(), resumed.model.state_dict().values())


def test_gradual_thawing_is_even() -> None:
    freezer = TrunkFreezer(2.0, gradual=True)
    epochs = (0.0, 1.9, 2.0, 2.4, 2.5, 3.0, 3.5, 4.0, 9.0)
    assert [freezer.frozen_layers(epoch, 4) for epoch in epochs] == [4, 4, 3, 3, 2, 1, 0, 0, 0]


def test_a_trunk_alone_is_refused(toy_trainer) -> None:
    trainer = toy_trainer(callbacks=[TrunkFreezer(1.0)])
    trainer.callback_handler.model = trainer.model.base_model
    with pytest.raises(ValueError, match="needs a head to train on top of a trunk, found the SpectrogramCNNModel"):
        trainer.callback_handler.on_train_begin(trainer.args, trainer.state, trainer.control)


@pytest.mark.parametrize("epochs", [-1.0, float("nan"), float("inf")])
def test_epochs_out_of_bounds_are_refused(epochs: float) -> None:
    with pytest.raises(ValueError, match="freeze_epochs must be a number of at least 0"):
        TrunkFreezer(epochs)
