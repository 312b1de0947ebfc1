import pytest
import torch
from transformers import Trainer

from hfaudio.training.layer_learning_rates import layerwise_groups
from hfaudio.training.one_cycle import one_cycle


def run(optimizer, schedule, steps: int, value) -> list:
    found = []
    for _ in range(steps):
        found.append(value(optimizer))
        optimizer.step()
        schedule.step()
    return found


def adam(rates=(0.1, 0.01)) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.AdamW(groups, betas=(0.9, 0.99))


def test_each_group_rises_to_its_rate_and_falls_to_nearly_nothing() -> None:
    optimizer = adam()
    schedule = one_cycle(optimizer, 20)
    found = run(optimizer, schedule, 20, lambda one: [group["lr"] for group in one.param_groups])
    for index, highest in enumerate((0.1, 0.01)):
        rates = [rate[index] for rate in found]
        assert rates[0] == pytest.approx(highest / 25)
        assert max(rates) == rates[5] == pytest.approx(highest)
        assert rates[-1] == pytest.approx(highest / 250_000)


def test_momentum_goes_the_other_way() -> None:
    optimizer = adam()
    found = run(optimizer, one_cycle(optimizer, 20), 20, lambda one: one.param_groups[0]["betas"])
    beta1 = [betas[0] for betas in found]
    assert beta1[0] == beta1[-1] == pytest.approx(0.95)
    assert min(beta1) == beta1[5] == pytest.approx(0.85)
    assert {betas[1] for betas in found} == {0.99}


def test_no_momentum_is_put_where_there_is_none() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    one_cycle(optimizer, 20)
    assert optimizer.param_groups[0]["momentum"] == 0


@pytest.mark.parametrize("steps", [3, 4, 5, 10])
def test_short_runs_have_a_whole_cycle(steps: int) -> None:
    optimizer = adam()
    found = run(optimizer, one_cycle(optimizer, steps, rising_share=0.1), steps, lambda one: one.param_groups[0]["lr"])
    assert max(found) == pytest.approx(0.1)
    assert found[-1] == pytest.approx(0.1 / 250_000)


def test_a_second_cycle_reaches_the_same_rate() -> None:
    optimizer = adam()
    run(optimizer, one_cycle(optimizer, 5), 5, str)
    assert one_cycle(optimizer, 5).optimizer.param_groups[0]["max_lr"] == 0.1
    assert one_cycle(optimizer, 5, [0.3, 0.2]).optimizer.param_groups[1]["max_lr"] == 0.2


class OneCycleTrainer(Trainer):
    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(layerwise_groups(self.model, 0.01, 0.0, 0.5))
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        if self.lr_scheduler is None:
            self.lr_scheduler = one_cycle(optimizer or self.optimizer, num_training_steps)
            self._created_lr_scheduler = True
        return self.lr_scheduler


def test_a_resumed_run_ends_like_an_uninterrupted_one(toy_trainer, tmp_path) -> None:
    whole = toy_trainer(OneCycleTrainer, save_strategy="epoch")
    whole.train()
    resumed = toy_trainer(OneCycleTrainer)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert resumed.optimizer.param_groups[0]["betas"] == whole.optimizer.param_groups[0]["betas"]
    for expected, found in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(expected, found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"total_steps": 2}, "at least 3 steps, found 2"),
        ({"total_steps": 9, "rising_share": 1.0}, "rising_share must be above 0 and below 1, found 1.0"),
        ({"total_steps": 9, "max_learning_rates": [0.1]}, "each of the 2 parameter groups, found 1"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        one_cycle(adam(), **arguments)
