"""scripts/inspect_dataset.py, in this process or, as its users run it, in another."""

import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.training import AudioTrainingArguments, DataArguments, FeatureArguments, ModelArguments

SCRIPT = Path(__file__).parents[2] / "scripts" / "inspect_dataset.py"

Inspect = Callable[..., None]


@pytest.fixture(scope="module")
def inspect() -> Inspect:
    spec = importlib.util.spec_from_file_location("inspect_dataset", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(*arguments: object) -> None:
        script.main([*map(str, arguments), "--preparation_processes", "1"])

    return run


def fails(inspect: Inspect, capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit) as ending:
        inspect(*arguments)
    assert ending.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_writes_a_page_and_its_facts_and_says_where(inspect, capsys, synthetic_folder, tmp_path) -> None:
    output = tmp_path / "reports" / "sounds.html"
    inspect(synthetic_folder, "--fold_column", "fold", "--output", output)
    assert capsys.readouterr().out == (
        f"report: {output} and sounds.json; 50 recordings found, 50 kept, 0 left out, 1 suspicious\n"
    )
    assert sorted(path.name for path in output.parent.iterdir()) == ["sounds.html", "sounds.json"]
    assert output.read_text(encoding="utf-8").rstrip().endswith("</html>")
    facts = json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))
    assert (facts["name"], facts["kept"]) == ("synthetic", 50)


def test_train_takes_the_suggested_command(inspect, synthetic_folder, tmp_path) -> None:
    folder = tmp_path / "leaking sounds"
    shutil.copytree(synthetic_folder, folder)
    header, *rows = (folder / "metadata.csv").read_text().splitlines()
    rows = [f"{row},{index % 7}" for index, row in enumerate(rows)]  # each of seven in all five folds
    (folder / "metadata.csv").write_text("\n".join([f"{header},who", *rows]))
    inspect(
        folder,
        "--fold_column",
        "fold",
        "--group_column",
        "who",
        "--allow_large_archives",
        "--output",
        tmp_path / "report.html",
    )
    command = shlex.split(json.loads((tmp_path / "report.json").read_text())["command"])
    assert command[:3] == ["accelerate", "launch", "scripts/train.py"]
    parser = CommandLineParser((DataArguments, FeatureArguments, ModelArguments, AudioTrainingArguments))
    data, features, _, _ = parser.parse([*command[3:], "--use_cpu"])
    assert (data.dataset, data.allow_large_archives) == ([str(folder)], True)
    assert (data.fold_column, data.group_column, data.num_folds, data.eval_folds) == (None, "who", 5, ["1"])
    assert features.crop_seconds > 0


def test_several_sources_and_a_file_of_flags(inspect, two_classes, write_tone, tmp_path) -> None:
    write_tone("more/high/x.wav", frequency=3000)
    flags = tmp_path / "flags.yaml"
    flags.write_text(f"output: {tmp_path / 'both.html'}\ngroup_pattern: (.)\\.wav\n")
    inspect(flags, two_classes, tmp_path / "more")
    facts = json.loads((tmp_path / "both.json").read_text())
    assert (facts["name"], facts["kept"], facts["overlaps"]["groups"]) == ("two and more", 9, 5)


def test_a_failed_run_leaves_the_last_report(inspect, capsys, write_tone, tmp_path) -> None:
    write_tone("s/only/a.wav")
    output = tmp_path / "report.html"
    output.write_text("the last one")
    error = fails(inspect, capsys, tmp_path / "s", "--output", output)
    assert "of at least two classes, found only only; add another class, or give the folder" in error
    assert output.read_text() == "the last one"
    assert not output.with_suffix(".json").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere",), "found nothing; check --dataset."),
        (("a", "--dataset", "b"), "a and --dataset both name the dataset: give one of them; see --help."),
        (("a", "--output", "report.json"), "--output must end in .html, found 'report.json'."),
        (("a", "--lr", "1"), "unknown flag --lr; see --help."),
        (("--label_column", "kind"), "--label_column needs a --dataset, found none."),
    ],
)
def test_mistakes_are_one_sentence(inspect, capsys, arguments, sentence: str) -> None:
    assert sentence in fails(inspect, capsys, *arguments)


def test_a_class_of_bad_recordings(inspect, capsys, two_classes) -> None:
    for path in (two_classes / "low").iterdir():
        path.write_text("words")
    assert "found none of low: low/0.wav not readable as audio" in fails(inspect, capsys, two_classes)


def test_an_output_that_cannot_be_written(inspect, capsys, two_classes, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    assert "File exists" in fails(inspect, capsys, two_classes, "--output", tmp_path / "file" / "report.html")


def test_the_script_stands_alone(two_classes, tmp_path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path
        )

    done = run("--dataset", two_classes)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("report: report.html and report.json; 8 recordings found, 8 kept")
    failed = run("nowhere")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "Traceback" not in failed.stderr
