import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hfaudio.command_line import FlagParser, exit_on
from hfaudio.dataclass_parser import CommandLineParser


@dataclass
class Flags:
    """Some flags."""

    rate: int = field(default=8, metadata={"help": "Rate, in Hz."})
    names: list[str] = field(default_factory=list, metadata={"help": "Some names."})
    loud: bool = field(default=False, metadata={"help": "Loud or not."})
    rare: str | None = field(default=None, metadata={"help": "Seldom needed."})

    def __post_init__(self) -> None:
        if self.rate < 1:
            raise ValueError(f"--rate must be at least 1, found {self.rate}.")


@pytest.fixture
def parser() -> CommandLineParser:
    return CommandLineParser((Flags,), rarely_used={"rare"}, prog="tool.py", description="Does it.")


def test_flags_win_over_the_file(parser, tmp_path) -> None:
    path = tmp_path / "flags.yaml"
    path.write_text("rate: 16\nnames: [a, 2]\nloud: true\nrare:\n")
    assert parser.parse([str(path)]) == (Flags(16, ["a", "2"], True),)
    assert parser.parse([str(path), "--rate", "32", "--names", "c"]) == (Flags(32, ["c"], True),)
    path.write_text("names: []\nrare: no\n")
    assert parser.parse([str(path)]) == (Flags(rare="no"),)
    path.write_text("rare: {a: b}\n")
    assert parser.parse([str(path)]) == (Flags(rare='{"a": "b"}'),)
    assert parser.parse([]) == (Flags(),)


def test_an_empty_file_changes_nothing(parser, tmp_path) -> None:
    (tmp_path / "flags.yml").write_text("# nothing\n")
    assert parser.parse([str(tmp_path / "flags.yml")]) == (Flags(),)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rate", "0"], "error: --rate must be at least 1, found 0."),
        (["--rate", "x"], "error: argument --rate: invalid int value: 'x'; see --help."),
        (["--nothing", "1"], "error: unknown flags: --nothing 1; see --help."),
        (["gone.yaml"], "error: expected a YAML file of flags at gone.yaml, found none; see --help."),
        (["{folder}/pipe.yaml"], "{folder}/pipe.yaml, which is a named pipe (FIFO), no file; see --help."),
        (["{folder}/list.yaml"], "expected one 'flag: value' a line in {folder}/list.yaml, found a list"),
        (["{folder}/odd.yaml"], "expected the names of flags in {folder}/odd.yaml, found 'speed'"),
        (["{folder}/broken.yaml"], "expected YAML in {folder}/broken.yaml, found "),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(parser, tmp_path: Path, capsys, arguments, sentence) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "list.yaml").write_text("- rate\n")
    (tmp_path / "odd.yaml").write_text("speed: 3\n")
    (tmp_path / "broken.yaml").write_text("rate: [1\n")
    with pytest.raises(SystemExit) as ending:
        parser.parse([argument.format(folder=tmp_path) for argument in arguments])
    assert ending.value.code == 2
    error = capsys.readouterr().err
    assert sentence.format(folder=tmp_path) in error
    assert error.count("\n") == 1


def test_help_shows_what_is_used_often_and_help_all_the_rest(parser, capsys) -> None:
    with pytest.raises(SystemExit) as ending:
        parser.parse(["--help"])
    assert ending.value.code == 0
    short = capsys.readouterr().out
    assert "--rate" in short
    assert "Rate, in Hz. [8]" in short
    assert "--rare" not in short
    with pytest.raises(SystemExit) as ending:
        parser.parse(["--help_all"])
    assert ending.value.code == 0
    assert "--rare" in capsys.readouterr().out


def test_only_named_exceptions_are_the_users_mistakes(capsys) -> None:
    with pytest.raises(SystemExit) as ending, exit_on(KeyError):
        raise KeyError("no such key")
    assert ending.value.code == 2
    with pytest.raises(ZeroDivisionError), exit_on(KeyError):
        _ = 1 / 0


@pytest.mark.parametrize(
    "line",
    [
        "a.wav b --model m --top_k 2 --windows",
        "--model m a.wav b --top_k 2 --windows",
        "--model m --top_k 2 --windows a.wav b",
        "--model=m --windows a.wav --top_k 2 b",
        "--windows --paths a.wav b --model m --top_k 2",
    ],
)
def test_paths_may_stand_anywhere(line: str) -> None:
    parser = FlagParser(unnamed="paths", prog="tool.py")
    parser.add_argument("--paths", nargs="*")
    parser.add_argument("--model")
    parser.add_argument("--top_k", type=int)
    parser.add_argument("--windows", action="store_true")
    flags = parser.parse_args(parser.flags(line.split()))
    assert vars(flags) == {"paths": ["a.wav", "b"], "model": "m", "top_k": 2, "windows": True}


def test_values_that_begin_with_a_dash_are_values() -> None:
    parser = FlagParser(unnamed="paths", prog="tool.py")
    parser.add_argument("--paths", nargs="*")
    parser.add_argument("--files_from")
    parser.add_argument("--level", type=float)
    flags = parser.parse_args(parser.flags(["--files_from", "-", "--level", "-3", "a.wav"]))
    assert vars(flags) == {"paths": ["a.wav"], "files_from": "-", "level": -3.0}
