import json
from pathlib import Path

import pytest
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments, trainer

from hfaudio.training import AudioTrainingArguments, CheckpointError, remove_checkpoints
from hfaudio.training.checkpoints import (
    CheckpointPartsMixin,
    RunSettingsWriter,
    Stopwatch,
    check_same_run,
    last_complete_checkpoint,
)
from hfaudio.training.weight_averaging import WeightAverage

SETTINGS = {"eval_folds": "['2']", "seed": "42"}
PARTS = {"run_settings.json", "train_seconds.json", "weight_average.safetensors"}


class KilledAtTheSecondSave(TrainerCallback):
    """Ends the process right after `Trainer` has written a checkpoint, as far as the run can tell."""

    def on_save(self, args, state, control, **kwargs) -> None:
        if state.global_step == 2:
            raise KeyboardInterrupt


def parts() -> list[TrainerCallback]:
    return [RunSettingsWriter(SETTINGS), Stopwatch(), WeightAverage(0.9)]


def test_only_the_run_that_wrote_a_checkpoint_resumes_from_it(tmp_path) -> None:
    RunSettingsWriter(SETTINGS).write_into(tmp_path)
    check_same_run(tmp_path, SETTINGS)
    with pytest.raises(CheckpointError, match=r"found --eval_folds \['3'\] in place of \['2'\]; give the same flags"):
        check_same_run(tmp_path, {**SETTINGS, "eval_folds": "['3']"})
    (tmp_path / "run_settings.json").unlink()
    with pytest.raises(CheckpointError, match="in place of none"):
        check_same_run(tmp_path, SETTINGS)


def test_a_checkpoint_has_everything_before_older_ones_go(toy_trainer, tmp_path, monkeypatch) -> None:
    found = []

    def look(**kwargs) -> None:
        newest = tmp_path / f"checkpoint-{len(found) + 1}"
        assert last_complete_checkpoint(tmp_path) == str(newest)
        found.append({path.name for path in newest.iterdir()})

    monkeypatch.setattr(trainer, "rotate_checkpoints", look)
    toy_trainer(
        CheckpointPartsMixin, parts(), max_steps=2, save_strategy="steps", save_steps=1, save_total_limit=1
    ).train()
    assert len(found) == 2
    assert all(names >= PARTS for names in found)


def test_who_is_killed_after_older_checkpoints_went_can_resume(toy_trainer, tmp_path) -> None:
    callbacks = [KilledAtTheSecondSave(), *parts()]
    stopped = toy_trainer(CheckpointPartsMixin, callbacks, save_strategy="steps", save_steps=1, save_total_limit=1)
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    last = last_complete_checkpoint(tmp_path)
    assert last == str(tmp_path / "checkpoint-2")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-2"]
    check_same_run(last, SETTINGS)
    WeightAverage().resume_from(last)


def test_a_checkpoint_that_is_written_anew_is_incomplete_meanwhile(toy_trainer, tmp_path) -> None:
    states = []

    class Look(RunSettingsWriter):
        def write_into(self, checkpoint: Path) -> None:
            states.append((checkpoint / "trainer_state.json").exists())

    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1" / "trainer_state.json").write_text("{}")
    toy_trainer(CheckpointPartsMixin, [Look({})], max_steps=1, save_strategy="steps", save_steps=1).train()
    assert states == [False]
    assert json.loads((tmp_path / "checkpoint-1" / "trainer_state.json").read_text())["global_step"] == 1


def test_a_saved_model_is_no_checkpoint(toy_trainer, tmp_path) -> None:
    toy_trainer(CheckpointPartsMixin, parts()).save_model(str(tmp_path / "model"))
    assert not PARTS & {path.name for path in (tmp_path / "model").iterdir()}


def test_the_newest_checkpoint_that_is_complete_is_resumed_from(tmp_path) -> None:
    def resumed(resume: str | None) -> str | None:
        arguments = AudioTrainingArguments(output_dir=str(tmp_path), resume_from_checkpoint=resume, use_cpu=True)
        return arguments.checkpoint_to_resume()

    for step, state in ((9, "{}"), (10, "{}"), (20, None), (30, '{"epoch": 1'), (100, "")):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "model.safetensors").touch()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-1000").touch()
    assert resumed("last") == str(tmp_path / "checkpoint-10")
    with pytest.raises(CheckpointError, match="Expected no unfinished run in .*, found checkpoint-10; add"):
        resumed(None)
    with pytest.raises(CheckpointError, match="Expected the folder of a checkpoint at .*checkpoint-20, found none"):
        resumed(str(tmp_path / "checkpoint-20"))
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").unlink()
    assert resumed(None) is None  # there is nothing to lose
    with pytest.raises(CheckpointError, match="found none; start without --resume_from_checkpoint"):
        resumed("last")


def test_seconds_are_those_of_the_whole_run(tmp_path, monkeypatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    run = TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState(), TrainerControl()
    for resumed in (None, tmp_path):  # twice 30 seconds up to the last checkpoint
        stopwatch = Stopwatch(resumed)
        stopwatch.on_train_begin(*run)
        now[0] += 30
        stopwatch.write_into(tmp_path)
    metrics = {"train_runtime": 20.0, "train_samples_per_second": 8.0, "train_loss": 0.5}
    assert Stopwatch().whole_run(metrics) == metrics
    whole = Stopwatch(tmp_path).whole_run(metrics)
    assert whole == {"train_runtime": 80.0, "train_samples_per_second": 2.0, "train_loss": 0.5}


def test_only_checkpoints_are_removed(tmp_path) -> None:
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "checkpoint-10" / "optimizer.pt").touch()
    (tmp_path / "checkpoint-best-of-mine").mkdir()
    (tmp_path / "checkpoint-notes.txt").touch()
    remove_checkpoints(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-best-of-mine", "checkpoint-notes.txt"]
