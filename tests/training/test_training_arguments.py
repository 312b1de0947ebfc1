import re

import pytest

from hfaudio.training import AudioTrainingArguments, CheckpointError, checkpoints

NAN = float("nan")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"loss": "hinge"}, "--loss must be one of focal, cross_entropy, found 'hinge'."),
        ({"focal_gamma": 2.0}, "--focal_gamma needs --loss focal, found cross_entropy."),
        ({"batch_growth_times": 3}, "--batch_growth_times needs --batch_growth, found none."),
        ({"loss": "focal", "focal_gamma": -1.0}, "--focal_gamma must be a number of at least 0, found -1.0."),
        ({"ema_decay": 1.0}, "--ema_decay must be at least 0 and below 1, found 1.0."),
        ({"layerwise_lr_decay": 0.0}, "--layerwise_lr_decay must be above 0 and at most 1, found 0.0."),
        ({"batch_growth": 0}, "--batch_growth must be at least 1, found 0."),
        ({"freeze_backbone_epochs": -1}, "--freeze_backbone_epochs must be a number of at least 0, found -1."),
        ({"unfreeze_gradually": True}, "--unfreeze_gradually needs --freeze_backbone_epochs, found none."),
        (
            {"early_stopping_patience": 2, "eval_strategy": "no"},
            "--early_stopping_patience needs evaluations, found --eval_strategy no.",
        ),
        ({"num_train_epochs": 0.0}, "--num_train_epochs must be a number above 0, found 0.0."),
        ({"learning_rate": -1e-3}, "--learning_rate must be a number above 0, found -0.001."),
        ({"per_device_train_batch_size": 0}, "--per_device_train_batch_size must be a number above 0, found 0."),
        ({"gradient_accumulation_steps": 0}, "--gradient_accumulation_steps must be a number above 0, found 0."),
        ({"label_smoothing_factor": 1.0}, "--label_smoothing_factor must be at least 0 and below 1, found 1.0."),
        ({"adam_beta1": NAN}, "--adam_beta1 must be at least 0 and below 1, found nan."),
        ({"adam_beta2": 7.0}, "--adam_beta2 must be at least 0 and below 1, found 7.0."),
        ({"warmup_steps": NAN}, "--warmup_steps must be a number of at least 0, found nan."),
        ({"eval_steps": NAN}, "--eval_steps must be a number of at least 0, found nan."),
        ({"save_steps": NAN}, "--save_steps must be a number of at least 0, found nan."),
        ({"logging_steps": NAN}, "--logging_steps must be a number of at least 0, found nan."),
        ({"max_grad_norm": NAN}, "--max_grad_norm must be a number of at least 0, found nan."),
        ({"eval_delay": NAN}, "--eval_delay must be a finite number, found nan."),
        ({"neftune_noise_alpha": NAN}, "--neftune_noise_alpha must be a finite number, found nan."),
        ({"data_seed": -1}, "--data_seed must be a number of at least 0, found -1."),
        ({"seed": 2**32}, "--seed must be at most 4294967295, found 4294967296."),
        (
            {"batch_growth": 2, "num_train_epochs": 2},
            "Batches that grow 2 times (--batch_growth_times) need at least 3 epochs, found 2;",
        ),
        (
            {"batch_growth": 2, "max_steps": 5},
            "--batch_growth needs a run that is measured in epochs, found --max_steps 5",
        ),
        ({"one_cycle": True, "max_steps": 2}, "--one_cycle needs at least 3 steps, found --max_steps 2."),
        (
            {"one_cycle": True, "lr_scheduler_type": "cosine"},
            "--one_cycle and --lr_scheduler_type cosine are both schedules: give one of them.",
        ),
        (
            {"one_cycle": True, "warmup_steps": 5},
            "--one_cycle has a rise of its own, found --warmup_steps 5 too: give one of them.",
        ),
        (
            {"lr_scheduler_type": "reduce_lr_on_plateau"},
            "--lr_scheduler_type must be settled beforehand, as cosine is, found reduce_lr_on_plateau:",
        ),
        (
            {"lr_scheduler_type": "greedy"},
            "--lr_scheduler_type must be settled beforehand, as cosine is, found greedy:",
        ),
        (
            {"metric_for_best_model": "loss"},
            "--metric_for_best_model must be left out, found loss: no epoch is chosen.",
        ),
        ({"loss": "focal", "focal_gamma": NAN}, "--focal_gamma must be a number of at least 0, found nan."),
        ({"learning_rate": float("inf")}, "--learning_rate must be a number above 0, found inf."),
        ({"seed": -1}, "--seed must be a number of at least 0, found -1."),
        ({"max_steps": 0}, "--max_steps must be above 0, or -1 to train whole epochs, found 0."),
        ({"model_license": "Apache 2.0"}, "--model_license must be an identifier of the Hub, such as mit, apache-2.0"),
        ({"false_reject_rate": 0.0}, "--false_reject_rate must be above 0 and below 1, found 0.0."),
        ({"false_reject_rate": 1.0}, "--false_reject_rate must be above 0 and below 1, found 1.0."),
        ({"false_reject_rate": NAN}, "--false_reject_rate must be a finite number, found nan."),
        (
            {"find_lr": True, "resume_from_checkpoint": "last"},
            "--find_lr searches from the first weights, found --resume_from_checkpoint last; leave it out.",
        ),
        (
            {"fp16": True},
            "--fp16 needs a GPU, found the CPU, which would train in fp32; give --bf16 --use_cpu, or leave it out.",
        ),
        ({"fp16": True, "bf16": True}, "At most one of fp16 and bf16 can be True, but not both"),
        ({"fp16_full_eval": True}, "--fp16_full_eval must be False, found True: the model is scored in single"),
        ({"bf16_full_eval": True}, "--bf16_full_eval must be False, found True: the model is scored in single"),
        ({"cpu_threads": 0}, "--cpu_threads must be at least 1, found 0."),
        ({"remove_unused_columns": True}, "--remove_unused_columns must be False, found True: the collator reads"),
        ({"load_best_model_at_end": True}, "--load_best_model_at_end must be False, found True: an epoch chosen on"),
        ({"save_strategy": "best"}, "--save_strategy must be no, steps or epoch, found best"),
        ({"output_dir": __file__}, "--output_dir must be a folder or a free name, found the file"),
        ({"use_liger_kernel": True}, "--use_liger_kernel must be False, found True: it has kernels for language"),
        ({"activation_checkpointing": True}, "--activation_checkpointing must be False, found True: the model is"),
        (
            {"neftune_noise_alpha": 5.0},
            "--neftune_noise_alpha must be left out, found 5.0: it is for language models.",
        ),
        (
            {"dataloader_persistent_workers": True},
            "--dataloader_persistent_workers needs --dataloader_num_workers, found none.",
        ),
        (
            {"accelerator_config": "/nowhere.json"},
            "Expected the flags of the training to be possible here, found FileNotFoundError (",
        ),
        ({"report_to": "comet_ml"}, "--report_to comet_ml needs a package that is not installed."),
        ({"report_to": ["comet_ml", "wandb"]}, "--report_to comet_ml, wandb needs a package that is not installed."),
    ],
)
def test_training_flags_out_of_range_are_named(tmp_path, arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        AudioTrainingArguments(**{"output_dir": str(tmp_path), "use_cpu": True, **arguments})
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "schedule"),
    [
        ({}, "cosine"),
        ({"lr_scheduler_type": "linear"}, "linear"),
        ({"batch_growth": 2}, "constant_with_warmup"),
        ({"batch_growth": 2, "lr_scheduler_type": "cosine"}, "cosine"),
    ],
)
def test_a_schedule_is_chosen_where_none_is_named(tmp_path, arguments: dict, schedule: str) -> None:
    assert AudioTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **arguments).lr_scheduler_type == schedule


@pytest.mark.parametrize("names", [[], "none", ["none"]])
def test_no_tracker_is_the_default(tmp_path, names) -> None:
    named = {"report_to": names} if names else {}
    assert AudioTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **named).report_to == []


def write_checkpoint(folder, step: int):
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir()
    (checkpoint / "trainer_state.json").write_text("{}")
    checkpoints._list_files(checkpoint)
    return checkpoint


def test_the_checkpoint_to_resume_from(tmp_path) -> None:
    def checkpoint(resume: str | None) -> str | None:
        arguments = AudioTrainingArguments(output_dir=str(tmp_path), resume_from_checkpoint=resume, use_cpu=True)
        return arguments.checkpoint_to_resume()

    assert checkpoint(None) is None
    with pytest.raises(CheckpointError, match="Expected a checkpoint to resume from in .*, found none; start without"):
        checkpoint("last")
    with pytest.raises(CheckpointError, match="Expected the folder of a checkpoint at nowhere, found none;"):
        checkpoint("nowhere")
    ninth, tenth = write_checkpoint(tmp_path, 9), write_checkpoint(tmp_path, 10)
    assert checkpoint("last") == str(tenth)
    assert checkpoint(str(ninth)) == str(ninth)
    with pytest.raises(CheckpointError, match="Expected no unfinished run in .*, found checkpoint-10; add --resume"):
        checkpoint(None)


@pytest.mark.parametrize(
    ("precision", "sentence"),
    [
        ("fp16", "ACCELERATE_MIXED_PRECISION=fp16 needs a GPU, found the CPU, which would train in fp32;"),
        ("fp8", "ACCELERATE_MIXED_PRECISION must be one of no, bf16, fp16, found 'fp8'."),
        ("half", "ACCELERATE_MIXED_PRECISION must be one of no, bf16, fp16, found 'half'."),
    ],
)
def test_a_precision_that_accelerate_asks_for_is_checked_too(precision, sentence, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", precision)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        AudioTrainingArguments(output_dir=str(tmp_path), use_cpu=True)


def test_bf16_on_the_cpu_is_taken(monkeypatch, tmp_path) -> None:
    assert AudioTrainingArguments(output_dir=str(tmp_path), use_cpu=True, bf16=True).mixed_precision == "bf16"
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert AudioTrainingArguments(output_dir=str(tmp_path), use_cpu=True).mixed_precision == "bf16"
