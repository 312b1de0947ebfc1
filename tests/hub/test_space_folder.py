"""The folder of a Space, and its push over a Hub on this machine."""

import json
import os
import re
import tomllib
from pathlib import Path

import pytest
import soundfile
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement
from packaging.version import Version

from hfaudio.data import SYNTHETIC_CLASSES
from hfaudio.hub import PushError, find_examples, write_space
from hfaudio.hub.space_folder import GRADIO, TIMM

ROOT = Path(__file__).parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}  # those that the Hub knows
OWN_CLASSES = ["rain", "siren", "tuba"]


@pytest.fixture
def model_folder(tmp_path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    write_config(folder, backbone=None)
    return folder


def write_config(folder: Path, **settings: object) -> None:
    config = {"id2label": dict(enumerate(OWN_CLASSES)), **settings}
    (folder / "config.json").write_text(json.dumps(config))


def requirements(folder: Path) -> list[Requirement]:
    return [Requirement(line) for line in (folder / "requirements.txt").read_text().splitlines()]


def test_the_folder_has_all_that_the_page_needs(tmp_path, model_folder) -> None:
    folder = write_space(tmp_path / "space", model_folder, "owner/sounds", REVISION)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "README.md",
        "app.py",
        "drawing.py",
        "listening.py",
        "requirements.txt",
        "settings.json",
        "style.css",
        "examples/synthetic_rain.wav",
        "examples/synthetic_siren.wav",
    }
    assert json.loads((folder / "settings.json").read_text()) == {"model": "owner/sounds", "revision": REVISION}
    assert not any(re.search(r"^(from|import) hfaudio", path.read_text(), re.M) for path in folder.glob("*.py"))


def test_the_card_has_the_metadata_that_spaces_need(tmp_path, model_folder) -> None:
    folder = write_space(tmp_path / "space", model_folder, "owner/sounds", REVISION)
    card = SpaceCard.load(folder / "README.md")
    data = card.data.to_dict()
    assert data["sdk"] == "gradio"
    assert data["models"] == ["owner/sounds"]
    assert (folder / data["app_file"]).is_file()
    assert len(data["short_description"]) <= 60
    assert {data["colorFrom"], data["colorTo"]} <= COLORS
    ranges = {requirement.name: requirement.specifier for requirement in requirements(folder)}
    assert Version(data["sdk_version"]) in ranges["gradio"]
    assert isinstance(data["python_version"], str)
    assert REVISION in card.text


def test_requirements_are_those_of_the_project(tmp_path, model_folder) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    known = {*map(str, map(Requirement, project["dependencies"] + extras["space"] + extras["timm"]))}
    write_config(model_folder, backbone="tf_efficientnet_lite0")
    folder = write_space(tmp_path / "space", model_folder, "owner/sounds", REVISION)
    found = requirements(folder)
    assert {str(requirement) for requirement in found} <= known
    assert {"timm", "torchvision"} <= {requirement.name for requirement in found}
    assert Version(GRADIO) in next(one.specifier for one in found if one.name == "gradio")
    assert len(TIMM) == 2


def test_a_model_of_other_sounds_has_examples_too(tmp_path, model_folder) -> None:
    (model_folder / "config.json").write_text(json.dumps({"id2label": {"0": "tuba"}}))
    folder = write_space(tmp_path / "space", model_folder, "owner/sounds", REVISION)
    names = {path.stem.removeprefix("synthetic_") for path in (folder / "examples").iterdir()}
    assert names
    assert names <= set(SYNTHETIC_CLASSES)
    for path in (folder / "examples").iterdir():
        assert soundfile.info(path).duration >= 0.5


def test_given_examples_take_the_place_of_built_in_ones(tmp_path, model_folder, write_tone) -> None:
    write_tone("clips/tuba.wav")
    (tmp_path / "clips" / "notes.txt").write_text("of the tuba")
    examples = find_examples(tmp_path / "clips")
    folder = write_space(tmp_path / "space", model_folder, "owner/sounds", REVISION, examples)
    assert [path.name for path in (folder / "examples").iterdir()] == ["tuba.wav"]


def test_unfit_examples_are_refused_in_a_sentence(tmp_path, monkeypatch, write_tone) -> None:
    with pytest.raises(PushError, match="Expected 1 to 8 WAV, FLAC, Ogg or MP3 files in .*nowhere, found 0; choose"):
        find_examples(tmp_path / "nowhere")
    monkeypatch.setattr("hfaudio.hub.space_folder.LARGEST_EXAMPLE", 1_000)
    write_tone("clips/long.wav")
    with pytest.raises(PushError, match=r"found 0\.0 MB in .*long\.wav; cut it"):
        find_examples(tmp_path / "clips")


def test_nothing_is_written_over(tmp_path, model_folder) -> None:
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "app.py").write_text("mine")
    with pytest.raises(PushError, match="Expected an empty folder for the Space at .*, found files"):
        write_space(tmp_path / "space", model_folder, "owner/sounds", REVISION)
    assert (tmp_path / "space" / "app.py").read_text() == "mine"


@pytest.mark.parametrize("kind", ["link", "pipe", "text"])
def test_an_example_is_a_recording_and_lies_there_itself(tmp_path, write_tone, kind) -> None:
    path = write_tone("clips/tone.wav").with_name("other.wav")
    if kind == "link":
        path.symlink_to(write_tone("private.wav"))
    elif kind == "pipe":
        os.mkfifo(path)  # that opening it would never end
    else:
        path.write_text("root:x:0:0")
    with pytest.raises(PushError, match="other.wav, (which is a link or no regular file; put|found none that can be)"):
        find_examples(tmp_path / "clips")
