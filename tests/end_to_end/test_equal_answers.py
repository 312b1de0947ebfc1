"""One recording has one answer, whoever is asked: fifty files of several formats, rates and channel counts."""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import transformers

from hfaudio.inference import Predictor
from hfaudio.inference.predictor import Backend

ROOT = Path(__file__).parents[2]
ESC10 = ROOT.parent / "shared" / "data" / "esc10"
FORMATS = (".wav", ".flac", ".ogg", ".mp3", ".aiff")
RATES = (44_100, 16_000, 22_050, 48_000, 8_000)  # as if recorded at them: nothing is resampled
TOLERANCE = 1e-4

pytestmark = pytest.mark.realdata

Answers = list[dict[str, float]]  # of each recording, the probability of each class


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty recordings to hold out, and fifty to train on, with a metadata.csv."""
    folder = tmp_path_factory.mktemp("fifty")
    with (ESC10 / "metadata.csv").open() as file:
        listed = list(csv.DictReader(file))
    rows = [one for fold in "12" for label in sorted({row["category"] for row in listed})
            for one in [row for row in listed if (row["fold"], row["category"]) == (fold, label)][:5]]  # fmt: skip
    lines = ["file_name,label,fold"]
    for index, row in enumerate(rows):
        samples, _ = soundfile.read(ESC10 / row["file_name"], dtype="float32")
        name = f"{index:03}{FORMATS[index % len(FORMATS)]}"
        if index % 3 == 0:
            samples = np.stack([samples, 0.5 * samples[::-1]], axis=1)
        soundfile.write(folder / name, samples, RATES[index // len(FORMATS) % len(RATES)])
        lines.append(f"{name},{row['category']},{row['fold']}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path, train, export_onnx, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("model")
    train(
        "--dataset",
        folder,
        "--fold_column",
        "fold",
        "--eval_folds",
        2,
        "--num_train_epochs",
        4,
        "--output_dir",
        output,
    )
    export_onnx("--model", output)
    return output


@pytest.fixture(scope="module")
def held_out(folder: Path) -> list[Path]:
    with (folder / "metadata.csv").open() as file:
        return [folder / row["file_name"] for row in csv.DictReader(file) if row["fold"] == "2"]


def trainer(model: Path, paths: Sequence[Path]) -> Answers:
    """What `Trainer.predict` gave of the held-out recordings, as the training run has written it."""
    with (model / "eval" / "predictions.csv").open() as file:
        rows = {row["file_name"]: row for row in csv.DictReader(file)}
    return [{rows[path.name]["predicted"]: float(rows[path.name]["score"])} for path in paths]


def predictor(model: Path, paths: Sequence[Path], backend: Backend = "torch") -> Answers:
    predictions = Predictor.from_pretrained(model, backend=backend, device="cpu" if backend == "torch" else None)
    return [dict(one.top(10)) for one in predictions.stream(paths)]


def onnx(model: Path, paths: Sequence[Path]) -> Answers:
    return predictor(model, paths, "onnx")


def command_line(model: Path, paths: Sequence[Path]) -> Answers:
    table = model / "table.jsonl"
    command = [sys.executable, ROOT / "scripts" / "predict.py", *paths, "--model", model, "--top_k", "10"]
    done = subprocess.run([*map(str, command), "--output", str(table), "--overwrite"])
    assert done.returncode in (0, 3)  # 3: one is silent
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert [Path(row["file"]) for row in rows] == list(paths)
    ranks = ["", *(f"_{rank}" for rank in range(2, 11))]
    return [{row[f"label{rank}"]: row[f"score{rank}"] for rank in ranks} for row in rows]


def shipped_pipeline(model: Path, paths: Sequence[Path]) -> Answers:
    classify = transformers.pipeline("audio-classification", model=str(model), device="cpu", trust_remote_code=True)
    assert type(classify) is not transformers.AudioClassificationPipeline
    answers = classify(list(map(str, paths)), batch_size=8, top_k=10)
    return [{one["label"]: one["score"] for one in answer} for answer in answers]


def stock_pipeline(model: Path, paths: Sequence[Path]) -> Answers:
    classify = transformers.AudioClassificationPipeline(
        transformers.AutoModelForAudioClassification.from_pretrained(model),
        feature_extractor=transformers.AutoFeatureExtractor.from_pretrained(model),
        device="cpu",
    )
    answers = []
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        answers.append(classify({"array": samples.mean(axis=1), "sampling_rate": rate}, top_k=10))
    return [{one["label"]: one["score"] for one in answer} for answer in answers]


@pytest.mark.parametrize("way", [predictor, onnx, command_line, shipped_pipeline])
def test_no_way_names_a_class_of_silence(way, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "silent.wav"
    soundfile.write(path, np.full((44_100, 2), 0.1), 44_100)
    (answer,) = way(model, [path])
    assert not {label: score for label, score in answer.items() if label is not None}


def test_the_stock_pipeline_prefers_no_class_of_silence(model: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    (answer,) = stock_pipeline(model, [tmp_path / "silent.wav"])
    assert list(answer.values()) == pytest.approx([0.1] * 10)


@pytest.mark.parametrize("way", [trainer, onnx, command_line, shipped_pipeline, stock_pipeline])
def test_every_way_gives_the_answer_of_the_predictor(way, model: Path, held_out: list[Path]) -> None:
    expected = predictor(model, held_out)
    found = way(model, held_out)
    assert len({max(answer, key=answer.get) for answer in expected}) > 1  # a model that has learned something
    for path, answer, right in zip(held_out, found, expected, strict=True):
        assert max(answer, key=answer.get) == max(right, key=right.get), path.name
        assert answer == pytest.approx({label: right[label] for label in answer}, abs=TOLERANCE), path.name
