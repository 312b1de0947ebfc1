"""model_card/esc10: a Hub repository in this one, whose code is that of hfaudio/model by links."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from hfaudio.hub.proof import WITHOUT_HFAUDIO
from hfaudio.hub.pushed_files import files_to_push

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "model_card" / "esc10"
ESC10 = ROOT.parent / "shared" / "data" / "esc10"
LARGEST = 6_000_000  # bytes

CLASSIFY = """
from transformers import pipeline

classify = pipeline("audio-classification", model="model_card/esc10", trust_remote_code=True)
print(json.dumps([best["label"] for (best,) in classify(sys.argv[1:], top_k=1)]))
"""


def test_its_code_stands_in_git_once() -> None:
    code = sorted(path.name for path in (ROOT / "hfaudio" / "model").glob("*_spectrogram_cnn.py"))
    assert sorted(path.name for path in MODEL.glob("*.py")) == code
    for name in code:
        assert (MODEL / name).is_symlink()
        assert (MODEL / name).resolve() == ROOT / "hfaudio" / "model" / name


def test_a_push_takes_all_of_it_and_writes_real_files() -> None:
    files = files_to_push(MODEL)
    assert files.left_out == files.shortened == []
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) < LARGEST
    code = files.contents["modeling_spectrogram_cnn.py"]
    assert code.read_bytes() == (ROOT / "hfaudio" / "model" / "modeling_spectrogram_cnn.py").read_bytes()


def test_its_card_claims_what_the_folds_have_measured() -> None:
    card = ModelCard.load(MODEL / "README.md")
    metrics = json.loads((MODEL / "all_results.json").read_text())
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results["accuracy"] == pytest.approx(metrics["eval_accuracy"])
    assert metrics["train_recordings"] == metrics["eval_recordings"] == 400
    with (MODEL / "eval" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert right / len(rows) == pytest.approx(metrics["eval_accuracy"])
    for words in ("Piczak", "CC BY 3.0", "scripts/cross_validate.py", "--final_model"):
        assert words in card.text


@pytest.mark.realdata
def test_the_pipeline_classifies_for_a_stranger(tmp_path) -> None:
    with (ESC10 / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[::20]
    recordings = [shutil.copy(ESC10 / row["file_name"], tmp_path / f"{index}.ogg") for index, row in enumerate(rows)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HFAUDIO + CLASSIFY, *map(str, recordings)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [row["category"] for row in rows]  # it was trained on them


def test_it_is_the_default_of_predict(main_of, capsys, write_tone, monkeypatch) -> None:
    monkeypatch.delenv("HFAUDIO_MODEL", raising=False)
    assert main_of("predict")([str(write_tone("a.wav")), "--unknown_threshold", "0"]) == 0
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines(), delimiter="\t")
    with (MODEL / "eval" / "per_class.csv").open(newline="") as file:
        assert row["label"] in {line["class"] for line in csv.DictReader(file)}
