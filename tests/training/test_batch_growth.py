from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from hfaudio.training.batch_growth import BatchGrowth, BatchGrowthMixin


class Steps(TrainerCallback):
    """The epoch, progress and gradient of each optimizer step."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self.gradients: list[list[torch.Tensor]] = []

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        gradients = [parameter.grad.clone() for parameter in kwargs["model"].parameters()]
        self.gradients.append(gradients)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.epochs.append(state.epoch)


@pytest.fixture
def growing_trainer(toy_trainer):
    def make(growth: BatchGrowth | None, **arguments):
        steps = Steps()
        defaults = {"per_device_train_batch_size": 2, "num_train_epochs": 3}
        trainer = toy_trainer(BatchGrowthMixin, [steps], **{**defaults, **arguments})
        trainer.batch_growth = growth
        return trainer, steps

    return make


def steps_of_epochs(epochs: list[float]) -> list[int]:
    return [sum(number < one <= number + 1 for one in epochs) for number in range(3)]


def test_each_growth_divides_the_steps_of_an_epoch(growing_trainer) -> None:
    trainer, steps = growing_trainer(BatchGrowth(factor=2, times=2), logging_strategy="steps", logging_steps=1 / 3)
    trainer.train()
    assert steps_of_epochs(steps.epochs) == [6, 3, 2]  # the last with four and two batches
    assert steps.epochs[-1] == 3.0
    assert trainer.state.global_step == trainer.state.max_steps == 11
    assert [entry["step"] for entry in trainer.state.log_history if "loss" in entry] == [4, 8]
    assert trainer.lr_scheduler.get_last_lr()[0] == 0.0
    assert trainer.args.gradient_accumulation_steps == 1


def test_no_growth_is_the_usual_run(growing_trainer) -> None:
    trainer, steps = growing_trainer(None, gradient_accumulation_steps=2, num_train_epochs=1)
    trainer.train()
    assert steps.epochs == [1 / 3, 2 / 3, 1.0]


def test_a_grown_batch_has_the_gradient_of_the_same_examples_in_one(growing_trainer) -> None:
    def gradients(growth, batch_size: int):
        trainer, steps = growing_trainer(
            growth, per_device_train_batch_size=batch_size, num_train_epochs=2, learning_rate=0.0, max_grad_norm=0.0
        )
        for module in trainer.model.modules():
            if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.Dropout)):
                # The statistics of a batch are not those of its parts.
                module.register_forward_pre_hook(lambda one, inputs: one.eval() and None)
        trainer.train()
        return steps.gradients[-1]

    grown, whole = gradients(BatchGrowth(factor=6, times=1), 2), gradients(None, 12)
    assert any(one.abs().max() > 0.01 for one in whole)
    for one, other in zip(grown, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_resumed_run_ends_like_an_uninterrupted_one(growing_trainer, tmp_path: Path) -> None:
    growth = BatchGrowth(factor=2, times=2)
    whole, steps = growing_trainer(growth, save_strategy="steps", save_steps=1)
    whole.train()
    for step in (4, 6, 8):  # within the first epoch, at its end, within the second
        resumed, later = growing_trainer(growth)
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert later.epochs == steps.epochs[step:]
        for one, other in zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
            assert torch.equal(one, other)


def test_a_last_epoch_can_be_a_part_of_one(growing_trainer) -> None:
    trainer, steps = growing_trainer(BatchGrowth(factor=3, times=1), num_train_epochs=2.5)
    trainer.train()
    assert steps.epochs == [pytest.approx(1 / 6 * one) for one in range(1, 7)] + [1.5, 2.0, 2.5]
    assert trainer.state.max_steps == 9


def test_the_size_grows_evenly() -> None:
    growth = BatchGrowth(factor=2, times=3)
    assert [growth.accumulated_batches(epoch, 8, 1) for epoch in range(8)] == [1, 1, 2, 2, 4, 4, 8, 8]
    assert [growth.accumulated_batches(epoch, 4, 5) for epoch in range(4)] == [5, 10, 20, 40]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_train_epochs": 2}, r"grow 2 times \(--batch_growth_times\) need at least 3 epochs, found 2;"),
        ({"max_steps": 5}, "--batch_growth needs a run that is measured in epochs, found --max_steps 5"),
    ],
)
def test_a_run_without_room_to_grow_is_refused(growing_trainer, arguments, message: str) -> None:
    trainer, _ = growing_trainer(BatchGrowth(factor=2, times=2), **arguments)
    with pytest.raises(ValueError, match=message):
        trainer.train()


@pytest.mark.parametrize(("factor", "times", "found"), [(1, 1, "factor .* at least 2, found 1"), (2, 0, "times .* 0")])
def test_no_growth_at_all_is_refused(factor: int, times: int, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        BatchGrowth(factor, times)
