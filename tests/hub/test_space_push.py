"""Pushing a page beside its model, over a Hub on this machine."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from card_example import example_run, example_training

from hfaudio.hub import write_model_card
from hfaudio.hub.proof import Probe

SCRIPT = Path(__file__).parents[2] / "scripts" / "push_to_hub.py"


@pytest.fixture
def push(tiny_model, extractor, tmp_path, monkeypatch, hub_here) -> Callable[..., None]:
    """Runs the script on a model, but for the proof."""
    folder = tmp_path / "sounds"
    tiny_model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    write_model_card(folder, example_run(), example_training(), "sounds", "train")
    monkeypatch.setattr(Probe, "compare", lambda *_: 0.0)
    spec = importlib.util.spec_from_file_location("push_to_hub", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *flags: module.main(["--model", str(folder), "--repo_id", "owner/sounds", *map(str, flags)])


def test_the_page_stands_beside_the_model_and_uses_what_was_pushed(hub_here, push, capsys) -> None:
    push("--space")
    model = hub_here.repositories["models", "owner/sounds"].commit_at()
    files = hub_here.repositories["spaces", "owner/sounds-space"].commit_at().files
    assert set(files) >= {"README.md", "app.py", "requirements.txt", "settings.json", "examples/synthetic_rain.wav"}
    assert json.loads(files["settings.json"].content) == {"model": "owner/sounds", "revision": model.sha}
    assert f"page: {hub_here.endpoint}/spaces/owner/sounds-space\n" in capsys.readouterr().out


def test_without_the_flag_there_is_no_page(hub_here, push) -> None:
    push()
    assert hub_here.requests
    assert not [path for _, path in hub_here.requests if "space" in path]


def test_a_later_page_has_its_own_examples_alone(hub_here, push, write_tone, capsys) -> None:
    push("--space", "owner/try", "--private")
    assert "the model is private: give the Space a secret HF_TOKEN that may read it" in capsys.readouterr().out
    assert hub_here.repositories["spaces", "owner/try"].private
    write_tone("clips/tone.wav")
    push("--space", "owner/try", "--space_examples", write_tone("clips/tone.wav").parent)
    files = hub_here.repositories["spaces", "owner/try"].commit_at().files
    assert [name for name in files if name.startswith("examples/")] == ["examples/tone.wav"]
    assert "; it plays the recordings tone.wav; the model is private" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--space_examples", "clips"), "Expected --space beside --space_examples, found none."),
        (
            ("--space", "--space_examples", "nowhere"),
            "Expected 1 to 8 WAV, FLAC, Ogg or MP3 files in nowhere, found 0",
        ),
    ],
)
def test_a_mistake_is_told_before_anything_is_pushed(hub_here, push, capsys, flags, sentence) -> None:
    with pytest.raises(SystemExit) as ending:
        push(*flags)
    assert ending.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not hub_here.requests


def test_a_page_that_the_hub_refuses_is_told_in_a_sentence(hub_here, push, capsys) -> None:
    with pytest.raises(SystemExit) as ending:
        push("--space", "somebody/try")
    assert ending.value.code == 2
    captured = capsys.readouterr()
    assert "pushed: owner/sounds at" in captured.out
    assert "Expected the Hub to take somebody/try, found: " in captured.err
    assert "the model is on the Hub: run the same command again, or take another --space" in captured.err
