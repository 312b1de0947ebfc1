"""scripts/calibrate.py: a model that was trained on all folds gets the temperature of the out-of-fold predictions."""

import json
from pathlib import Path

import numpy as np
import pytest

from hfaudio.evaluation import Interpretation, expected_calibration_error, fit_temperature
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training import read_out_of_fold
from hfaudio.training.out_of_fold import write_out_of_fold

NAMES = ("high", "low")


@pytest.fixture
def calibrate(calibrate_main, capsys: pytest.CaptureFixture[str]):
    def run(*flags: object) -> tuple[int, str]:
        capsys.readouterr()
        try:
            calibrate_main(*flags)
        except SystemExit as ending:
            return ending.code, capsys.readouterr().err
        return 0, capsys.readouterr().out

    return run


@pytest.fixture
def save_model(tmp_path: Path):
    def save(**config) -> Path:
        folder = tmp_path / "model"
        model = SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], id2label=dict(enumerate(NAMES)), **config)
        SpectrogramCNNForAudioClassification(model).save_pretrained(folder)
        SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.2).save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def write_table(tmp_path: Path, rng):
    """Writes predictions that are four times as sure as they should be, and gives their path, logits and labels."""

    def write(names=NAMES, multi_label=False, recordings=100):
        logits = rng.normal(size=(recordings, 2))
        chances = rng.random((recordings, 2))
        if multi_label:
            labels = chances < 1 / (1 + np.exp(-logits))
        else:
            labels = (chances[:, 0] < 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))).astype(int)
        files = [f"{index}.wav" for index in range(recordings)]
        pooled = Interpretation.from_predictions(files, labels, 4 * logits, names)
        path = tmp_path / "out_of_fold.parquet"
        write_out_of_fold(pooled, [str(index % 5) for index in range(recordings)], path)
        return path, 4 * logits, labels

    return write


def test_temperature_and_threshold_are_put_into_the_configuration(calibrate, save_model, write_table) -> None:
    model, (path, logits, labels) = save_model(unknown_threshold=0.9, logit_temperature=9.0), write_table()
    before = json.loads((model / "config.json").read_text())
    code, printed = calibrate("--model", model, "--predictions", path, "--false_reject_rate", 0.2)
    assert code == 0
    config = SpectrogramCNNConfig.from_pretrained(model)
    temperature = fit_temperature(logits, labels)
    assert config.logit_temperature == pytest.approx(temperature, rel=1e-4)
    best = 1 / (1 + np.exp(-abs(logits[:, 0] - logits[:, 1]) / temperature))
    assert config.unknown_threshold == pytest.approx(np.sort(best)[19], rel=1e-4)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = expected_calibration_error(probabilities, labels)
    assert f"temperature {temperature:.3f}, fitted on 100 out-of-fold predictions" in printed
    assert f"expected calibration error {error:.1%}, with it " in printed
    assert f"unknown below {config.unknown_threshold:.3f}, for 20.0% false rejects" in printed
    after = json.loads((model / "config.json").read_text())
    assert {name for name in after if after[name] != before[name]} == {"logit_temperature", "unknown_threshold"}
    assert not list(model.glob(".*"))

    # A threshold of another temperature would be wrong.
    assert "unknown" not in calibrate("--model", model, "--predictions", path)[1]
    config = SpectrogramCNNConfig.from_pretrained(model)
    assert (config.logit_temperature, config.unknown_threshold) == (pytest.approx(temperature, rel=1e-4), None)


def test_several_classes_a_recording_have_one_temperature(calibrate, save_model, write_table) -> None:
    model, (path, logits, labels) = save_model(problem_type="multi_label_classification"), write_table((*NAMES,), True)
    assert calibrate("--model", model, "--predictions", path)[0] == 0
    found = SpectrogramCNNConfig.from_pretrained(model).logit_temperature
    assert found == pytest.approx(fit_temperature(logits, labels), rel=1e-4)
    code, sentence = calibrate("--model", model, "--predictions", path, "--false_reject_rate", 0.1)
    assert code == 2
    assert sentence.startswith("error: --false_reject_rate needs a model of one class a recording")


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_table_gives_back_what_was_predicted(write_table, multi_label: bool) -> None:
    path, logits, labels = write_table(multi_label=multi_label)
    read = read_out_of_fold(path)
    assert (read.class_names, read.multi_label, read.folds[:6]) == (NAMES, multi_label, tuple("012340"))
    assert np.array_equal(read.labels, labels)
    differences = read.logits - logits
    expected = 0.0 if multi_label else differences[:, :1]
    np.testing.assert_allclose(differences, np.broadcast_to(expected, differences.shape), atol=1e-6)


def other_code(model: Path) -> None:
    (model / "modeling_spectrogram_cnn.py").write_text("# of an earlier version")


@pytest.mark.parametrize(
    ("change", "table", "flags", "sentence"),
    [
        (None, {"names": ("cat", "dog")}, (), "error: Expected predictions for the classes of "),
        (None, {"multi_label": True}, (), "error: Expected predictions of one class a recording, as "),
        (None, {}, ("--false_reject_rate", 0.001), "error: A false_reject_rate of 0.001 needs at least 999"),
        (None, {}, ("--false_reject_rate", 2), "error: false_reject_rate must be above 0 and below 1, found 2.0."),
        (lambda model: (model / "model.onnx").touch(), {}, (), "error: Expected no graph in "),
        (other_code, {}, (), "error: Expected code that knows a logit_temperature in "),
        (lambda model: (model / "config.json").unlink(), {}, (), "error: Expected the folder of a saved model at "),
        (lambda model: (model / "config.json").write_text("{}"), {}, (), "error: Expected a spectrogram CNN in "),
    ],
)
def test_mistakes_are_one_sentence_and_change_nothing(
    calibrate, save_model, write_table, change, table: dict, flags: tuple, sentence: str
) -> None:
    model, (path, _, _) = save_model(), write_table(**table)
    if change is not None:
        change(model)
    before = {file.name: file.read_bytes() for file in model.iterdir()}
    code, printed = calibrate("--model", model, "--predictions", path, *flags)
    assert code == 2
    assert printed.startswith(sentence)
    assert printed.count("\n") == 1
    assert {file.name: file.read_bytes() for file in model.iterdir()} == before


def test_a_temperature_that_does_not_help_is_one_and_it_is_said(calibrate, save_model, write_table) -> None:
    model, (path, _, _) = save_model(logit_temperature=9.0), write_table(recordings=40)
    for _ in range(2):
        code, printed = calibrate("--model", model, "--predictions", path)
        assert code == 0
        assert SpectrogramCNNConfig.from_pretrained(model).logit_temperature == 1.0
        assert printed.startswith(
            "temperature 1, which changes nothing: it needs at least 50 recordings that were not trained on, found 40"
        )
        assert "with it" not in printed


def test_a_threshold_of_scores_that_are_all_alike_is_not_set(calibrate, save_model, tmp_path, caplog) -> None:
    labels = np.arange(100) % 2
    pooled = Interpretation.from_predictions(list(map(str, range(100))), labels, np.full((100, 2), 0.5), NAMES)
    path, model = tmp_path / "out_of_fold.parquet", save_model(unknown_threshold=0.9)
    write_out_of_fold(pooled, [str(index % 5) for index in range(100)], path)
    code, printed = calibrate("--model", model, "--predictions", path, "--false_reject_rate", 0.2)
    assert code == 0
    assert "unknown below" not in printed
    assert "all 100 recordings that were not trained on have the same highest probability, 0.5" in caplog.text
    assert SpectrogramCNNConfig.from_pretrained(model).unknown_threshold is None


@pytest.mark.parametrize(
    ("column", "cells", "sentence"),
    [
        ("probability_high", [float("nan"), 0.5], "Expected probabilities from 0 to 1 in"),
        ("probability_high", [1.5, 0.5], "Expected probabilities from 0 to 1 in"),
        ("labels", [["high"], ["cat"]], "Expected in"),
        ("labels", [["high"], None], "Expected in"),
    ],
)
def test_a_table_with_other_cells_is_refused(calibrate, save_model, tmp_path, column, cells, sentence) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    table = {"fold": ["1", "2"], "labels": [["high"], ["low"]]}
    table |= {"probability_high": [0.5, 0.5], "probability_low": [0.5, 0.5]}
    pyarrow.parquet.write_table(pa.table(table | {column: cells}), tmp_path / "other.parquet")
    code, printed = calibrate("--model", save_model(), "--predictions", tmp_path / "other.parquet")
    assert (code, printed.count("\n")) == (2, 1)
    assert printed.startswith(f"error: {sentence}")


def test_what_is_no_table_is_refused(calibrate, save_model, tmp_path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    model = save_model()
    assert calibrate("--model", model, "--predictions", tmp_path / "gone.parquet")[1].startswith(
        "error: Expected the out_of_fold.parquet of a cross-validation at "
    )
    pyarrow.parquet.write_table(pa.table({"file_name": ["a.wav"]}), tmp_path / "other.parquet")
    assert calibrate("--model", model, "--predictions", tmp_path / "other.parquet")[1].startswith(
        "error: Expected the columns fold, labels and probability_... and some rows in "
    )
