import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from hfaudio.command_line import FlagParser, exit_on, printable, show_messages
from hfaudio.dataclass_parser import CommandLineParser


@dataclass
class Flags:
    """Some flags."""

    rate: int = field(default=8, metadata={"help": "Rate, in Hz."})
    names: list[str] = field(default_factory=list, metadata={"help": "Some names."})
    loud: bool = field(default=False, metadata={"help": "Loud or not."})
    rare: str | None = field(default=None, metadata={"help": "Seldom needed."})
    colour: Literal["red", "green"] = field(default="red", metadata={"help": "One of two."})

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
        (["--nothing", "1"], "error: unknown flag --nothing; see --help."),
        (["--rat", "1"], "error: unknown flag --rat: did you mean --rate? See --help."),
        (["--rat=1"], "error: unknown flag --rat: did you mean --rate? See --help."),
        (["-rate", "1"], "error: unknown flag -rate: did you mean --rate? See --help."),
        (["--colour", "gren"], "(choose from 'red', 'green'): did you mean green? See --help."),
        (["--colour", "7"], "(choose from 'red', 'green'); see --help."),
        (["--rate", "1", "--rate=2"], "error: expected each flag once, found --rate 1 and --rate 2; give one of them"),
        (["--names", "a", "--loud", "--names", "b"], "error: expected each flag once, found --names a and --names b;"),
        (["--rate"], "error: argument --rate: expected one argument; see --help."),
        (["--names", "--loud"], "error: argument --names: expected at least one argument; see --help."),
        (["stray"], "error: unknown flags: stray; see --help."),
        (
            ["--num_train_epochs", "3"],
            "unknown flag --num_train_epochs, which is a flag of cross_validate.py and tr",
        ),
        (["--files_from", "x"], "error: unknown flag --files_from, which is a flag of predict.py; see --help."),
        (["{folder}/near.yaml"], "found 'rat': did you mean --rate? See --help."),
        (["{folder}/twice.yaml"], "expected YAML in {folder}/twice.yaml, found a name that stands twice"),
        (["{folder}"], "error: unknown flags: {folder}; see --help."),
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
    (tmp_path / "near.yaml").write_text("rat: 3\n")
    (tmp_path / "twice.yaml").write_text("rate: 3\nloud: true\nrate: 4\n")
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


def test_a_file_with_a_name_like_a_flag_is_told_how_to_be_named(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-odd.wav").touch()
    with pytest.raises(SystemExit):
        FlagParser(unnamed="paths", prog="tool.py").flags(["-odd.wav"])
    assert "error: unknown flag -odd.wav; a file of that name is ./-odd.wav; see" in capsys.readouterr().err


def test_a_flag_may_be_given_twice_with_one_value(parser, tmp_path) -> None:
    assert parser.parse(["--rate", "3", "--rate=3"]) == (Flags(3),)


def test_a_path_after_a_switch_is_no_value_of_it() -> None:
    parser = CommandLineParser((Flags,), unnamed="names", prog="tool.py")
    assert parser.parse(["--loud", "sounds", "more"]) == (Flags(names=["sounds", "more"], loud=True),)
    assert parser.parse(["--loud", "false", "sounds"]) == (Flags(names=["sounds"]),)


def test_switches_stand_in_a_file_too(tmp_path) -> None:
    parser = FlagParser(unnamed="paths", prog="tool.py")
    parser.add_argument("--paths", nargs="*")
    parser.add_argument("--windows", action="store_true")
    parser.add_argument("--timeline", action="store_true")
    (tmp_path / "x.yaml").write_text("windows: true\ntimeline: false\n")
    flags = parser.parse_args(parser.flags([str(tmp_path / "x.yaml"), "a.wav"]))
    assert vars(flags) == {"paths": ["a.wav"], "windows": True, "timeline": False}
    (tmp_path / "x.yaml").write_text("windows: perhaps\n")
    with pytest.raises(SystemExit):
        parser.flags([str(tmp_path / "x.yaml")])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bark.wav", "bark.wav"),
        ("猫 ü 🐱.wav", "猫 ü 🐱.wav"),
        ("a\nb\tc\r.wav", r"a\nb\tc\r.wav"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\u202egpj.wav", r"\u202egpj.wav"),
        (b"\xff.wav".decode(errors="surrogateescape"), r"\xff.wav"),
        ("\ud800\u2028", r"\ud800\u2028"),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_messages_and_errors_are_printable(capsys) -> None:
    show_messages()
    logging.getLogger("hfaudio.x").warning("left out %s\nand more", "a\x1b[2J.wav")
    with pytest.raises(SystemExit), exit_on(KeyError):
        raise KeyError("\x1b[2J")
    assert "\x1b" not in capsys.readouterr().err


SCRIPT = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which what runs in the background ignores
from hfaudio.command_line import exit_on, exit_on_interrupt, run_script

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

class Interrupting:
    def __del__(self):
        interrupt()

def half_way():
    interrupt()
    whole.append(True)

whole = []
if "forking" in sys.argv:
    os.register_at_fork(before=half_way)

def main(argv):
    print("begun", flush=True)
    if "pipe" in argv:
        while True:
            print("a row")
    if "name" in argv:
        print("\\udcff \\u732b", flush=True)
        return 3
    if "fork" in argv:
        os.register_at_fork(after_in_parent=interrupt)
        if os.fork() == 0:
            os._exit(0)
    if "forking" in argv:
        if os.fork() == 0:
            os._exit(0)
        assert whole
    if "del" in argv:
        Interrupting()
    if "child" in argv:
        child = os.fork()
        if child == 0:
            time.sleep(0.5)
            os._exit(0)
        os.kill(child, signal.SIGINT)
        assert os.waitpid(child, 0)[1] == 0
    with exit_on_interrupt("go on like this") if "inner" in argv else exit_on(KeyError):
        if not {"fork", "forking", "del"} & set(argv):
            interrupt()
        time.sleep(60)

run_script(main, "run it again")
"""


def run(*arguments: str, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, check=False, **settings)


@pytest.mark.parametrize(("where", "words"), [("outer", "run it again"), ("inner", "go on like this")])
def test_an_interruption_is_one_line_that_says_how_to_go_on(where: str, words: str) -> None:
    ended = run(where)
    assert ended.returncode == 130
    assert ended.stderr.decode() == f"interrupted: {words}\n"


@pytest.mark.parametrize("where", ["del", "fork", "forking", "child"])
def test_no_interruption_is_lost_and_forked_processes_leave_it_to_the_first(where: str) -> None:
    if where != "del" and not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    ended = run(where)
    assert ended.returncode == 130
    assert ended.stderr == b"interrupted: run it again\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_any_name_can_be_printed_in_any_encoding(encoding: str) -> None:
    ended = run("name", env={**os.environ, "PYTHONIOENCODING": encoding, "LANG": "C"})
    assert ended.returncode == 3
    assert ended.stderr == b""
    assert rb"\udcff" in ended.stdout


def test_a_full_disk_behind_the_output_is_a_sentence() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT, "name"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error: Expected room on the disk, found none")
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[1] / "scripts").glob("*.py")), ids=lambda path: path.name
)
def test_every_script_can_be_interrupted_from_its_first_import_on(path: Path) -> None:
    lines = path.read_text().splitlines()
    first = next(line for line in lines if line.startswith("from hfaudio"))
    assert first.startswith("from hfaudio.command_line import ")
    assert lines[lines.index(first) + 2] == "# isort: split"
    assert lines[-1].startswith("    run_script(main")
    code = (
        "import os, runpy, signal, sys, types\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Torch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'numpy', 'datasets', 'transformers'):\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Torch())\n"
        f"sys.modules['__main__'].__file__ = {str(path)!r}\n"
        f"exec(compile(open({str(path)!r}).read(), {str(path)!r}, 'exec'))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=path.parents[1])
    assert ended.returncode == 130
    assert ended.stderr == b"interrupted: before it began; run it again\n"
