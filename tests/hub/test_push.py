"""Pushing a model, and the proof, over a Hub on this machine."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from card_example import example_run, example_training
from huggingface_hub import CommitOperationAdd, HfApi, constants
from safetensors.torch import load_file, save_file

from hfaudio.hub import HubTarget, ProofError, PushError, open_repository, push_model, write_model_card
from hfaudio.hub.markdown import python_text, shell_text
from hfaudio.hub.name_list import name_list
from hfaudio.hub.proof import Probe
from hfaudio.hub.pushed_card import pushed_card
from hfaudio.hub.pushed_files import ABSOLUTE_PATH, INDEX, KNOWN, files_to_push, size_text
from hfaudio.inference.onnx_export import export_onnx
from hfaudio.inference.torch_backend import TorchBackend
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training.output_folder import LEFT_BY_RUNS

ROOT = Path(__file__).parents[2]
NAME = "owner/sounds"


def test_what_goes_when_another_model_comes_is_what_a_push_knows() -> None:
    left = {name for name in LEFT_BY_RUNS if name != "fold.json" and "*" not in name}
    assert left == KNOWN - {"find_lr.png", INDEX}  # of a search, and of weights larger than a run writes
    assert "*_spectrogram_cnn.py" in LEFT_BY_RUNS


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "sounds"
    torch.manual_seed(0)
    extractor = SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.5)
    model = SpectrogramCNNForAudioClassification(
        SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], id2label={0: "bark", 1: "rain"})
    )
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
    assert "left out: __pycache__/, checkpoint-3/, emissions.csv, eval/top_losses.html, mine.py, and 5 more\n" in said
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
    assert "'label': 'bark'" in answer.stdout
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
        ("README.md", None, "Expected UTF-8 text in README.md, found other bytes"),
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


LINKED = [
    ("passwd.txt", "/etc/passwd"),
    ("split.csv", "/etc/passwd"),
    ("left_out.csv", "secrets.txt"),
    ("eval/per_class.csv", "../secrets.txt"),
    ("find_lr.png", "find_lr.png"),  # round in a circle
    ("eval/most_confused.csv", "nowhere"),
    ("model.onnx", "/proc/self/environ"),
]


def test_links_strangers_and_pipes_stay_here(folder) -> None:
    for name in ("secrets.txt", "credentials.json", "private.wav", "deep/er/README.md", "LICENSE", "eval/mine.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("private")
    for name, target in LINKED:
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "all_results.json")  # that opening it would never end
    files = files_to_push(folder)
    expected = {path.name for path in folder.glob("*_spectrogram_cnn.py")}
    expected |= {"README.md", "config.json", "model.safetensors", "preprocessor_config.json"}
    assert set(files.contents) == expected | {"eval/predictions.csv", "eval/training_curves.png"}
    assert set(files.left_out) >= {
        "LICENSE",
        "all_results.json (no regular file)",
        "credentials.json",
        "deep/",
        "eval/mine.csv",
        "eval/per_class.csv (a link)",
        "model.onnx (a link)",
        "passwd.txt",
        "private.wav",
        "split.csv (a link)",
    }


def test_a_folder_behind_a_link_stays_here(folder, tmp_path) -> None:
    shutil.move(folder / "eval", tmp_path / "elsewhere")
    (folder / "eval").symlink_to(tmp_path / "elsewhere")
    files = files_to_push(folder)
    assert not [name for name in files.contents if name.startswith("eval")]
    assert "eval" in files.left_out


def test_the_folder_itself_may_be_named_by_a_link(folder, tmp_path) -> None:
    (tmp_path / "latest").symlink_to(folder)
    assert set(files_to_push(tmp_path / "latest").contents) == set(files_to_push(folder).contents)


@pytest.mark.parametrize("name", ["README.md", "model.safetensors", "config.json", "modeling_spectrogram_cnn.py"])
def test_what_a_push_needs_must_not_be_a_link(folder, tmp_path, name) -> None:
    shutil.move(folder / name, tmp_path / "elsewhere.py")
    (folder / name).symlink_to(tmp_path / "elsewhere.py")
    with pytest.raises(
        PushError, match=f"Expected the file {name} in .*, found a link; a link is followed to the code"
    ):
        files_to_push(folder)


def test_links_to_the_code_of_the_package_are_followed(folder) -> None:
    for path in folder.glob("*_spectrogram_cnn.py"):
        path.unlink()
        path.symlink_to(ROOT / "hfaudio" / "model" / path.name)
    assert "modeling_spectrogram_cnn.py" in files_to_push(folder).contents
    (folder / "split.csv").symlink_to(ROOT / "hfaudio" / "model" / "modeling_spectrogram_cnn.py")
    assert "split.csv (a link)" in files_to_push(folder).left_out


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../secret.Config", "found '../secret.Config' where a configuration names a class"),
        ("/home/me/secret.Config", "where a configuration names a class"),
        (["secret.Config", None], "where a configuration names a class"),
        ("secret", "where a configuration names a class"),
        ("absent.Config", "Expected the code of absent.Config in .*, found no absent.py; save"),
    ],
)
def test_code_lies_beside_the_configuration(folder, name, sentence) -> None:
    (folder.parent / "secret.py").write_text("")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"]["AutoConfig"] = name
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(PushError, match=sentence):
        files_to_push(folder)


@pytest.mark.parametrize("pipelines", [["pipeline"], "pipeline", {"audio-classification": {}}, {"audio": "../a.B"}])
def test_pipelines_that_name_no_class_are_said(folder, pipelines: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["custom_pipelines"] = pipelines
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(PushError, match="where a configuration names a class"):
        files_to_push(folder)


@pytest.mark.parametrize("imported", ["./../secret", ".secret", "sub.mod"])
def test_code_imports_from_beside_it_alone(folder, imported) -> None:
    (folder.parent / "secret.py").write_text("")
    code = folder / "waveforms_spectrogram_cnn.py"
    code.write_text(f"{code.read_text()}\nfrom .{imported} import x\n")
    with pytest.raises(
        PushError, match="Expected the code of .*, found no .*secret.py; save|found no sub.mod.py; save"
    ):
        files_to_push(folder)


def test_weights_in_parts_go_by_their_index(folder) -> None:
    index, part = "model.safetensors.index.json", "model-00001-of-00001.safetensors"
    (folder / index).write_text(json.dumps({"weight_map": {"a": part}}))
    (folder / part).write_bytes(b"x")
    files = files_to_push(folder)
    assert {index, part} <= set(files.left_out), "transformers reads the one file"
    (folder / "model.safetensors").rename(folder / part)
    (folder / "model-00002-of-00009.safetensors").write_bytes(b"of another model")
    files = files_to_push(folder)
    assert {index, part} <= set(files.contents)
    assert "model-00002-of-00009.safetensors" in files.left_out
    (folder / index).write_text(json.dumps({"weight_map": {"a": "../secret"}}))
    with pytest.raises(PushError, match="Expected the names of the parts of the weights in"):
        files_to_push(folder)


def test_recordings_are_pushed_when_asked_for_alone(hub_here, folder, unproved) -> None:
    repository = lambda: hub_here.repositories["models", NAME].files()  # noqa: E731
    (folder / "eval" / "top_losses.png").write_bytes(b"\x89PNG\0")
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(f"{card}\nOf `eval/predictions.csv`; `eval/top_losses.html` plays the worst.\n")
    told = push_model(folder, HubTarget(NAME), push_recordings=True).describe()
    assert "HELD-OUT RECORDINGS are in eval/top_losses.html and eval/top_losses.png: whoever may read" in told
    assert {"eval/top_losses.html", "eval/top_losses.png"} <= set(repository())
    assert b"`eval/top_losses.html` plays the worst, and holds these recordings.\n" in repository()["README.md"]
    told = push_model(folder, HubTarget(NAME)).describe()
    assert "no recording was pushed" in told
    assert "removed there, of an earlier push: eval/top_losses.html, eval/top_losses.png\n" in told
    assert not {"eval/top_losses.html", "eval/top_losses.png"} & set(repository())
    assert b"the recordings themselves are not in this repository.\n" in repository()["README.md"]
    assert b"top_losses.html" not in repository()["README.md"]


def test_the_card_names_the_repository_that_it_is_pushed_to(hub_here, folder, unproved) -> None:
    push_model(folder, HubTarget(NAME))
    push_model(folder, HubTarget("owner/other", revision="try"))
    for name, revision in ((NAME, "main"), ("owner/other", "try")):
        card = hub_here.repositories["models", name].files(revision)["README.md"].decode()
        assert f'pipeline("audio-classification", model="{name}", trust_remote_code=True)' in card
        assert f'predictor = Predictor.from_pretrained("{name}")' in card
        assert f"\npython scripts/export_onnx.py --model {name}\n" in card
        assert f"\npython scripts/predict.py --model {name} recordings/ --output predictions.csv\n" in card
        assert "stands for the path" not in card
    assert 'model="sounds"' in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", ["a b", "it's", 'a"b\\', "x" * 300])
def test_whatever_a_model_was_called_here(name) -> None:
    lines = [
        f'classify = pipeline("audio-classification", model={python_text(name)}, trust_remote_code=True)',
        f"predictor = Predictor.from_pretrained({python_text(name)})",
        f"python scripts/export_onnx.py --model {shell_text(name)}",
        f"python scripts/predict.py --model {shell_text(name)} recordings/ --output predictions.csv",
        f"Here {name} stands for the path of this folder, or for the `owner/name` of this repository.",
        "python scripts/train.py --model_name_or_path mine",
    ]
    assert pushed_card("\n".join(lines), NAME, recordings=False).splitlines() == [
        'classify = pipeline("audio-classification", model="owner/sounds", trust_remote_code=True)',
        'predictor = Predictor.from_pretrained("owner/sounds")',
        "python scripts/export_onnx.py --model owner/sounds",
        "python scripts/predict.py --model owner/sounds recordings/ --output predictions.csv",
        "python scripts/train.py --model_name_or_path mine",
    ]


OF_OTHERS = {"LICENSE": b"mine", "picture.png": b"\x89PNG", "eval/notes.md": b"mine", "data.csv": b"a"}
OF_AN_EARLIER_PUSH = (
    "model.onnx",
    "model_int8.onnx",
    "model-00001-of-00002.safetensors",
    "model.safetensors.index.json",
    "eval/most_confused.csv",
    "gone_spectrogram_cnn.py",
)


@pytest.mark.parametrize("place", [{}, {"revision": "next"}, {"create_pr": True}])
def test_what_an_earlier_push_left_is_removed_and_what_others_put_there_stays(
    hub_here, folder, unproved, place
) -> None:
    api = HfApi()
    api.create_repo(NAME)
    files = OF_OTHERS | dict.fromkeys(OF_AN_EARLIER_PUSH, b"old")
    api.create_commit(NAME, [CommitOperationAdd(*one) for one in files.items()], commit_message="before")
    repository = hub_here.repositories["models", NAME]
    commits = hub_here.count("POST", "/commit/")
    told = push_model(folder, HubTarget(NAME, **place)).describe()
    assert hub_here.count("POST", "/commit/") == commits + 1
    pushed = repository.files({"revision": "next", "create_pr": "refs/pr/1"}.get(next(iter(place), ""), "main"))
    assert not set(OF_AN_EARLIER_PUSH) & set(pushed)
    assert {name: pushed[name] for name in OF_OTHERS} == OF_OTHERS
    assert ".gitattributes" in pushed
    assert "removed there, of an earlier push: eval/most_confused.csv, gone_spectrogram_cnn.py, model-0" in told
    assert "kept there: .gitattributes, LICENSE, data.csv, eval/notes.md, picture.png\n" in told
    assert place == {} or set(repository.files()) >= set(OF_AN_EARLIER_PUSH)


def test_of_two_pushes_at_once_the_later_one_is_refused(hub_here, folder, unproved, monkeypatch) -> None:
    push_model(folder, HubTarget(NAME))
    look = HfApi.repo_info

    def and_another_pushes(self: HfApi, *arguments, **settings):
        info = look(self, *arguments, **settings)
        if "revision" in settings:
            hub_here.repositories["models", NAME].add_commit("main", "another", {}, None)
        return info

    monkeypatch.setattr(HfApi, "repo_info", and_another_pushes)
    (folder / "left_out.csv").write_text("new")
    with pytest.raises(PushError, match=r"\(412\); something else was pushed there in the same moment; .* again\."):
        push_model(folder, HubTarget(NAME))


@pytest.fixture(scope="session")
def saved_graph(saved_model, tmp_path_factory) -> Path:
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    backend = TorchBackend(saved_model, "cpu")
    export_onnx(backend.model, backend.extractor, path, saved_model)
    return path


def test_a_graph_is_proved_like_the_weights(hub_here, folder, saved_graph) -> None:
    shutil.copy(saved_graph, folder / "model.onnx")
    told = push_model(folder, HubTarget(NAME)).describe()
    assert "by a process without hfaudio, it and model.onnx score a sound as the local model does (difference" in told
    pulled = Probe.of(folder).with_graphs(folder, ["model.onnx"])
    other = replace(pulled, graph_logits={"model.onnx": pulled.graph_logits["model.onnx"] + 1e-3})
    with pytest.raises(ProofError, match="to score as model.onnx does, within 1e-05, found a difference of 0.001; do"):
        other.compare(NAME, "main")


@pytest.mark.parametrize("name", ["model.onnx", "model_int8.onnx"])
def test_a_graph_of_other_weights_is_not_pushed(hub_here, folder, saved_graph, name) -> None:
    shutil.copy(saved_graph, folder / name)
    assert Probe.of(folder).with_graphs(folder, [name]).graph_logits
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] = -weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(PushError, match=f"Expected a graph of the model beside it in .*{name}, found one of other w"):
        push_model(folder, HubTarget(NAME))
    (folder / name).write_bytes(b"broken")
    with pytest.raises(PushError, match=f"Expected an ONNX graph in .*{name}, found none that loads"):
        push_model(folder, HubTarget(NAME))
    assert not hub_here.requests


def test_a_graph_that_scores_otherwise_here_is_not_pushed(folder, saved_graph) -> None:
    shutil.copy(saved_graph, folder / "model.onnx")
    probe = Probe.of(folder)
    other = replace(probe, logits=probe.logits + np.float32(1e-3))
    with pytest.raises(
        PushError, match="model.onnx to score as the weights beside it do, within 0.0001, found a diff"
    ):
        other.with_graphs(folder, ["model.onnx"])


def test_a_long_list_is_cut(folder) -> None:
    for index in range(2_000):
        (folder / f"note{index}.txt").touch()
    files = files_to_push(folder)
    assert len(files.left_out) > 2_000
    lines = files.describe()
    assert len(lines) < 40
    assert (
        lines[-2]
        == "left out: __pycache__/, checkpoint-3/, emissions.csv, eval/top_losses.html, mine.py, and 2,005 more"
    )
    assert name_list(["a\nb", "\x1b[31m", "\udcff"]) == "a\\nb, \\x1b[31m, \\xff"


def test_names_that_are_no_text_are_pushed_as_text(folder) -> None:
    (folder / "eval" / "predictions.csv").write_bytes(b"file_name\ncaf\xe9.wav\n")
    assert (
        files_to_push(folder).contents["eval/predictions.csv"].decode()
        == "file_name\ncaf\N{REPLACEMENT CHARACTER}.wav\n"
    )
    (folder / "eval" / "predictions.csv").write_bytes(b"caf\xe9 hf_" + b"a" * 34)
    with pytest.raises(PushError, match="found one in line 1 of eval/predictions.csv"):
        files_to_push(folder)


def test_an_empty_eval_is_no_fault(folder) -> None:
    shutil.rmtree(folder / "eval")
    (folder / "eval").mkdir()
    assert "eval/predictions.csv" not in files_to_push(folder).contents
