import re
from pathlib import Path

import pytest

from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification


@pytest.fixture
def model(tmp_path: Path) -> Path:
    config = SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], id2label={0: "high", 1: "low"})
    SpectrogramCNNForAudioClassification(config).save_pretrained(tmp_path / "model")
    SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.2).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_the_graph_that_is_written_predicts(export_onnx, predict, model, write_tone, capsys) -> None:
    path = write_tone("a.wav")
    expected = predict(path, "--model", model, "--backend", "torch")[1].split()
    export_onnx("--model", model)
    assert capsys.readouterr().out.startswith(f"graph: {model / 'model.onnx'} (0.")
    found = predict(path, "--model", model, "--backend", "onnx")[1].split()
    assert found[:-1] == expected[:-1]
    assert float(found[-1]) == pytest.approx(float(expected[-1]), abs=1e-5)


def test_a_quantized_graph_comes_with_what_it_costs(
    export_onnx, predict, model, two_classes, write_tone, capsys
) -> None:
    export_onnx("--model", model, "--int8", "--dataset", two_classes, "--preparation_processes", 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"graph: {model / 'model.onnx'} (0.")
    assert re.fullmatch(rf"int8: {model / 'model_int8.onnx'} \(0\.\d MB\), with the ranges of 6 recordings", lines[1])
    assert lines[2] == "2 other recordings:"
    for name, line in zip(("float", "int8"), lines[3:5], strict=True):
        assert re.fullmatch(rf"  {name}: accuracy [\d.]+%, macro-F1 [\d.]+; [\d.]+ ms a recording", line)
    assert re.fullmatch(r"  the same labels by both: \d \([\d.]+%\)", lines[5])
    code, rows, _ = predict(write_tone("a.wav"), "--model", model, "--backend", "onnx_int8")
    assert (code, len(rows.splitlines())) == (0, 2)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--model", "gone/a/b"), "error: Expected the folder of a model, or owner/name on the Hub, at gone/a/b"),
        (("--label_column", "x", "--dataset", "sounds"), "error: The flags of a data set need --int8, found none"),
        (("--split", "random"), "error: --split needs --int8, found none"),
        (("--int8", "--calibration_recordings", "0"), "error: --calibration_recordings must be at least 1, found 0."),
        (("--output", "gone/model.onnx"), "error: Expected the folder gone for --output, found none; make it first."),
    ],
)
def test_mistakes_are_one_sentence(export_onnx, model, capsys, flags: tuple[str, str], sentence: str) -> None:
    with pytest.raises(SystemExit) as ending:
        export_onnx(*(flags if "--model" in flags else (*flags, "--model", model)))
    assert ending.value.code == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(sentence)
