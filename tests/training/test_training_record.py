import json
import platform
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import torch
import transformers
from transformers import TrainerCallback
from transformers.integrations import CodeCarbonCallback

from hfaudio.training.checkpoints import CheckpointPartsMixin
from hfaudio.training.training_record import TrainingRecord, TrainingRecorder


class StopAtTheSecondStep(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step == 2:
            raise KeyboardInterrupt


class Measured(CodeCarbonCallback):
    """As though codecarbon were installed."""

    def __init__(self) -> None:
        self.tracker = SimpleNamespace(final_emissions=None, start=lambda: None, stop=self.stop)

    def stop(self) -> None:
        self.tracker.final_emissions = 0.0123


def record_of(trainer, recorder: TrainingRecorder, resumed: str | None = None) -> TrainingRecord:
    trained = trainer.train(resume_from_checkpoint=resumed)
    return recorder.record(trainer, recorder.whole_run(trained.metrics))


def test_it_says_what_happened(toy_trainer) -> None:
    recorder, before = TrainingRecorder(), datetime.now(UTC).replace(microsecond=0)
    trainer = toy_trainer(callbacks=[recorder], logging_strategy="steps", logging_steps=2)
    record = record_of(trainer, recorder)
    assert before <= datetime.fromisoformat(record.began) <= datetime.now(UTC)
    assert (record.steps, record.epochs, record.processes, record.precision) == (6, 2.0, 1, "fp32")
    logged = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert len(logged) == 3
    assert record.loss == logged[-1]
    assert record.device == "1 CPU thread"
    assert record.peak_gpu_bytes is None
    assert record.co2_kg is None
    assert record.versions["Python"] == platform.python_version()
    assert record.versions["transformers"] == transformers.__version__
    assert list(record.versions) == [
        "Python",
        "hfaudio",
        "torch",
        "torchaudio",
        "transformers",
        "datasets",
        "accelerate",
    ]


def test_without_a_log_the_loss_is_that_of_the_whole_run(toy_trainer) -> None:
    recorder = TrainingRecorder()
    trainer = toy_trainer(callbacks=[recorder], bf16=True)
    trained = trainer.train()
    record = recorder.record(trainer, recorder.whole_run(trained.metrics))
    assert record.loss == trained.metrics["train_loss"]
    assert record.precision == "bf16"
    assert record.seconds == trained.metrics["train_runtime"]


def test_a_resumed_run_began_when_it_first_did(toy_trainer, tmp_path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 1}
    first = TrainingRecorder()
    with pytest.raises(KeyboardInterrupt):
        toy_trainer(CheckpointPartsMixin, [first, StopAtTheSecondStep()], **saving).train()
    checkpoint = tmp_path / "checkpoint-1"
    (checkpoint / "train_seconds.json").write_text(json.dumps(1_000.0))
    (checkpoint / "train_began.txt").write_text("2026-11-23T08:40:12+00:00")
    second = TrainingRecorder(checkpoint)
    record = record_of(toy_trainer(CheckpointPartsMixin, [second, Measured()]), second, str(checkpoint))
    assert record.began == "2026-11-23T08:40:12+00:00"
    assert record.seconds > 1_000.0
    assert record.steps == 6
    assert record.co2_kg is None  # of a part alone


def test_each_checkpoint_knows_when_the_run_began(toy_trainer, tmp_path) -> None:
    recorder = TrainingRecorder()
    toy_trainer(CheckpointPartsMixin, [recorder], max_steps=1, save_strategy="steps", save_steps=1).train()
    assert TrainingRecorder(tmp_path / "checkpoint-1").began == recorder.began
    assert TrainingRecorder(tmp_path / "checkpoint-1").before > 0.0


def test_co2_is_what_codecarbon_measured(toy_trainer) -> None:
    recorder = TrainingRecorder()
    record = record_of(toy_trainer(callbacks=[Measured(), recorder], max_steps=1), recorder)
    assert record.co2_kg == 0.0123


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_named_with_its_memory(toy_trainer) -> None:
    recorder = TrainingRecorder()
    record = record_of(toy_trainer(callbacks=[recorder], use_cpu=False, max_steps=1), recorder)
    assert record.device == torch.cuda.get_device_name(0)
    assert record.peak_gpu_bytes > 0
