import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

from hfaudio.training.early_stopping import EarlyStopping


@pytest.fixture
def scored_trainer(toy_trainer):
    """A trainer whose evaluation after each of six epochs gives the scores in turn."""

    def make(scores: Sequence[float], stopping: EarlyStopping, **arguments) -> Trainer:
        class Scored(Trainer):
            def evaluate(self, *args, **kwargs):
                metrics = {stopping.metric: scores[round(self.state.epoch) - 1]}
                self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
                return metrics

        defaults = {"num_train_epochs": 6, "eval_strategy": "epoch", "per_device_train_batch_size": 12}
        return toy_trainer(Scored, [stopping], **{**defaults, **arguments})

    return make


@pytest.mark.parametrize(
    ("scores", "stopping", "expected"),
    [
        ([3, 2, 2, 2, 1, 0], EarlyStopping(2), 4),
        ([3, 2, 2, 1, 1, 0], EarlyStopping(2), 6),
        ([3, 2, 4, 2.5, 1, 0], EarlyStopping(2), 4),
        ([1, 2, 3, 3, 5, 6], EarlyStopping(1, "eval_accuracy"), 4),
        ([3, 2.9, 2.7, 2.6, 2.5, 0], EarlyStopping(2, threshold=0.25), 5),
        ([3, float("nan"), float("nan"), 1, 1, 1], EarlyStopping(2), 3),
    ],
)
def test_a_run_stops_after_so_many_evaluations_without_improvement(
    scored_trainer, caplog, scores: list[float], stopping: EarlyStopping, expected: int
) -> None:
    trainer = scored_trainer(scores, stopping)
    with caplog.at_level(logging.INFO, "hfaudio"):
        trainer.train()
    assert trainer.state.global_step == expected
    said = [record.getMessage() for record in caplog.records if record.name.startswith("hfaudio")]
    assert len(said) == (expected < 6)
    if said:
        waited = f"in the last {stopping.patience} evaluation"
        assert f"Stopped at epoch {expected} (step {expected} of 6): {stopping.metric} has not" in said[0]
        assert waited in said[0]


def test_a_resumed_run_goes_on_counting(scored_trainer, tmp_path: Path) -> None:
    scores = [1, 2, 3, 4, 5, 6]
    stopping = EarlyStopping(3)
    whole = scored_trainer(scores, stopping, save_strategy="epoch")
    whole.train()
    assert whole.state.global_step == 4
    kept = TrainerState.load_from_json(tmp_path / "checkpoint-3" / "trainer_state.json").stateful_callbacks
    assert kept["EarlyStopping"]["attributes"] == {"best": 1, "waited": 2}
    resumed = scored_trainer(scores, EarlyStopping(3))
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert resumed.state.global_step == 4


@pytest.mark.parametrize("waited", [1, 2])
def test_a_run_that_had_stopped_is_told_to_stop_before_its_next_step(tmp_path: Path, waited: int) -> None:
    kept = EarlyStopping(2).state() | {"attributes": {"best": 1.0, "waited": waited}}
    state, control = TrainerState(global_step=3, stateful_callbacks={"EarlyStopping": kept}), TrainerControl()
    EarlyStopping(2).on_train_begin(TrainingArguments(str(tmp_path), eval_strategy="epoch"), state, control)
    assert control.should_training_stop == (waited == 2)


def test_a_run_that_did_not_count_can_go_on_counting(scored_trainer, toy_trainer, tmp_path: Path) -> None:
    toy_trainer(per_device_train_batch_size=12, save_strategy="epoch").train()
    resumed = scored_trainer([1, 2, 3, 4, 5, 6], EarlyStopping(2), save_strategy="epoch")
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert resumed.state.global_step == 4


def test_a_second_run_counts_anew(scored_trainer) -> None:
    trainer = scored_trainer([1, 2, 3, 4, 5, 6], EarlyStopping(2))
    for _ in range(2):
        trainer.train()
        assert trainer.state.global_step == 3


def test_evaluations_of_something_else_do_not_count() -> None:
    stopping = EarlyStopping(1)
    stopping.training = True
    stopping.on_evaluate(None, None, None, metrics={"train_loss": 1.0})
    with pytest.raises(ValueError, match="expects the metric eval_loss in each evaluation, found eval_accuracy"):
        stopping.on_evaluate(None, None, None, metrics={"eval_accuracy": 1.0})
    stopping.training = False
    stopping.on_evaluate(None, None, None, metrics={"eval_loss": 1.0})
    assert (stopping.best, stopping.waited) == (None, 0)


def test_a_run_without_evaluations_is_refused(toy_trainer) -> None:
    with pytest.raises(ValueError, match="needs evaluations while training, found --eval_strategy no"):
        toy_trainer(callbacks=[EarlyStopping(2)]).train()


@pytest.mark.parametrize(("arguments", "message"), [((0,), "patience"), ((1, "eval_loss", -1.0), "threshold")])
def test_settings_out_of_bounds_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=f"{message} must be"):
        EarlyStopping(*arguments)
