from dataclasses import fields
from pathlib import Path

import pytest

from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.training import AudioTrainingArguments, RunArguments
from hfaudio.training.run_arguments import CAN_BE_FILES, CHANGES_NO_RESULT


@pytest.fixture
def read(tmp_path: Path):
    def run(*flags: object) -> RunArguments:
        output = [] if "--output_dir" in flags else ["--output_dir", str(tmp_path / "run")]
        argv = ["--use_cpu", *output, *map(str, flags)]
        return RunArguments.from_flags(CommandLineParser(RunArguments.parts()), argv)

    return run


def differing(first: dict[str, str], second: dict[str, str]) -> set[str]:
    assert first.keys() == second.keys()
    return {name for name, text in first.items() if second[name] != text}


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("learning_rate", 0.5),
        ("num_train_epochs", 3),
        ("optim_args", "momentum=0.5"),
        ("adam_beta2", 0.5),
        ("adam_epsilon", 0.5),
        ("lr_scheduler_kwargs", '{"num_cycles": 2}'),
        ("eval_steps", 0.5),
        ("eval_delay", 2),
        ("dataloader_drop_last", True),
        ("crop_margin", 0.25),
        ("dropout", 0.5),
    ],
)
def test_what_changes_a_result_is_a_setting_of_it(read, flag: str, value: object) -> None:
    assert differing(read().result_settings(), read(f"--{flag}", value).result_settings()) == {flag}


def test_what_changes_no_result_is_none(read) -> None:
    flags = ("--preparation_processes", 3, "--cpu_threads", 1, "--dataloader_num_workers", 2, "--save_steps", 7)
    flags += ("--logging_steps", 3, "--run_name", "mine")
    flags += ("--push_to_hub", "--hub_token", "hf_secret", "--hub_model_id", "me/mine")
    run = read(*flags, "--output_dir", "elsewhere")
    assert run.result_settings() == read().result_settings()
    assert run.decisive_settings() == read().decisive_settings()
    assert "hf_secret" not in str(run.result_settings())


def test_every_setting_that_is_a_flag_is_known_by_that_name() -> None:
    names = {one.name for part in RunArguments.parts() for one in fields(part)}
    assert set(CAN_BE_FILES) <= names
    ours = {one for one in CHANGES_NO_RESULT if one in AudioTrainingArguments.__annotations__}
    assert ours == {
        "calibrate", "cpu_threads", "data_attribution", "false_reject_rate", "find_lr", "hub_strategy",
        "logging_steps", "model_license", "output_dir", "push_recordings", "push_to_hub",
        "report_to",
        "resume_from_checkpoint", "save_steps", "save_total_limit",
    }  # fmt: skip


def test_a_run_may_go_on_for_longer_but_not_on_other_examples(read) -> None:
    def differs(*flags: object) -> set[str]:
        return differing(read().decisive_settings(), read(*flags).decisive_settings())

    assert differs("--num_train_epochs", 3, "--learning_rate", 0.5, "--eval_steps", 0.5) == set()
    assert differs("--seed", 3, "--crop_margin", 0.25, "--ema_decay", 0) == {"seed", "crop_margin", "ema_decay"}


@pytest.mark.parametrize(
    ("flag", "name", "content"),
    [
        ("class_weights", "weights.yaml", "a: 1"),
        ("waveform_augmentation", "changes.yaml", "- Gain: {min_gain_db: -3}"),
        ("split", "split.csv", "file_name,split"),
    ],
)
def test_of_a_file_counts_what_is_in_it(read, tmp_path: Path, flag: str, name: str, content: str) -> None:
    first, moved = tmp_path / name, tmp_path / f"moved-{name}"
    first.write_text(content)
    moved.write_text(content)
    settings = [read(f"--{flag}", path).result_settings() for path in (first, moved)]
    assert settings[0] == settings[1]
    run = read(f"--{flag}", first)
    first.write_text(content + " ")
    for before, now in ((settings[0], run.result_settings()), (settings[0], run.decisive_settings())):
        assert now[flag].startswith("(a file of SHA-256 ")
        assert now[flag] != before[flag]
    first.unlink()
    assert run.result_settings()[flag] == repr(str(first))  # whoever reads it says that it is missing


def test_the_built_in_sounds_take_fewer_epochs(read, two_classes: Path) -> None:
    assert read().training.num_train_epochs == 16
    assert read("--num_train_epochs", 3).training.num_train_epochs == 3
    assert read("--dataset", two_classes).training.num_train_epochs == AudioTrainingArguments.num_train_epochs
