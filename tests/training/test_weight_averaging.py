from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hfaudio.training.checkpoints import CheckpointError, CheckpointPartsMixin
from hfaudio.training.weight_averaging import WeightAverage


class Recorder(TrainerCallback):
    """Keeps the weights after each optimizer step."""

    def __init__(self) -> None:
        self.weights = []

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.weights.append(copied(kwargs["model"]))


class Interruption(TrainerCallback):
    """Ends the process, as far as the run can tell."""

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        if state.global_step == 4:
            raise KeyboardInterrupt


def copied(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def average_of(start, history, decay: float) -> dict[str, torch.Tensor]:
    average = {name: weight.double() for name, weight in start.items()}
    for step, weights in enumerate(history):
        kept = min(decay, (1 + step) / (10 + step))
        for name, weight in weights.items():
            integer = not weight.is_floating_point()
            average[name] = weight if integer else kept * average[name] + (1 - kept) * weight.double()
    return average


def same(first, second) -> bool:
    return all(torch.equal(weight, second[name]) for name, weight in first.items())


@pytest.mark.parametrize(("decay", "accumulation"), [(0.999, 1), (0.2, 2)])
def test_the_model_ends_as_the_average_of_its_steps(toy_trainer, decay: float, accumulation: int) -> None:
    recorder, average = Recorder(), WeightAverage(decay)
    trainer = toy_trainer(callbacks=[recorder, average], gradient_accumulation_steps=accumulation)
    start = copied(trainer.model)
    trainer.train()
    assert average.updates == len(recorder.weights) == (6 if accumulation == 1 else 4)
    expected = average_of(start, recorder.weights, decay)
    for name, weight in trainer.model.state_dict().items():
        torch.testing.assert_close(weight.double(), expected[name].double(), rtol=1e-5, atol=1e-6)
    assert not same(recorder.weights[-1], copied(trainer.model))


def test_a_resumed_run_ends_like_an_uninterrupted_one(toy_trainer, tmp_path: Path) -> None:
    folders = {"output_dir": str(tmp_path / "whole")}
    whole = toy_trainer(callbacks=[WeightAverage(0.9)], **folders)
    whole.train()
    stopping = [WeightAverage(0.9), Interruption()]
    stopped = toy_trainer(CheckpointPartsMixin, stopping, save_strategy="steps", save_steps=2)
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    average = WeightAverage(0.9)
    resumed = toy_trainer(callbacks=[average])
    average.resume_from(tmp_path / "checkpoint-2")
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert average.updates == 6
    assert same(copied(whole.model), copied(resumed.model))


def test_the_average_is_lent_and_taken_back(toy_trainer) -> None:
    average, seen = WeightAverage(), []

    class Look(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs) -> None:
            model = kwargs["model"]
            own = copied(model)
            with average.averaged(), average.averaged():
                lent = copied(model)
            seen.append(same(own, copied(model)) and same(lent, average.tensors) and not same(own, lent))

    trainer = toy_trainer(callbacks=[average, Look()], max_steps=2)
    trainer.train()
    assert seen == [True, True]
    last = copied(trainer.model)
    with average.averaged():
        assert same(last, copied(trainer.model))


def begin(average: WeightAverage, model: nn.Module, tmp_path: Path, step: int = 0, **kwargs):
    run = TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState(global_step=step), TrainerControl()
    average.on_train_begin(*run, model=model, **kwargs)
    return run


def test_a_wrapped_model_is_averaged_by_its_own_names(tmp_path: Path) -> None:
    model, average = nn.Linear(2, 2), WeightAverage()
    begin(average, nn.DataParallel(model), tmp_path)
    assert set(average.tensors) == {"weight", "bias"}


def test_half_precision_is_averaged_in_full(tmp_path: Path) -> None:
    model, average = nn.Linear(1, 1, bias=False).to(torch.bfloat16), WeightAverage(0.999)
    nn.init.ones_(model.weight)
    run = begin(average, model, tmp_path)
    for _ in range(100):
        nn.init.constant_(model.weight, 1.0078125)  # the next number that bfloat16 has
        average.on_step_end(*run)
    assert average.tensors["weight"].dtype == torch.float32
    assert 1.0 < average.tensors["weight"].item() <= 1.0078125
    average.on_train_end(*run)
    assert model.weight.dtype == torch.bfloat16


def test_a_step_that_was_skipped_does_not_count(tmp_path: Path) -> None:
    class Skipped:
        step_was_skipped = True

    average = WeightAverage()
    run = begin(average, nn.Linear(1, 1), tmp_path)
    average.on_step_end(*run, optimizer=Skipped())
    assert average.updates == 0


def test_what_cannot_be_resumed_is_refused(tmp_path: Path) -> None:
    average = WeightAverage()
    with pytest.raises(CheckpointError, match="Expected the averaged weights of the run at .*, found none; resume"):
        average.resume_from(tmp_path)
    with pytest.raises(CheckpointError, match="that goes on at step 3, found none; call resume_from"):
        begin(average, nn.Linear(1, 1), tmp_path, step=3)
    (tmp_path / "checkpoint-1").mkdir()
    begin(average, nn.Linear(1, 1), tmp_path)
    average.write_into(tmp_path / "checkpoint-1")
    other = WeightAverage()
    other.resume_from(tmp_path / "checkpoint-1")
    with pytest.raises(CheckpointError, match="the names and shapes of the model's, found others"):
        begin(other, nn.Linear(2, 1), tmp_path, step=1)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_bounds_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay must be at least 0 and below 1"):
        WeightAverage(decay)
