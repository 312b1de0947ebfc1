import random

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainerCallback

from hfaudio.training.layer_learning_rates import layerwise_groups
from hfaudio.training.learning_rate_finder import LearningRateSearch, find_learning_rate


def random_state() -> list:
    _, keys, position, *_ = np.random.get_state()
    return [torch.get_rng_state().tolist(), random.getstate(), keys.tolist(), position]


def test_the_rates_rise_to_where_the_loss_runs_away(toy_trainer) -> None:
    trainer = toy_trainer(per_device_train_batch_size=12, optim="sgd", max_grad_norm=0.0)
    found = find_learning_rate(trainer, lowest=1e-3, highest=1e4, steps=60)
    assert len(found.rates) == len(found.losses) < 60
    np.testing.assert_allclose(np.diff(np.log(found.rates)), np.log(1e7) / 59)
    average, averages = found.losses[0], []
    for loss in found.losses:
        average += 0.1 * (loss - average)
        averages.append(average)
    assert averages[-1] > 4 * min(averages)
    assert max(averages[:-1]) <= 4 * min(averages)
    assert min(found.losses) < 0.8 * found.losses[0]
    assert 0.01 < found.suggestion < found.rates[int(np.argmin(found.losses))]


class Drawing(Trainer):
    """Draws from every generator, as augmentation may, and adds a callback with each loader, as ours does."""

    def get_train_dataloader(self):
        self.add_callback(TrainerCallback())
        return super().get_train_dataloader()

    def training_step(self, *args, **kwargs):
        random.random()
        np.random.rand()
        return super().training_step(*args, **kwargs)


def test_nothing_is_left_behind(toy_trainer) -> None:
    arguments = {"optim": "sgd", "optim_args": "momentum=0.9"}
    plain, searched = toy_trainer(Drawing, **arguments), toy_trainer(Drawing, **arguments)
    torch.manual_seed(0)
    plain.train()
    torch.manual_seed(0)
    before = random_state(), list(searched.callback_handler.callbacks)
    weights = [parameter.clone() for parameter in searched.model.parameters()]
    find_learning_rate(searched, 1e-3, 1e-1, steps=10)
    assert (random_state(), searched.callback_handler.callbacks) == before
    assert searched.optimizer is None
    assert all(map(torch.equal, weights, searched.model.parameters()))
    searched.train()
    assert all(
        torch.equal(one, other)
        for one, other in zip(plain.model.state_dict().values(), searched.model.state_dict().values(), strict=True)
    )


def test_an_optimizer_that_was_handed_in_is_copied(toy_trainer) -> None:
    seen = []

    class Watching(Trainer):
        def training_step(self, model, inputs, num_items_in_batch=None):
            seen.append([group["lr"] for group in self.optimizer.param_groups])
            return super().training_step(model, inputs, num_items_in_batch)

    trainer = toy_trainer(Watching)
    trainer.optimizer = torch.optim.SGD(layerwise_groups(trainer.model, 0.1, 0.0, 0.5), momentum=0.9)
    own, rates = trainer.optimizer, [group["lr"] for group in trainer.optimizer.param_groups]
    found = find_learning_rate(trainer, 1e-3, 1e-2, steps=10)
    assert trainer.optimizer is own
    assert not own.state
    assert [group["lr"] for group in own.param_groups] == rates
    np.testing.assert_allclose([max(one) for one in seen], found.rates)
    np.testing.assert_allclose(seen[3], np.array(rates) / 0.1 * found.rates[3])
    assert len(set(found.losses)) > 1


def test_accumulated_batches_count_as_one(toy_trainer) -> None:
    arguments = {"optim": "sgd", "max_grad_norm": 0.0}
    large = toy_trainer(per_device_train_batch_size=12, **arguments)
    parts = toy_trainer(per_device_train_batch_size=4, gradient_accumulation_steps=3, **arguments)
    for trainer in (large, parts):
        for module in trainer.model.modules():
            if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.Dropout)):
                module.register_forward_pre_hook(lambda one, inputs: one.eval() and None)
    searches = [find_learning_rate(trainer, 1e-3, 1e-1, steps=10) for trainer in (large, parts)]
    np.testing.assert_allclose(searches[0].losses, searches[1].losses, rtol=1e-4)


def curve(losses) -> LearningRateSearch:
    return LearningRateSearch(tuple(np.geomspace(1e-5, 1.0, len(losses)).tolist()), tuple(map(float, losses)))


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_suggestion_lies_where_the_loss_falls_fastest(noise: float) -> None:
    exponent = np.linspace(-5, 0, 120)
    losses = 2.0 - 1.5 / (1 + np.exp(-6 * (exponent + 3))) + 8.0 * np.exp(8 * (exponent + 0.3))
    losses += noise * np.random.default_rng(0).standard_normal(120)
    assert np.log10(curve(losses).suggestion) == pytest.approx(-3, abs=0.2)


def test_the_noise_after_the_lowest_loss_does_not_count() -> None:
    losses = [3 - 0.02 * step for step in range(60)] + [60.0] * 20 + [-50.0]
    found = curve(losses)
    assert found.suggestion <= found.rates[59]


@pytest.mark.parametrize("points", [10, 20, 100])
def test_noise_alone_suggests_nothing(points: int) -> None:
    rng = np.random.default_rng(0)
    flat = [curve(2.3 + 0.1 * rng.standard_normal(points)).suggestion for _ in range(100)]
    rising = [
        curve(2.3 + np.linspace(0, 1, points) + 0.1 * rng.standard_normal(points)).suggestion for _ in range(100)
    ]
    assert sum(one is not None for one in flat + rising) <= 6


@pytest.mark.parametrize("loss", [0.0, 1e-12, 2.3026])
def test_a_loss_that_stays_suggests_nothing(loss: float) -> None:
    found = curve([loss] * 40)
    assert found.suggestion is None
    assert found.plot().axes
    assert curve([2.3] * 37 + [9.0, 30.0, 90.0]).suggestion is None


def test_the_suggestion_lies_where_it_falls_not_in_the_noise_before() -> None:
    losses = 2.3 + 0.02 * np.random.default_rng(1).standard_normal(100)
    losses[60:80] -= np.linspace(0.0, 0.5, 20)
    losses[80:] += np.linspace(0.0, 20.0, 20)
    found = curve(losses)
    assert found.rates[55] < found.suggestion < found.rates[82]


def test_the_plot_marks_the_suggestion() -> None:
    found = curve(np.linspace(3, 1, 40))
    (axes,) = found.plot().axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "learning rate"
    losses, smoothed, suggestion = axes.get_lines()
    assert tuple(losses.get_ydata()) == found.losses
    assert tuple(smoothed.get_ydata()) == found.smoothed_losses
    assert set(suggestion.get_xdata()) == {found.suggestion}


def test_a_loss_that_does_not_fall_suggests_nothing_and_is_drawn() -> None:
    found = curve(np.linspace(1, 2, 40))
    assert found.suggestion is None
    (axes,) = found.plot().axes
    losses, smoothed = axes.get_lines()
    assert tuple(losses.get_ydata()) == found.losses
    assert tuple(smoothed.get_ydata()) == found.smoothed_losses


def test_a_loss_that_is_not_finite_from_the_start_is_refused(toy_trainer) -> None:
    trainer = toy_trainer()
    with torch.no_grad():
        trainer.model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="finite loss before the first step of the search, found nan: no rate"):
        find_learning_rate(trainer, 1e-3, 1e-1, steps=20)


def test_a_loss_that_runs_away_at_once_is_refused(toy_trainer) -> None:
    with pytest.raises(ValueError, match="at least 10 losses, found . before the loss ran away"):
        find_learning_rate(toy_trainer(optim="sgd", max_grad_norm=0.0), 1e5, 1e9, steps=20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lowest": 1.0, "highest": 0.1}, "must rise from above 0, found 1.0 to 0.1"),
        ({"lowest": 0.0}, "must rise from above 0, found 0.0"),
        ({"steps": 9}, "needs at least 10 steps, found 9"),
    ],
)
def test_a_search_out_of_bounds_is_refused(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_learning_rate(None, **arguments)
