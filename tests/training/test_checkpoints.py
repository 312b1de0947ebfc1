import pytest
from transformers import TrainerControl, TrainerState

from hfaudio.training import AudioTrainingArguments, CheckpointError, remove_checkpoints
from hfaudio.training.checkpoints import RunSettingsWriter, check_same_run

SETTINGS = {"eval_folds": "['2']", "seed": "42"}


def test_only_the_run_that_wrote_a_checkpoint_resumes_from_it(tmp_path) -> None:
    arguments = AudioTrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    checkpoint = tmp_path / "checkpoint-7"
    checkpoint.mkdir()
    state = TrainerState(global_step=7, is_world_process_zero=True)
    RunSettingsWriter(SETTINGS).on_save(arguments, state, TrainerControl())
    check_same_run(checkpoint, SETTINGS)
    with pytest.raises(CheckpointError, match=r"found --eval_folds \['3'\] in place of \['2'\]; give the same flags"):
        check_same_run(checkpoint, {**SETTINGS, "eval_folds": "['3']"})
    (checkpoint / "run_settings.json").unlink()
    with pytest.raises(CheckpointError, match="in place of none"):
        check_same_run(checkpoint, SETTINGS)


def test_only_checkpoints_are_removed(tmp_path) -> None:
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "checkpoint-10" / "optimizer.pt").touch()
    (tmp_path / "checkpoint-best-of-mine").mkdir()
    (tmp_path / "checkpoint-notes.txt").touch()
    remove_checkpoints(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-best-of-mine", "checkpoint-notes.txt"]
