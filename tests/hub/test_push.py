"""Pushing a model, and the proof, over a Hub on this machine."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from card_example import example_run, example_training
from huggingface_hub import constants

from hfaudio.hub import HubTarget, ProofError, PushError, open_repository, push_model, write_model_card
from hfaudio.hub.proof import Probe
from hfaudio.hub.pushed_files import ABSOLUTE_PATH, files_to_push, size_text
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

NAME = "owner/sounds"


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "sounds"
    torch.manual_seed(0)
    extractor = SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.5)
    model = SpectrogramCNNForAudioClassification(SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1]))
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    command = "accelerate launch scripts/train.py --dataset /home/me/esc10"
    write_model_card(folder, example_run(), example_training(), "sounds", command)
    return folder


@pytest.fixture
def folder(saved_model: Path, tmp_path: Path) -> Path:
    """A model with what a training leaves, and what must not leave the machine."""
    folder = tmp_path / "runs" / "sounds"
    shutil.copytree(saved_model, folder)
    for name in ("training_args.bin", "optimizer.pt", "old.pkl", "weights.pth", "checkpoint-3/model.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\x80\x04")
    for name in (".cache/note.txt", "__pycache__/model.py", "emissions.csv", "eval/predictions.csv", "mine.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("a,b\n")
    (folder / "eval" / "training_curves.png").write_bytes(b"\x89PNG\0")
    (folder / "eval" / "top_losses.html").write_text("<audio>")
    return folder


@pytest.fixture
def unproved(monkeypatch) -> list[tuple[str, str]]:
    """Leaves the proof out; which repositories and revisions were to be proved."""
    asked: list[tuple[str, str]] = []

    def compare(self: Probe, repo_id: str, revision: str, token: str | None = None) -> float:
        asked.append((repo_id, revision))
        return 0.0

    monkeypatch.setattr(Probe, "compare", compare)
    return asked


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_script_pushes_proves_and_says_how_to_use_the_model(hub, run_python, folder, write_tone, tmp_path) -> None:
    before = contents(folder)
    done = run_python("scripts/push_to_hub.py", "--model", folder, "--repo_id", NAME, "--private", "--tag", "v1")
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["models", NAME]
    commit = repository.commit_at()
    assert repository.private
    assert repository.commit_at("v1") == commit
    said, _, code = done.stdout.partition("\n\n")
    assert f"pushed: {NAME} at {commit.sha}, {len(commit.files) - 1} files, " in said
    for name, file in commit.files.items():
        assert name == ".gitattributes" or f"  {name} ({size_text(len(file.content))})\n" in said
    assert "left out: __pycache__/, checkpoint-3/, emissions.csv, eval/top_losses.html, mine.py and 5 more\n" in said
    assert "no recording was pushed; --push_recordings adds the page that plays the highest losses\n" in said
    assert "names of recordings are in eval/predictions.csv\n" in said
    assert "absolute paths shortened in: README.md" in said
    assert "scores a sound as the local model does (difference " in said
    assert hub.token not in done.stdout + done.stderr
    pushed = set(commit.files)
    assert pushed >= {
        "README.md",
        "config.json",
        "model.safetensors",
        "eval/training_curves.png",
        "eval/predictions.csv",
    }
    assert not {name for name in pushed if name.endswith((".bin", ".pt", ".pth", ".pkl"))}
    assert all("/home/me" not in file.content.decode(errors="replace") for file in commit.files.values())
    assert b"--dataset esc10\n" in commit.files["README.md"].content
    assert contents(folder) == before
    # What it prints works as it stands, for somebody without hfaudio.
    write_tone("recording.wav", rate=8_000, channels=2)
    blocked = "import sys; sys.modules['hfaudio'] = None\n"
    answer = run_python(blocked + code)
    assert answer.returncode == 0, answer.stderr
    assert "'label': 'LABEL_0'" in answer.stdout
    assert len(code.strip().splitlines()) == 5


def test_a_branch_and_pull_requests_leave_main_alone(hub_here, folder, unproved) -> None:
    branch = push_model(folder, HubTarget(NAME, revision="try/out"))
    proposed = push_model(folder, HubTarget(NAME, create_pr=True))
    # Into the pull request that is open.
    (folder / "left_out.csv").write_text("new")
    added = push_model(folder, HubTarget(NAME, revision="refs/pr/1"))
    repository = hub_here.repositories["models", NAME]
    assert set(repository.files()) == {".gitattributes"}
    assert repository.commit_at("try/out").sha == branch.revision
    assert repository.commit_at("refs/pr/1").sha == added.revision
    assert proposed.url == f"{hub_here.endpoint}/{NAME}/discussions/1"
    assert unproved == [(NAME, one.revision) for one in (branch, proposed, added)]


def test_a_repository_that_is_there_is_fine_and_stays_as_it_is_without_a_change(hub_here, folder, unproved) -> None:
    first = push_model(folder, HubTarget("sounds"))
    again = push_model(folder, HubTarget(NAME))
    assert first.repo_id == NAME
    assert first.revision == again.revision
    assert hub_here.count("POST", "/commit/") == 1


def test_a_connection_that_breaks_off_leaves_both_sides_whole(hub_here, folder, unproved) -> None:
    before = contents(folder)
    hub_here.fail("POST", "/commit/")
    with pytest.raises(PushError) as error:
        push_model(folder, HubTarget(NAME, revision="next"))
    command = f"python scripts/push_to_hub.py --model {folder} --repo_id {NAME} --revision next"
    assert f"; {folder} is as it was: run `{command}` again." in str(error.value)
    repository = hub_here.repositories["models", NAME]
    assert set(repository.files("next")) == {".gitattributes"}
    assert contents(folder) == before
    assert not unproved
    pushed = push_model(folder, HubTarget(NAME, revision="next"))
    assert repository.commit_at("next").sha == pushed.revision


def test_a_hub_that_is_busy_is_asked_again(hub_here, folder, unproved, monkeypatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub_here.fail("PUT", "^/lfs/", status=503, times=2)
    push_model(folder, HubTarget(NAME))
    hub_here.fail("POST", "/commit/", status=503)
    (folder / "left_out.csv").write_text("new")
    with pytest.raises(PushError, match=r"found: This is a test \(503\); check --repo_id, and try again later; "):
        push_model(folder, HubTarget(NAME))


@pytest.mark.parametrize(
    ("token", "name", "sentence"),
    [
        ("", NAME, "Expected an access token, found none; log in with `hf auth login`, or set HF_TOKEN."),
        ("hf_nobody", NAME, "(401); log in anew with `hf auth login`, or set"),
        ("reader", NAME, f"Expected an access token that may write to {NAME}, found one that may only read; make"),
        ("owner", "other/sounds", "found: You don't have the rights to write in this namespace with this token (403)"),
        ("owner", "a/b/c", "check --repo_id"),
    ],
)
def test_who_may_not_push_is_told_why(hub_here, folder, monkeypatch, token, name, sentence) -> None:
    known = {"reader": hub_here.reading_token, "owner": hub_here.token}
    monkeypatch.setenv("HF_TOKEN", known.get(token, token))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "nothing"))
    with pytest.raises(PushError) as error:
        push_model(folder, HubTarget(name))
    assert sentence in str(error.value)
    assert "hf_" not in str(error.value)
    assert len(hub_here.repositories) == 0


def test_what_is_asked_of_a_repository_must_hold(hub_here, folder, unproved) -> None:
    push_model(folder, HubTarget(NAME, tag="v1"))
    with pytest.raises(PushError, match=f"Expected {NAME} to be private, found it public"):
        open_repository(HubTarget(NAME, private=True))
    with pytest.raises(PushError, match=f"Expected a new --tag, found v1 in {NAME} already"):
        open_repository(HubTarget(NAME, tag="v1"))
    with pytest.raises(PushError, match="Expected --create_pr or --tag, found both"):
        HubTarget(NAME, create_pr=True, tag="v1")


def test_a_model_that_scores_otherwise_there_gets_no_tag(hub_here, folder, monkeypatch) -> None:
    weigh = Probe.of
    monkeypatch.setattr(Probe, "of", lambda folder: weigh(folder, seed=1))
    probe = Probe.of(folder)
    other = Probe(probe.waveform, probe.sampling_rate, probe.logits + np.float32(1e-3))
    monkeypatch.setattr(Probe, "of", lambda folder: other)
    with pytest.raises(ProofError) as error:
        push_model(folder, HubTarget(NAME, tag="v1"))
    repository = hub_here.repositories["models", NAME]
    sha = repository.commit_at().sha
    assert f"Expected {NAME} at revision {sha} to score as the local model does, within 1e-05" in str(error.value)
    assert "found a difference of 0.001; do not use this revision." in str(error.value)
    assert not repository.tags


def test_a_failed_proof_ends_the_script_with_1_and_one_sentence(hub, run_python, folder) -> None:
    # The card is there, so that the push goes through; the code has lost what it needs.
    code = folder / "modeling_spectrogram_cnn.py"
    code.write_text(code.read_text() + "\nraise RuntimeError('not here')\n")
    done = run_python("scripts/push_to_hub.py", "--model", folder, "--repo_id", NAME, "--tag", "v1")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    sha = hub.repositories["models", NAME].commit_at().sha
    assert errors == [
        f"error: Expected {NAME} at revision {sha} to load without hfaudio, found: RuntimeError: not here; do not use "
        "this revision."
    ]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "README.md",
            f"key: hf_{'a1' * 17}\n",
            "found one in line 1 of README.md; remove it from the file,",
        ),
        ("split.csv", "my own-token\n", "found one in line 1 of split.csv"),
        (
            "README.md",
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            "Expected no private key in what is pushed, found one in",
        ),
        ("modeling_spectrogram_cnn.py", f"# hf_{'B' * 34}", "found one in line 1 of modeling_spectrogram_cnn.py"),
        ("split.csv", None, "Expected UTF-8 text in split.csv, found other bytes"),
        ("model.onnx", 'x File "/home/me/model.py", line 3', "found paths of its files in model.onnx; write it anew"),
        ("config.json", "{", "Expected JSON in "),
        ("config.json", "{}", "found no AutoConfig in the auto_map of its configuration"),
    ],
)
def test_what_must_not_be_pushed_is_refused(folder, monkeypatch, name, text, sentence) -> None:
    monkeypatch.setenv("HF_TOKEN", "own-token")
    (folder / name).write_bytes(b"\xff\xfe\xff" if text is None else text.encode())
    with pytest.raises(PushError) as error:
        files_to_push(folder)
    assert sentence in str(error.value)


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"])
def test_half_a_model_is_refused(folder, name) -> None:
    (folder / name).unlink()
    with pytest.raises(PushError, match=f"Expected a complete model in .*, found no {name}; push the folder"):
        files_to_push(folder)


def test_code_that_is_missing_or_elsewhere_is_refused(folder) -> None:
    (folder / "windows_spectrogram_cnn.py").unlink()
    with pytest.raises(PushError, match=r"found no windows_spectrogram_cnn\.py; save the model anew"):
        files_to_push(folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"]["AutoConfig"] = "other/repo--configuration.Config"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(PushError, match="found the name of another repository's, other/repo--configuration"):
        files_to_push(folder)


def test_no_folder_at_all(tmp_path) -> None:
    with pytest.raises(PushError, match="Expected the folder of a model at .*, found none; check --model"):
        files_to_push(tmp_path / "nowhere")


def test_a_model_that_does_not_load_is_not_pushed(hub_here, folder) -> None:
    (folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(PushError, match="Expected a model that loads in"):
        push_model(folder, HubTarget(NAME))
    assert not hub_here.requests


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("--dataset /home/me/esc10/ --n", ["/home/me/esc10"]),
        ("'/home/me/esc10'", ["/home/me/esc10"]),
        ('"C:\\\\Users\\\\me\\\\esc10"', ["C:\\\\Users\\\\me\\\\esc10"]),
        ("https://huggingface.co/docs/hub and and/or/not and ./a/b and ~/a/b and </table>", []),
        ("data:audio/wav;base64,AAA/BBB/CC+/DD/EE==", []),
        ("-v $PWD/runs/a:/model", []),
    ],
)
def test_absolute_paths_are_told_from_other_slashes(text, found) -> None:
    assert ABSOLUTE_PATH.findall(text) == found


def test_the_environment_is_left_alone(hub_here) -> None:
    before = dict(os.environ)
    with pytest.raises(ProofError, match="Expected owner/nothing at revision 1234 to load without hfaudio, found: "):
        Probe(np.zeros(8, np.float32), 16_000, np.zeros(2)).compare("owner/nothing", "1234")
    assert dict(os.environ) == before
