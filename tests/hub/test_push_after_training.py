"""Training, pushing, fine-tuning what was pushed, and pushing again."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from hub_repositories import Commit
from hub_server import LocalHub
from huggingface_hub import HfApi, constants

from hfaudio.data import load_audio_dataset
from hfaudio.hub.proof import Probe
from hfaudio.inference import ModelError, Predictor

ROOT = Path(__file__).parents[2]
ESC10 = ROOT.parent / "shared" / "data" / "esc10"
TINY = ("--hidden_sizes", "4", "8", "--depths", "1", "1", "--n_mels", "16", "--crop_seconds", "0.5")
QUICK = ("--max_steps", "2", "--use_cpu", "--cpu_threads", "1", "--preparation_processes", "1")


@pytest.fixture(scope="module")
def train(main_of) -> Callable[..., None]:
    main = main_of("train")
    return lambda *flags: main([*map(str, flags), *QUICK])


def fails(main: Callable[..., None], capsys: pytest.CaptureFixture[str], *flags: object) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ending:
        main(*flags)
    assert ending.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--hub_strategy", "every_save"), "--hub_strategy every_save needs --push_to_hub, found none."),
        (
            ("--push_to_hub", "--hub_strategy", "checkpoint", "--save_strategy", "no"),
            "--hub_strategy checkpoint needs checkpoints, found --save_strategy no.",
        ),
        (("--push_to_hub", "--hub_always_push"), "--hub_always_push must be False, found True: an unfinished model"),
        (("--push_to_hub", "--find_lr"), "--push_to_hub needs a training, found --find_lr, which trains nothing."),
        (("--hub_model_id", "owner/x"), "--hub_model_id needs --push_to_hub, found none."),
        (("--push_recordings",), "--push_recordings needs --push_to_hub, found none."),
    ],
)
def test_flags_that_could_only_be_ignored(train, capsys, flags, sentence) -> None:
    assert sentence in fails(train, capsys, *flags)


def test_a_cross_validation_pushes_nothing(main_of, capsys, two_classes) -> None:
    error = fails(main_of("cross_validate"), capsys, ["--dataset", str(two_classes), "--push_to_hub", *QUICK])
    assert "Expected no --push_to_hub in a cross-validation, found --push_to_hub; leave it out: the folds" in error


def test_a_refused_token_ends_the_run_before_the_training(hub_here, train, capsys, two_classes, tmp_path) -> None:
    flags = ("--dataset", two_classes, "--push_to_hub", "--hub_token", hub_here.reading_token)
    error = fails(train, capsys, *flags, "--output_dir", tmp_path / "run")
    assert "Expected an access token that may write to run, found one that may only read" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("strategy", ["every_save", "checkpoint", "all_checkpoints"])
def test_an_unfinished_model_is_pushed_without_what_resuming_needs(
    hub_here, train, two_classes, monkeypatch, tmp_path, strategy
) -> None:
    monkeypatch.setattr(Probe, "compare", lambda *arguments: 0.0)  # what `end` does too is proved elsewhere
    flags = (*TINY, "--dataset", two_classes, "--save_steps", "1", "--output_dir", tmp_path / "tones")
    train(*flags, "--push_to_hub", "--hub_strategy", strategy)
    finished, unfinished, _ = repository_history(hub_here)
    assert (finished.title, unfinished.title) == ("Push a model", "Step 1 of 2")
    assert b"Step 1 of 2 of a training that had not ended" in unfinished.files["README.md"].content
    assert b"Step 1 of 2" not in finished.files["README.md"].content
    assert unfinished.files["model.safetensors"].sha256 != finished.files["model.safetensors"].sha256
    assert {path.rpartition(".")[2] for path in unfinished.files} <= {
        "json",
        "md",
        "py",
        "safetensors",
        "gitattributes",
    }
    assert Predictor.from_pretrained(f"owner/tones@{unfinished.sha}").settings.class_names == ("high", "low")


@pytest.mark.parametrize("flags", [(), ("--push_recordings",)])
def test_all_that_a_training_writes_is_pushed_but_recordings_when_asked_for_alone(
    hub_here, train, capsys, two_classes, monkeypatch, tmp_path, flags
) -> None:
    monkeypatch.setattr(Probe, "compare", lambda *arguments: 0.0)
    output = tmp_path / "tones"
    train(*TINY, "--dataset", two_classes, "--output_dir", output, "--push_to_hub", *flags)
    written = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    recordings = {"eval/top_losses.html", "eval/top_losses.png"}
    assert recordings <= written
    pushed = hub_here.repositories["models", "owner/tones"].files()
    assert set(pushed) - {".gitattributes"} == (written if flags else written - recordings)
    assert (b"<audio" in b"".join(pushed.values())) == bool(flags)
    card = pushed["README.md"].decode()
    assert ("plays the worst, and holds these recordings." in card) == bool(flags)
    assert ("the recordings themselves are not in this repository." in card) != bool(flags)
    assert ("HELD-OUT RECORDINGS are in" in capsys.readouterr().out) == bool(flags)


def test_a_training_outlives_a_push_that_fails(hub_here, train, two_classes, monkeypatch, caplog, tmp_path) -> None:
    monkeypatch.setattr(Probe, "compare", lambda *arguments: 0.0)
    hub_here.fail("POST", "/commit/")
    flags = (*TINY, "--dataset", two_classes, "--save_steps", "1", "--output_dir", tmp_path / "tones")
    train(*flags, "--push_to_hub", "--hub_strategy", "every_save")
    assert (
        "Step 1 of 2 was not pushed, the training goes on: Expected the Hub to take owner/tones, found" in caplog.text
    )
    assert [commit.title for commit in repository_history(hub_here)][:-1] == ["Push a model"]


def repository_history(hub: LocalHub) -> list[Commit]:
    return list(hub.repositories["models", "owner/tones"].commit_at().history())


def test_a_pushed_model_is_fine_tuned_and_pushed_again(
    hub_here, train, capsys, write_tone, two_classes, tmp_path
) -> None:
    train(*TINY, "--dataset", two_classes, "--push_to_hub", "--output_dir", tmp_path / "run" / "tones")
    repository = hub_here.repositories["models", "owner/tones"]
    first = repository.commit_at().sha
    assert f"pushed: owner/tones at {first}" in capsys.readouterr().out
    assert len(list(repository.commit_at().history())) == 2
    for index in range(4):
        for kind, frequency in (("high", 3000), ("middle", 800)):
            write_tone(f"other/{kind}/{index}.wav", frequency=frequency + 10 * index)
    # As the Hub names it, from its own cache and with other classes.
    train(
        "--model_name_or_path", f"owner/tones@{first}", "--dataset", tmp_path / "other", "--push_to_hub",
        "--hub_model_id", "owner/tones", "--hub_token", hub_here.token, "--output_dir", tmp_path / "tuned",
    )  # fmt: skip
    second = repository.commit_at().sha
    assert f"pushed: owner/tones at {second}" in capsys.readouterr().out
    assert not {path for path in repository.files() if path.endswith((".bin", ".pt", ".pth", ".pkl"))}
    assert b"--" not in repository.files()["config.json"]
    card = repository.files()["README.md"].decode()
    assert "--hub_model_id owner/tones --output_dir" in card
    assert hub_here.token not in card
    recording = tmp_path / "other" / "high" / "0.wav"
    for revision, names in ((first, ("high", "low")), (second, ("high", "middle")), ("main", ("high", "middle"))):
        predictor = Predictor.from_pretrained(f"owner/tones@{revision}")
        assert predictor.settings.class_names == names
        assert predictor.predict(recording).label in names
    with pytest.raises(ModelError, match=r"at owner/tones@v9, found no .* \(Invalid rev id: v9\); check --model, the"):
        Predictor.from_pretrained("owner/tones@v9")
    flags = ("--dataset", two_classes, "--output_dir", tmp_path / "new", "--model_name_or_path")
    error = fails(train, capsys, *flags, "owner/nothing@v1")
    assert "Expected one of hfaudio's checkpoints at owner/nothing@v1 (a folder, or owner/name[@revision]" in error


def test_the_scripts_pull_a_private_model_for_those_who_may(
    hub_here, main_of, train, capsys, monkeypatch, two_classes, tmp_path
) -> None:
    train(*TINY, "--dataset", two_classes, "--output_dir", tmp_path / "tones")
    api = HfApi()
    api.create_repo("owner/tones", private=True)
    sha = api.upload_folder(repo_id="owner/tones", folder_path=tmp_path / "tones").oid
    predict, export = main_of("predict"), main_of("export_onnx")
    recording = str(two_classes / "high" / "0.wav")
    capsys.readouterr()
    export(["--model", f"owner/tones@{sha}", "--output", str(tmp_path / "tones" / "model.onnx")])
    assert b'File "/' not in (tmp_path / "tones" / "model.onnx").read_bytes()
    scores = []
    for model in (f"owner/tones@{sha}", "owner/tones@main", str(tmp_path / "tones")):
        capsys.readouterr()
        assert predict(["--model", model, "--paths", recording]) == 0
        scores.append(float(capsys.readouterr().out.splitlines()[1].split("\t")[2]))
    assert scores == pytest.approx([scores[0]] * 3, abs=1e-5)
    shutil.rmtree(constants.HF_HUB_CACHE)
    monkeypatch.setenv("HF_TOKEN", hub_here.reading_token)
    error = fails(predict, capsys, ["--model", "owner/tones", "--paths", recording])
    assert (
        "found no such folder, and none on the Hub that can be loaded (Repository not found); check --model" in error
    )
    hub_here.fail("GET", "^/api/models/owner/tones", None, times=9)
    assert "can be loaded (" in fails(export, capsys, ["--model", "owner/tones"])


def as_dataset(folder: Path) -> datasets.DatasetDict:
    """Four recordings of each of two classes as a data set for the Hub, one of each in its part `test`."""
    paths = sorted(folder.rglob("*.wav"))
    audio = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    table = datasets.Dataset.from_dict({"audio": audio, "label": [path.parent.name for path in paths]})
    table = table.class_encode_column("label").cast_column("audio", datasets.Audio(decode=False))
    return datasets.DatasetDict(train=table.select([0, 1, 2, 4, 5, 6]), test=table.select([3, 7]))


def test_a_hub_data_set_is_what_the_folder_is(hub_here, train, capsys, two_classes, tmp_path) -> None:
    as_dataset(two_classes).push_to_hub("owner/tones", private=True)
    first = hub_here.repositories["datasets", "owner/tones"].commit_at().sha
    as_dataset(two_classes)["train"].select([0]).push_to_hub("owner/tones", split="train")
    here = load_audio_dataset(two_classes, num_proc=1).dataset
    there = load_audio_dataset(f"owner/tones@{first}", num_proc=1).dataset
    columns = ("content_hash", "label")
    expected = sorted(zip(*(here[name] for name in columns), strict=True))
    assert sorted(zip(*(there[name] for name in columns), strict=True)) == expected
    assert len(load_audio_dataset("owner/tones", num_proc=1).dataset) == 3
    for kind in ((), ("--streaming",)):
        train(*TINY, "--dataset", f"owner/tones@{first}", *kind, "--output_dir", tmp_path / f"run{len(kind)}")
        assert "on 2 held-out recordings" in capsys.readouterr().out


@pytest.mark.realdata
def test_the_recordings_of_esc10_on_the_hub_are_those_of_the_folder(hub_here) -> None:
    with (ESC10 / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [row[name] for row in rows] for name in ("category", "fold", "source_id")}
    audio = [{"bytes": (ESC10 / row["file_name"]).read_bytes(), "path": row["file_name"]} for row in rows]
    table = datasets.Dataset.from_dict({"audio": audio, **columns})
    table = table.cast_column("audio", datasets.Audio(decode=False)).class_encode_column("category")
    table.push_to_hub("owner/esc10")
    named = {"label_column": "category", "fold_column": "fold", "group_column": "source_id"}
    here = load_audio_dataset(ESC10, **named).dataset
    there = load_audio_dataset("owner/esc10", **named).dataset
    assert len(there) == 400
    compared = ("content_hash", "label", "fold", "group")
    assert sorted(zip(*(there[name] for name in compared), strict=True)) == sorted(
        zip(*(here[name] for name in compared), strict=True)
    )


@pytest.mark.parametrize("name", ["owner/nothing", "owner/hidden", "owner/tones@v9"])
def test_a_hub_data_set_that_is_not_there(hub_here, train, capsys, two_classes, monkeypatch, tmp_path, name) -> None:
    as_dataset(two_classes).push_to_hub("owner/hidden", private=True)
    as_dataset(two_classes).push_to_hub("owner/tones")
    monkeypatch.setenv("HF_TOKEN", hub_here.reading_token)
    error = fails(train, capsys, *TINY, "--dataset", name, "--output_dir", tmp_path / "run")
    assert f"found nothing at the path {name} and no data set of that id that can be loaded (" in error
    assert "hf_" not in error
