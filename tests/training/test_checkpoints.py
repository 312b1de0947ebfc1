import json
import os
import shutil
from pathlib import Path

import pytest
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hfaudio.training import AudioTrainingArguments, CheckpointError, checkpoints, remove_checkpoints
from hfaudio.training.checkpoints import (
    CheckpointPartsMixin,
    RunSettingsWriter,
    Stopwatch,
    check_same_run,
    checkpoint_damage,
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

    def look(older: Path) -> None:
        newest = tmp_path / f"checkpoint-{len(found) + 2}"
        assert older == tmp_path / f"checkpoint-{len(found) + 1}"
        assert last_complete_checkpoint(tmp_path) == str(newest)
        found.append({path.name for path in newest.iterdir()})
        shutil.rmtree(older)

    monkeypatch.setattr(checkpoints, "_remove", look)
    toy_trainer(
        CheckpointPartsMixin, parts(), max_steps=3, save_strategy="steps", save_steps=1, save_total_limit=1
    ).train()
    assert len(found) == 2
    assert all(names >= PARTS | {"checkpoint_files.json"} for names in found)


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


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 7)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


FAULTS = {"cut": cut, "flipped": flip, "missing": Path.unlink, "empty": lambda path: os.truncate(path, 0)}


@pytest.fixture
def stopped_run(toy_trainer, tmp_path) -> Path:
    """The output folder of a run that was killed with two whole checkpoints."""
    toy_trainer(CheckpointPartsMixin, parts(), max_steps=2, save_strategy="steps", save_steps=1).train()
    return tmp_path


def resumed(folder: Path, resume: str | None = "last") -> str | None:
    arguments = AudioTrainingArguments(output_dir=str(folder), resume_from_checkpoint=resume, use_cpu=True)
    return arguments.checkpoint_to_resume()


@pytest.mark.parametrize("fault", FAULTS)
def test_the_newest_whole_checkpoint_is_resumed_from_and_the_damage_is_said(stopped_run, caplog, fault: str) -> None:
    first, newest = (stopped_run / f"checkpoint-{step}" for step in (1, 2))
    names = [path.name for path in sorted(newest.iterdir())]
    assert PARTS | {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "checkpoint_files.json"} < {
        *names
    }
    for name in names:
        if (name, fault) == ("checkpoint_files.json", "missing"):
            continue  # then the formats of the files are looked at
        content = (newest / name).read_bytes()
        caplog.clear()
        FAULTS[fault](newest / name)
        assert resumed(stopped_run) == str(first), name
        assert "Resuming from checkpoint-1: checkpoint-2 " in caplog.text
        with pytest.raises(
            CheckpointError, match=r"found one that .*; give --resume_from_checkpoint .*checkpoint-1\.$"
        ):
            resumed(stopped_run, str(newest))
        (newest / name).write_bytes(content)
    assert resumed(stopped_run) == str(newest)


def test_every_process_has_a_file_in_the_table(stopped_run) -> None:
    newest = stopped_run / "checkpoint-2"
    files = json.loads((newest / "checkpoint_files.json").read_text())
    assert files.keys() == {path.name for path in newest.iterdir()} - {"checkpoint_files.json"}
    (newest / "rng_state_1.pth").touch()  # of a run of several processes
    checkpoints._list_files(newest)
    assert checkpoint_damage(newest) is None
    (newest / "rng_state_1.pth").unlink()
    assert checkpoint_damage(newest) == "has no rng_state_1.pth"


def test_without_a_whole_checkpoint_a_sentence_says_how_to_start_anew(stopped_run, caplog) -> None:
    for step in (1, 2):
        cut(stopped_run / f"checkpoint-{step}" / "optimizer.pt")
    sentence = (
        r"found none \(checkpoint-2 has a damaged optimizer.pt; checkpoint-1 has a damaged optimizer.pt\); start anew "
        r"without --resume_from_checkpoint\.$"
    )
    with pytest.raises(CheckpointError, match=sentence):
        resumed(stopped_run)
    with pytest.raises(CheckpointError, match=r"has a damaged optimizer.pt; start anew without the flag\.$"):
        resumed(stopped_run, str(stopped_run / "checkpoint-2"))
    assert resumed(stopped_run, None) is None  # there is nothing to lose
    assert "no checkpoint is whole (checkpoint-2 has a damaged optimizer.pt; checkpoint-1" in caplog.text


@pytest.mark.parametrize("fault", ["cut", "missing", "empty"])
def test_in_a_checkpoint_of_an_earlier_version_the_formats_of_the_files_tell(stopped_run, fault: str) -> None:
    newest = stopped_run / "checkpoint-2"
    (newest / "checkpoint_files.json").unlink()
    assert resumed(stopped_run) == str(newest)
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "run_settings.json"):
        content = (newest / name).read_bytes()
        FAULTS[fault](newest / name)
        assert resumed(stopped_run) == str(stopped_run / "checkpoint-1"), name
        (newest / name).write_bytes(content)
    flip(newest / "optimizer.pt")
    assert checkpoint_damage(newest) == "has a damaged optimizer.pt"


def test_a_checkpoint_that_was_being_removed_is_not_resumed_from(stopped_run, monkeypatch) -> None:
    def kill(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", kill)
    with pytest.raises(KeyboardInterrupt):
        checkpoints._remove(stopped_run / "checkpoint-2")
    assert resumed(stopped_run) == str(stopped_run / "checkpoint-1")


def test_what_is_no_checkpoint_is_not_resumed_from(stopped_run) -> None:
    (stopped_run / "checkpoint-20").mkdir()
    (stopped_run / "checkpoint-30").mkdir()
    (stopped_run / "checkpoint-30" / "trainer_state.json").write_text('{"epoch": 1')
    (stopped_run / "checkpoint-1000").touch()
    assert resumed(stopped_run) == str(stopped_run / "checkpoint-2")
    with pytest.raises(CheckpointError, match="Expected no unfinished run in .*, found checkpoint-2; add"):
        resumed(stopped_run, None)
    with pytest.raises(CheckpointError, match="checkpoint-20, found one that was not written to its end; give"):
        resumed(stopped_run, str(stopped_run / "checkpoint-20"))
    with pytest.raises(CheckpointError, match="Expected the folder of a checkpoint at .*checkpoint-40, found none"):
        resumed(stopped_run, str(stopped_run / "checkpoint-40"))


def test_a_damaged_checkpoint_does_not_take_the_place_of_a_new_one(toy_trainer, stopped_run) -> None:
    """Where one checkpoint is kept, it is the one that was written last, whatever its step."""
    (stopped_run / "checkpoint-1").rename(stopped_run / "checkpoint-9")
    cut(stopped_run / "checkpoint-9" / "model.safetensors")
    toy_trainer(
        CheckpointPartsMixin, parts(), max_steps=3, save_strategy="steps", save_steps=3, save_total_limit=1
    ).train()
    assert [path.name for path in stopped_run.iterdir()] == ["checkpoint-3"]
    assert resumed(stopped_run) == str(stopped_run / "checkpoint-3")


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
