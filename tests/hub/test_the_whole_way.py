"""The README's lines from a folder of sounds to a model that anyone tries, against the Hub of this test."""

import re
import shlex
from pathlib import Path

import pytest

from hfaudio.inference import Predictor

README = Path(__file__).parents[2] / "README.md"
TINY = ("--hidden_sizes", "4", "8", "--depths", "1", "1", "--n_mels", "16", "--crop_seconds", "0.5")
QUICK = ("--max_steps", "2", "--use_cpu", "--cpu_threads", "1", "--preparation_processes", "1")


def readme_commands() -> list[list[str]]:
    section = README.read_text(encoding="utf-8").partition("### Onto the Hub")[2]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [shlex.split(line) for line in block[1].splitlines()]


@pytest.fixture
def others(write_tone, tmp_path) -> Path:
    for index in range(4):
        for label, frequency in (("high", 3000), ("middle", 800)):
            write_tone(f"others/{label}/{index}.wav", frequency=frequency + 10 * index)
    return tmp_path / "others"


def test_the_lines_of_the_readme(hub_here, main_of, two_classes, others, capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"sounds": str(two_classes), "recordings/": str(others)}
    printed = {}
    for number, (program, script, *flags) in enumerate(readme_commands()):
        assert program == "python"
        name = Path(script).stem
        flags = [places.get(flag, re.sub(r"^me/", "owner/", flag)) for flag in flags]
        if name == "train":
            flags += [*QUICK, *(() if "--model_name_or_path" in flags else TINY)]
        code = main_of(name)(flags)
        assert code in (None, 0)
        printed[number] = capsys.readouterr().out
    assert [name for name in printed if "pushed: owner/" in printed[name]] == [0, 1, 2, 3]
    assert [name for name in printed if "without hfaudio" in printed[name]] == [1, 2, 3]

    assert hub_here.repositories["datasets", "owner/sounds"].files("main")["README.md"]
    assert hub_here.repositories["spaces", "owner/model-space"].files("main")["app.py"]
    model = hub_here.repositories["models", "owner/model"]
    first = list(model.commit_at().history())[-2]
    assert model.commit_at("v2").sha == model.commit_at("main").sha
    for revision, names in ((first.sha, ("high", "low")), ("v2", ("high", "middle"))):
        assert Predictor.from_pretrained(f"owner/model@{revision}").settings.class_names == names
    rows = printed[4].splitlines()[1:]
    assert len(rows) == 8
    assert {row.split("\t")[3] for row in rows} <= {"high", "middle"}
