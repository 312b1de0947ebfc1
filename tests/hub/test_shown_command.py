import pytest

from hfaudio.hub import shown_command


@pytest.mark.parametrize(
    ("processes", "environment", "launcher"),
    [
        (1, {}, "python"),
        (2, {}, "torchrun --nproc_per_node 2"),
        (1, {"ACCELERATE_MIXED_PRECISION": "no"}, "accelerate launch"),
        (2, {"ACCELERATE_MIXED_PRECISION": "bf16"}, "accelerate launch --num_processes 2 --mixed_precision bf16"),
    ],
)
def test_it_is_launched_as_it_was(processes: int, environment: dict, launcher: str) -> None:
    flags = ["--dataset", "my sounds", "--bf16"]
    command = f"{launcher} scripts/train.py --dataset 'my sounds' --bf16"
    assert shown_command("scripts/train.py", flags, processes, environment) == command


@pytest.mark.parametrize(
    "flags",
    [
        ["--hub_token", "secret"],
        ["--hub-token", "secret"],
        ["--hub_token=secret"],
        ["--push_to_hub_token", "secret"],
    ],
)
def test_tokens_are_not_shown(flags: list) -> None:
    given = ["--push_to_hub", *flags, "--seed", "7"]
    assert shown_command("train.py", given, environment={}) == "python train.py --push_to_hub --seed 7"


def test_neither_are_they_where_no_flag_names_them() -> None:
    token = "hf_" + "aB3" * 11
    shown = shown_command("train.py", ["--run_name", f"try {token}"], environment={})
    assert shown == "python train.py --run_name 'try hf_...'"
