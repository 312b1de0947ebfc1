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
    expected = predict(path, "--model", model, "--backend", "torch")[1]
    export_onnx("--model", model)
    assert capsys.readouterr().out.startswith(f"graph: {model / 'model.onnx'} (0.")
    assert predict(path, "--model", model, "--backend", "onnx")[1] == expected


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--model", "gone/a/b"), "error: Expected the folder of a model, or owner/name on the Hub, at gone/a/b"),
        (("--output", "gone/model.onnx"), "error: Expected the folder gone for --output, found none; make it first."),
    ],
)
def test_mistakes_are_one_sentence(export_onnx, model, capsys, flags: tuple[str, str], sentence: str) -> None:
    with pytest.raises(SystemExit) as ending:
        export_onnx(*(flags if "--model" in flags else (*flags, "--model", model)))
    assert ending.value.code == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(sentence)
