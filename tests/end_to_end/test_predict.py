import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from safetensors.numpy import load_file, save_file

from hfaudio.inference.bulk_prediction import RowSettings
from hfaudio.inference.model_folder import hash_model
from hfaudio.inference.prediction_journal import PredictionJournal
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

SCRIPT = Path(__file__).parents[2] / "scripts" / "predict.py"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    SpectrogramCNNForAudioClassification(
        SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], id2label={0: "high", 1: "low"})
    ).save_pretrained(folder)
    SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.2).save_pretrained(folder)
    return folder


@pytest.fixture
def sounds(two_classes: Path) -> Path:
    """Eight recordings in two folders, and one that is none."""
    (two_classes / "high" / "broken.wav").write_bytes(b"no audio")
    return two_classes


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_a_table_with_its_errors(predict, model, sounds, tmp_path) -> None:
    code, printed, _ = predict(sounds, "--model", model, "--output", tmp_path / "out.csv", "--top_k", 2)
    assert code == 3
    assert printed.strip() == f"predictions: {tmp_path / 'out.csv'} (1 recordings could not be read)"
    rows = rows_of(tmp_path / "out.csv")
    assert [row["file"] for row in rows] == sorted(map(str, sounds.rglob("*.wav")))
    (failed,) = [row for row in rows if row["error"]]
    assert failed["file"].endswith("broken.wav")
    assert failed["error"].startswith("not readable as audio")
    assert all({row["label"], row["label_2"]} == {"high", "low"} for row in rows if row is not failed)


def test_silence_has_no_class_in_any_table(predict, model, write_tone, tmp_path) -> None:
    tone, _ = soundfile.read(write_tone("sounds/tone.wav", seconds=0.4))
    quiet = np.zeros(16_000)
    for name, samples in (("half.wav", np.append(tone, quiet)), ("silent.wav", quiet)):
        soundfile.write(tmp_path / "sounds" / name, samples, 16_000)
    half, silent, whole = (str(tmp_path / "sounds" / f"{name}.wav") for name in ("half", "silent", "tone"))
    arguments = (tmp_path / "sounds", "--model", model, "--output", tmp_path / "out.csv")
    code, printed, _ = predict(*arguments)
    assert code == 3
    assert printed.splitlines() == [
        f"predictions: {tmp_path / 'out.csv'} (1 recordings could not be read or are silent)",
        f"wholly silent: {silent}",
    ]
    rows = {row["file"]: row for row in rows_of(tmp_path / "out.csv")}
    assert (rows[silent]["label"], rows[silent]["score"], rows[silent]["error"]) == ("", "", "wholly silent")
    for row in (rows[half], rows[whole]):
        assert row["label"]
        assert not row["error"]
    (tmp_path / "out.csv").unlink()

    code, _, _ = predict(*arguments, "--windows")
    assert code == 0
    rows = rows_of(tmp_path / "out.csv")
    assert {row["error"] for row in rows} == {"", "silent"}
    assert [bool(row["label"]) for row in rows] == [row["error"] == "" for row in rows]
    assert all(row["error"] == "silent" for row in rows if row["file"] == silent)
    assert all(row["error"] == "" for row in rows if row["file"] == whole)
    starts = [float(row["start"]) for row in rows if row["file"] == half]
    assert starts == sorted(starts)
    (tmp_path / "out.csv").unlink()

    code, _, _ = predict(*arguments, "--timeline", "--threshold", 0.1)
    assert code == 0
    rows = rows_of(tmp_path / "out.csv")
    assert {row["file"] for row in rows} == {half, whole}
    assert max(float(row["end"]) for row in rows) < 0.7
    code, printed, _ = predict(silent, "--model", model)
    assert code == 3
    assert printed.splitlines()[1].split("\t")[3:] == ["", "", "wholly silent"]


def test_other_weights_refuse_to_go_on_and_overwrite_starts_anew(predict, model, sounds, tmp_path) -> None:
    output = tmp_path / "out.csv"
    flags = (sounds, "--output", output)
    other = shutil.copytree(model, tmp_path / "other")
    assert predict(*flags, "--model", model)[0] == 3
    former = output.read_bytes()
    assert predict(*flags, "--model", other)[0] == 2  # a whole table stays
    output.unlink()
    broken = tmp_path / "list.txt"
    broken.write_text(f"{sounds / 'low' / '0.wav'}\n")

    def interrupted(folder: Path) -> None:
        run = {"model": f"TorchBackend {hash_model(folder)}", "window_seconds": None, "hop_seconds": None}
        run |= {"pooling": "mean", "backend": "auto", "unknown_threshold": None}
        PredictionJournal(tmp_path / ".out.csv.part-0-of-1", {**run, **asdict(RowSettings())})

    interrupted(model)
    weights = load_file(other / "model.safetensors")
    weights["classifier.weight"] *= -1
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    code, _, said = predict(*flags, "--model", other)
    assert code == 2
    assert "found other weights, graph, configuration or backend" in said
    assert predict(*flags, "--model", model)[0] == 3
    assert output.read_bytes() == former
    interrupted(model)
    assert predict(*flags, "--model", other, "--overwrite")[0] == 3
    assert output.read_bytes() != former


def test_names_that_a_terminal_would_act_on_keep_a_row_a_recording(predict, model, write_tone, tmp_path) -> None:
    names = ["two\nlines.wav", "tab\t.wav", "\x1b[31mred.wav", "\u202egpj.wav", "=HYPERLINK(1).wav"]
    for name in (*names, "plain.wav"):
        write_tone(f"odd/{name}")
    os.rename(tmp_path / "odd" / "plain.wav", os.fsencode(tmp_path / "odd") + b"/\xff.wav")
    code, printed, _ = predict(tmp_path / "odd", "--model", model)
    assert code == 0
    rows = [line.split("\t") for line in printed.splitlines()]
    assert [len(row) for row in rows] == [6] * 7
    assert {Path(row[0]).name for row in rows[1:]} == {
        r"two\nlines.wav", r"tab\t.wav", r"\x1b[31mred.wav", r"\u202egpj.wav", r"\xff.wav", "=HYPERLINK(1).wav"
    }  # fmt: skip
    _, _, said = predict(tmp_path / "odd", "--model", model, "--output", tmp_path / "odd.csv")
    assert "odd.csv has cells that begin as formulas do" in said
    with (tmp_path / "odd.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert [row["file"] for row in csv.DictReader(file)] == sorted(map(str, (tmp_path / "odd").iterdir()))
    predict(tmp_path / "odd", "--model", model, "--output", tmp_path / "odd.parquet")
    assert str(tmp_path / "odd" / r"\xff.wav") in pq.read_table(tmp_path / "odd.parquet")["file"].to_pylist()


def test_the_terminal_shows_a_row_a_recording(predict, model, sounds) -> None:
    paths = sorted((sounds / "low").glob("*.wav"))
    code, printed, _ = predict(*paths[:2], sounds / "low" / "[2-3].wav", "--model", model)
    assert code == 0
    lines = [line.split("\t") for line in printed.splitlines()]
    assert lines[0] == ["file", "start", "end", "label", "score", "error"]
    assert [line[0] for line in lines[1:]] == list(map(str, paths))


def test_whoever_reads_the_rows_may_stop(model, sounds) -> None:
    command = [sys.executable, str(SCRIPT), str(sounds), "--model", str(model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("file\t")
        process.stdout.close()
        errors = process.stderr.read()
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
    assert process.returncode == 141


def test_what_is_less_probable_than_the_threshold_is_unknown(predict, model, sounds) -> None:
    path = sounds / "low" / "0.wav"

    def label_of(*flags: object) -> str:
        return predict(path, "--model", model, *flags)[1].splitlines()[1].split("\t")[3]

    assert label_of() == label_of("--unknown_threshold", 0) == label_of("--unknown_threshold", 0.5)
    assert label_of() in ("high", "low")
    assert label_of("--unknown_threshold", 0.99) == "unknown"
    code, _, sentence = predict(path, "--model", model, "--unknown_threshold", 1)
    assert (code, sentence) == (2, "error: unknown_threshold must be at least 0 and below 1, found 1.\n")


def test_windows_events_and_lists(predict, model, write_tone, tmp_path, monkeypatch) -> None:
    path = write_tone("long.wav", seconds=0.7)
    (tmp_path / "list.txt").write_text(f"{path}\n")
    _, printed, _ = predict("--files_from", tmp_path / "list.txt", "--model", model, "--windows")
    spans = [line.split("\t")[1:3] for line in printed.splitlines()[1:]]
    assert spans == [["0.0", "0.2"], ["0.1", "0.3"], ["0.2", "0.4"], ["0.3", "0.5"], ["0.4", "0.6"], ["0.5", "0.7"]]
    flags = (
        "--files_from",
        "-",
        "--model",
        model,
        "--timeline",
        "--threshold",
        0.0001,
        "--output",
        tmp_path / "x.txt",
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{path}\n"))
    assert predict(*flags)[0] == 0
    assert (tmp_path / "x.txt").read_text() == "0.0\t0.7\thigh\n0.0\t0.7\tlow\n"


def test_a_run_that_was_killed_goes_on(predict, model, write_tone, tmp_path) -> None:
    for index in range(60):
        write_tone(f"many/{index:02}.wav", frequency=100 + 20 * index)
    flags = (tmp_path / "many", "--model", model, "--batch_size", 1, "--threads", 1)
    assert predict(*flags, "--output", tmp_path / "whole.csv")[0] == 0
    command = [sys.executable, str(SCRIPT), *map(str, flags), "--output", str(tmp_path / "killed.csv")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        part = tmp_path / ".killed.csv.part-0-of-1"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (part.is_file() and part.read_bytes().count(b"\n") > 5):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    done = part.read_bytes().count(b"\n") - 1
    assert done >= 5
    assert not (tmp_path / "killed.csv").exists()
    assert predict(*flags, "--output", tmp_path / "killed.csv")[0] == 0
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_processes_share_the_files(predict, model, sounds, tmp_path) -> None:
    assert predict(sounds, "--model", model, "--output", tmp_path / "one.jsonl")[0] == 3
    command = [
        sys.executable,
        str(SCRIPT),
        str(sounds),
        "--model",
        str(model),
        "--output",
        str(tmp_path / "two.jsonl"),
    ]
    environments = [{**os.environ, "RANK": str(rank), "WORLD_SIZE": "2"} for rank in (0, 1)]
    processes = [subprocess.Popen(command, env=environment) for environment in environments]
    assert [process.wait(timeout=120) for process in processes] == [3, 0]
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert {json.loads(line)["label"] for line in (tmp_path / "two.jsonl").read_text().splitlines()} <= {
        "high",
        "low",
        None,
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "error: Expected files, folders or patterns, found none; name some, or give --files_from."),
        (("gone.wav",), "error: Expected recordings at gone.wav, found nothing; their names end in"),
        (
            ("x.wav", "--output", "x.xls"),
            "error: --output must end in one of .csv, .json, .jsonl, .parquet, .txt, found",
        ),
        (
            ("x.wav", "--output", "-"),
            "error: --output must end in one of .csv, .json, .jsonl, .parquet, .txt, found -.",
        ),
        (("x.csv", "--output", "x.csv"), "error: --output must be another file than x.csv, which is read;"),
        (("--files_from", "x.csv", "--output", "./x.csv"), "error: --output must be another file than x.csv, which"),
        (
            ("x.wav", "--output", "x.csv"),
            "error: Expected nothing at {folder}/x.csv, found a file that this run did no",
        ),
        (
            ("--files_from", "x.wav"),
            "error: --files_from must be a list of files, found x.wav; name recordings without",
        ),
        (("--files_from", "blank.txt"), "error: Expected paths in blank.txt, found none; give one a line."),
        (("x.wav", "gone.wav"), "error: Expected recordings at gone.wav, found nothing; their names end in"),
        (
            ("x.wav", "--model", "nosuch"),
            "error: Expected the folder of a model, or owner/name on the Hub, at nosuch,",
        ),
        (("x.wav", "--device", "cuda:N"), "error: Expected a device of this machine, cpu"),
        (
            ("x.wav", "--pooling", "maen"),
            "error: argument --pooling: invalid choice: 'maen' (choose from 'mean', 'max'",
        ),
        (("x.wav", "--top_k", "1", "--top_k", "2"), "error: expected each flag once, found --top_k 1 and --top_k 2;"),
        (("x.wav", "--output", "no/x.csv"), "error: Expected the folder no for --output, found none; make it first."),
        (("x.wav", "--threshold", "2"), "error: --threshold must be from 0 to 1, found 2."),
        (("x.wav", "--window_seconds", "99"), "error: window_seconds must be above 0 and at most 30"),
        (("x.wav", "--model", "gone/x/y"), "error: Expected the folder of a model, or owner/name on the Hub, at gone"),
        (("x.wav", "--files_from", "gone.txt", "--colour", "red"), "error: unknown flag --colour"),
    ],
)
def test_mistakes_are_one_sentence(
    predict, model, write_tone, tmp_path, monkeypatch, arguments: tuple, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tone("x.wav")
    (tmp_path / "x.csv").write_text("file_name\nx.wav\n")
    (tmp_path / "blank.txt").write_text("\n \n")
    arguments = tuple(argument.format(model=model) for argument in arguments)
    sentence = sentence.format(folder=tmp_path)
    flags = arguments if "--model" in arguments else (*arguments, "--model", model)
    code, _, said = predict(*flags)
    assert code == 2
    (line,) = [line for line in said.splitlines() if "error" in line]
    assert line.startswith(sentence)
