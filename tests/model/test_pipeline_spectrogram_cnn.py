import io
import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile
import torch
from transformers import AutoModelForAudioClassification, pipeline
from transformers.pipelines import AudioClassificationPipeline
from transformers.pipelines.pt_utils import KeyDataset

from hfaudio.inference import Predictor
from hfaudio.model import (
    SpectrogramCNNConfig,
    SpectrogramCNNFeatureExtractor,
    SpectrogramCNNForAudioClassification,
    SpectrogramCNNPipeline,
)

NAMES = ["rain", "wind", "bell"]


def save_model(folder: Path, **config) -> Path:
    torch.manual_seed(0)
    model = SpectrogramCNNForAudioClassification(
        SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], id2label=dict(enumerate(NAMES)), **config)
    )
    torch.nn.init.normal_(model.classifier.weight, std=0.1)  # so that no score is near 0 or 1
    model.save_pretrained(folder)
    SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.5, max_seconds=1.0).save_pretrained(folder)
    return folder


def load(folder: Path, **settings) -> SpectrogramCNNPipeline:
    return pipeline(
        "audio-classification", str(folder), pipeline_class=SpectrogramCNNPipeline, device="cpu", **settings
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def classify(folder: Path) -> SpectrogramCNNPipeline:
    return load(folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Recordings of many lengths, in samples of 16 kHz from a few to several windows, and of several rates."""
    rng = np.random.default_rng(0)
    paths = []
    for index, (seconds, rate) in enumerate(
        [(0.01, 16_000), (0.7, 44_100), (1.0, 16_000), (3.3, 16_000), (1.01, 8_000), (0.2, 44_101), (4.0, 48_000)]
    ):
        paths.append(str(tmp_path_factory.getbasetemp() / f"{index}.wav"))
        soundfile.write(
            paths[-1], 0.1 * (index + 1) * rng.standard_normal((round(seconds * rate), 1 + index % 2)), rate
        )
    return paths


def scores(answer: list[dict]) -> dict[str, float]:
    return {one["label"]: one["score"] for one in answer}


def assert_same(answers, expected) -> None:
    answers = list(answers)
    assert len(answers) == len(expected)
    for answer, right in zip(answers, expected, strict=True):
        assert scores(answer) == pytest.approx(scores(right), abs=1e-5)


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_scores_are_those_of_the_predictor_at_any_length(tmp_path, files, problem_type: str) -> None:
    save_model(tmp_path, problem_type=problem_type, logit_temperature=1.5)
    answers = load(tmp_path)(files)
    predictions = list(Predictor.from_pretrained(tmp_path, backend="torch", device="cpu").stream(files))
    for answer, prediction in zip(answers, predictions, strict=True):
        assert list(scores(answer).items()) == [
            (label, pytest.approx(score, abs=1e-5)) for label, score in prediction.top()
        ]


@pytest.mark.parametrize("batch_size", [2, 3, 16])
def test_a_batch_scores_each_recording_as_alone(classify, files, batch_size: int) -> None:
    alone = [classify(file) for file in files]
    assert len({round(answer[0]["score"], 3) for answer in alone}) > 3
    assert_same(classify(files, batch_size=batch_size), alone)
    assert_same(classify((file for file in files), batch_size=batch_size), alone)
    assert_same(load_with(classify, batch_size=batch_size)(files), alone)


def load_with(classify: SpectrogramCNNPipeline, **settings) -> SpectrogramCNNPipeline:
    return SpectrogramCNNPipeline(
        model=classify.model, feature_extractor=classify.feature_extractor, device="cpu", **settings
    )


def test_features_of_a_batch_are_scored_at_once(classify, files, monkeypatch) -> None:
    sizes = []
    forward = classify.model.forward

    def remember(input_features, **inputs):
        sizes.append(len(input_features))
        return forward(input_features, **inputs)

    monkeypatch.setattr(classify.model, "forward", remember)
    classify(files[:3], batch_size=3)
    classify(files[3], batch_size=3)  # 3.3 seconds: six windows of one, half a second apart
    assert sizes == [3, 3, 3]


def test_a_generator_is_read_as_its_answers_are_asked_for(classify, files) -> None:
    read = []

    def recordings():
        for file in files:
            read.append(file)
            yield file

    answers = classify(recordings())
    next(answers := iter(answers))
    assert len(read) < len(files)
    assert len(list(answers)) == len(files) - 1


def test_another_process_can_read(classify, files) -> None:
    assert_same(classify(files, num_workers=1, batch_size=2), classify(files))


def test_rows_of_a_data_set_are_heard(classify, files) -> None:
    expected = [classify(file) for file in files]
    rows = datasets.Dataset.from_dict({"audio": files}).cast_column("audio", datasets.Audio(decode=False))
    assert_same(classify(rows["audio"]), expected)
    assert_same(classify(KeyDataset(rows, "audio"), batch_size=2), expected)
    embedded = [{"bytes": Path(file).read_bytes(), "path": None} for file in files]
    assert_same(classify(tuple(embedded)), expected)
    assert classify([]) == []


def test_channels_are_averaged(classify, rng) -> None:
    stereo = 0.1 * rng.standard_normal((2, 12_000))
    expected = scores(classify(stereo.mean(axis=0)))
    assert scores(classify(stereo)) == pytest.approx(expected, abs=1e-6)
    assert scores(classify({"array": stereo, "sampling_rate": 16_000})) == pytest.approx(expected, abs=1e-6)
    buffer = io.BytesIO()
    soundfile.write(buffer, stereo.T, 16_000, format="WAV", subtype="DOUBLE")
    assert scores(classify(buffer.getvalue())) == pytest.approx(expected, abs=1e-6)


def test_the_stock_pipeline_agrees_on_short_arrays(folder, classify, rng) -> None:
    stock = pipeline("audio-classification", str(folder), pipeline_class=AudioClassificationPipeline, device="cpu")
    for rate in (16_000, 44_100):
        recording = {"array": (0.1 * rng.standard_normal(rate // 2)).astype(np.float32), "sampling_rate": rate}
        assert scores(classify(recording)) == pytest.approx(scores(stock(recording)), abs=1e-4)


def test_top_k_holds_from_the_beginning_and_gives_way_to_the_call(classify, files) -> None:
    assert len(classify(files[0])) == len(NAMES)
    assert len(classify(files[0], top_k=2)) == 2
    assert len(classify(files[0], top_k=99)) == len(NAMES)
    first = load_with(classify, top_k=1)
    assert len(first(files[0])) == 1
    assert len(first(files[0], top_k=2)) == 2
    assert len(first(files[0], top_k=None)) == len(NAMES)


def test_the_function_can_be_chosen(classify, files) -> None:
    logits = scores(classify(files[3], function_to_apply="none"))  # of several windows
    values = torch.tensor([logits[name] for name in NAMES])
    for function, expected in (("softmax", values.softmax(0)), ("sigmoid", values.sigmoid())):
        found = scores(classify(files[3], function_to_apply=function))
        assert [found[name] for name in NAMES] == pytest.approx(expected.tolist(), abs=1e-6)


def test_what_is_not_probable_enough_is_unknown(classify, files, monkeypatch) -> None:
    known = classify(files[1])
    best = known[0]["score"]
    monkeypatch.setattr(classify.model.config, "unknown_threshold", best + 0.01)
    assert classify(files[1]) == [{"label": "unknown", "score": best}, *known[1:]]
    assert classify(files[1], top_k=1) == [{"label": "unknown", "score": best}]
    assert "unknown" not in scores(classify(files[1], function_to_apply="none"))
    monkeypatch.setattr(classify.model.config, "unknown_threshold", best - 0.01)
    assert classify(files[1]) == known


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"top_k": 0}, "top_k must be at least 1, or None for all classes, found 0."),
        ({"function_to_apply": "relu"}, "function_to_apply must be one of softmax, sigmoid, none, found 'relu'."),
    ],
)
def test_arguments_out_of_bounds_are_named(classify, files, arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        classify(files[0], **arguments)
    assert str(error.value) == sentence


def test_an_unreadable_file_is_named_and_not_passed_over(classify, files, tmp_path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"broken.wav cannot be read as audio \(Format not recognised\)"):
        classify([files[0], str(broken), files[1]], batch_size=2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_scores_that_are_not_finite_are_no_answer(tmp_path, files, value: float, problem_type: str) -> None:
    classify = load(save_model(tmp_path, problem_type=problem_type))
    classify.model.classifier.bias.data[0] = value
    for batch_size in (1, 2):
        with pytest.raises(ValueError, match="^The model scores a recording NaN or infinity: expected finite weights"):
            classify(files[:3], batch_size=batch_size)


def test_the_folder_names_the_pipeline_and_saving_it_anew_keeps_it(folder, tmp_path) -> None:
    # Also where an older version, or the Hub's name of the repository, stands in its place.
    model = AutoModelForAudioClassification.from_pretrained(folder)
    model.config.custom_pipelines = {"audio-classification": {"impl": "who/what--old.Pipeline", "pt": []}}
    model.save_pretrained(tmp_path)
    for saved in (folder, tmp_path):
        config = json.loads((saved / "config.json").read_text())
        assert config["custom_pipelines"] == {
            "audio-classification": {
                "impl": "pipeline_spectrogram_cnn.SpectrogramCNNPipeline",
                "pt": ["AutoModelForAudioClassification"],
            }
        }
    code = {path.name for path in folder.glob("*.py")} - {
        "feature_extraction_spectrogram_cnn.py",
        "spectral_features_spectrogram_cnn.py",
    }
    assert {path.name for path in tmp_path.glob("*.py")} == code
    assert "pipeline_spectrogram_cnn.py" in code


def test_the_pipeline_saves_a_folder_that_loads(classify, files, tmp_path) -> None:
    classify.save_pretrained(tmp_path)
    assert_same([load(tmp_path)(files[0])], [classify(files[0])])


SILENCES = {
    "zeros": np.zeros(16_000, np.float32),
    "a constant offset": np.full(40_000, 0.3, np.float32),
    "channels that cancel": np.outer([0.5, -0.5], np.sin(np.arange(9_000))),
    "long": np.zeros(100_000),
}


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
@pytest.mark.parametrize("name", SILENCES)
def test_silence_has_no_class(tmp_path, problem_type: str, name: str) -> None:
    classify = load(save_model(tmp_path, problem_type=problem_type))
    noise = {"array": np.random.default_rng(0).standard_normal(20_000), "sampling_rate": 16_000}
    expected = classify(noise)
    for rate in (16_000, 44_100, 8_000):
        silent = {"array": SILENCES[name], "sampling_rate": rate}
        assert classify(silent) == classify(silent, top_k=1) == []
        answers = classify([silent, noise, silent, noise], batch_size=3)
        assert [len(answer) for answer in answers] == [0, 3, 0, 3]
        assert_same([answers[1], answers[3]], [expected, expected])
    soundfile.write(tmp_path / "silent.wav", SILENCES[name].T, 44_100)
    assert classify(str(tmp_path / "silent.wav")) == []


def test_silent_windows_have_no_say(classify, rng) -> None:
    noise = rng.standard_normal(16_000)
    assert_same([classify(np.concatenate([noise, np.zeros(64_000)]))], [classify(np.append(noise, np.zeros(8_000)))])


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_of_silence_the_stock_pipeline_prefers_no_class(tmp_path, problem_type: str) -> None:
    save_model(tmp_path, problem_type=problem_type, logit_temperature=0.1)
    classify = AudioClassificationPipeline(
        model=AutoModelForAudioClassification.from_pretrained(tmp_path),
        feature_extractor=SpectrogramCNNFeatureExtractor.from_pretrained(tmp_path),
        device="cpu",
    )
    for silence in (np.zeros(20_000), np.full(900, 0.3)):
        found = list(scores(classify(silence)).values())
        assert found == pytest.approx([0.0 if problem_type.startswith("multi") else 1 / 3] * 3, abs=1e-6)


def test_of_several_classes_none_is_unknown(tmp_path) -> None:
    classify = load(save_model(tmp_path))
    classify.model.config.problem_type, classify.model.config.unknown_threshold = "multi_label_classification", 0.999
    assert {one["label"] for one in classify(np.random.default_rng(0).standard_normal(9_000))} == set(NAMES)
