"""What stands behind the page of a Space, without a page."""

import csv
import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e '.[space]'")

SPACE = Path(__file__).parents[2] / "hfaudio" / "hub" / "space"


@pytest.fixture(scope="module")
def app() -> Iterator[ModuleType]:
    sys.path.insert(0, str(SPACE))
    yield importlib.import_module("app")
    sys.path.remove(str(SPACE))
    for name in ("app", "drawing", "listening"):
        del sys.modules[name]


@pytest.fixture
def listening(app) -> ModuleType:
    return sys.modules["listening"]


@pytest.fixture
def classifier(tiny_model, extractor):
    from hfaudio.model.pipeline_spectrogram_cnn import SpectrogramCNNPipeline

    tiny_model.config.logit_temperature = 1_000.0  # lest one class have all of the probability
    return SpectrogramCNNPipeline(model=tiny_model, feature_extractor=extractor, device="cpu")


def test_a_recording_below_the_threshold_is_unknown(listening) -> None:
    scores = {"dog": 0.6, "rain": 0.3, "bell": 0.1}
    assert listening.judge(scores, 0.0, multi_label=False) == "dog"
    assert listening.judge(scores, 0.6, multi_label=False) == "dog"
    assert listening.judge(scores, 0.61, multi_label=False) == "unknown"
    assert listening.judge(scores, 0.3, multi_label=True) == "dog, rain"
    assert listening.judge(scores, 0.7, multi_label=True) == "unknown"


@pytest.mark.parametrize(("samples", "window"), [(1, 10), (10, 10), (11, 10), (99, 10), (10**9, 10)])
def test_windows_reach_from_the_first_sample_to_the_last(listening, samples, window) -> None:
    starts = listening.window_starts(samples, window)
    assert starts[0] == 0
    assert starts[-1] == max(samples - window, 0)
    assert len(starts) <= listening.MOST_WINDOWS
    if len(starts) < listening.MOST_WINDOWS:
        assert (np.diff(starts) <= window / 2).all()


def test_a_recording_is_heard_as_the_pipeline_hears_it(listening, classifier, write_tone) -> None:
    path = write_tone("tone.wav", rate=22_050, seconds=2.0, channels=2)
    heard = listening.listen(classifier, str(path))
    expected = {one["label"]: one["score"] for one in classifier(str(path))}
    assert heard.scores == pytest.approx(expected, abs=1e-5)
    assert list(heard.scores.values()) == sorted(heard.scores.values(), reverse=True)
    assert heard.seconds == 2.0
    assert len(heard.window_middles) == 13
    assert heard.window_middles[[0, -1]] == pytest.approx([0.25, 1.75])
    first = classifier({"array": soundfile.read(path)[0][:11_025].mean(axis=1), "sampling_rate": 22_050})
    for one in first:
        assert heard.window_scores[one["label"]][0] == pytest.approx(one["score"], abs=1e-5)


def test_the_spectrogram_shows_a_tone_where_it_is(listening, classifier, tmp_path) -> None:
    time = np.arange(32_000) / 16_000
    soundfile.write(tmp_path / "tone.wav", np.where(time < 1, 0.5 * np.sin(2 * np.pi * 1_000 * time), 0), 16_000)
    picture = listening.listen(classifier, str(tmp_path / "tone.wav")).spectrogram
    mel = 2595 * np.log10(1 + np.array([1_000, 8_000]) / 700)
    loudest = picture[:, picture.shape[1] // 4].argmax()
    assert loudest / picture.shape[0] == pytest.approx(mel[0] / mel[1], abs=0.02)
    assert picture[:, : picture.shape[1] // 3].max() > picture[:, -picture.shape[1] // 3 :].max() + 60


def test_the_picture_has_a_line_a_class_and_the_threshold(app, listening, classifier, write_tone) -> None:
    heard = listening.listen(classifier, str(write_tone("tone.wav", seconds=1.0)))
    _, scores = app.draw(heard, 2, 0.4).axes
    *classes, threshold = scores.get_lines()
    assert [line.get_label() for line in classes] == list(heard.scores)[:2]
    assert list(classes[0].get_xdata()[[0, -1]]) == [0.0, 1.0]
    assert set(threshold.get_ydata()) == {0.4}
    assert len(app.draw(heard, 3, 0.0).axes[1].get_lines()) == 3
    assert not any(axes.get_facecolor()[3] for axes in app.draw(heard, 1, 0.0).axes)  # the page is light or dark


def damaged(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    if kind == "empty":
        soundfile.write(path, np.zeros(0), 16_000)
    elif kind == "endless":
        soundfile.write(path, np.zeros(1_000 * 60 * 31, np.int16), 1_000)
    else:
        path.write_bytes(b"" if kind == "nothing" else b"not a sound" * 50)
    return path


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("text", r"text\.wav cannot be read as audio \(Format not recognised\): use WAV, FLAC, Ogg or MP3\."),
        ("nothing", r"nothing\.wav cannot be read as audio \(.*\): use WAV"),
        ("empty", r"empty\.wav holds no sound"),
        ("endless", r"endless\.wav is 31 minutes long, and 30 are read here at most: cut it\."),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(listening, tmp_path, kind, sentence) -> None:
    with pytest.raises(ValueError, match=rf"^{sentence}"):
        listening.read_recording(str(damaged(tmp_path, kind)))


def test_silence_is_told_in_words(app, listening, classifier, tmp_path) -> None:
    path = tmp_path / "silent.wav"
    soundfile.write(path, np.zeros(16_000), 16_000)
    heard = listening.listen(classifier, str(path))
    assert heard.scores == heard.window_scores == {}
    for multi_label in (False, True):
        assert listening.judge(heard.scores, 0.0, multi_label) == "wholly silent"
    assert not app.draw(heard, 5, 0.0).axes[1].get_lines()
    ((_, _, _, label, score, *_, error),) = app.table_rows(classifier, [str(path)], threshold=0.0)
    assert (label, score, error) == (None, None, "wholly silent")


def test_silent_windows_have_no_class(listening, classifier, tmp_path) -> None:
    tone = np.sin(np.arange(16_000))
    soundfile.write(tmp_path / "half.wav", np.append(tone, np.zeros(16_000)), 16_000)
    heard = listening.listen(classifier, str(tmp_path / "half.wav"))
    assert set(heard.window_scores) == set(heard.scores)
    assert all(scores[0] > 0.0 and scores[-1] == 0.0 for scores in heard.window_scores.values())


def test_a_table_has_a_row_a_file_and_an_error_where_one_cannot_be_read(app, classifier, write_tone, tmp_path) -> None:
    good = write_tone("good, 1.wav", seconds=1.0)
    columns = app.table_columns(3)
    rows = app.table_rows(classifier, [str(good), str(damaged(tmp_path, "text"))], threshold=0.0)
    read = list(csv.DictReader(io.StringIO(app.write_csv(columns, rows).decode())))
    assert [row["file"] for row in read] == ["good, 1.wav", "text.wav"]
    expected = classifier(str(good))
    assert [read[0][name] for name in ("label", "label_2", "label_3")] == [one["label"] for one in expected]
    assert float(read[0]["score_2"]) == pytest.approx(expected[1]["score"], abs=1e-5)
    assert (float(read[0]["start"]), float(read[0]["end"]), read[0]["error"]) == (0.0, 1.0, "")
    assert "cannot be read as audio" in read[1]["error"]
    assert not any(read[1][name] for name in columns if name not in ("file", "error"))
    (unknown,) = app.table_rows(classifier, [str(good)], threshold=0.99)
    assert unknown[columns.index("label")] == "unknown"
    assert unknown[columns.index("score")] == pytest.approx(expected[0]["score"], abs=1e-5)


def test_the_columns_are_those_of_predict(app) -> None:
    from hfaudio.inference.prediction_table import table_columns

    for ranks in (1, 3):
        assert app.table_columns(ranks) == list(table_columns(ranks))


def test_settings_come_from_the_environment_or_the_file(app, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(app, "HERE", tmp_path)
    monkeypatch.delenv("MODEL", raising=False)
    with pytest.raises(SystemExit, match=r"Expected settings\.json in .* or MODEL in the environment, found neither"):
        app.read_settings()
    (tmp_path / "settings.json").write_text('{"model": "owner/sounds", "revision": "abc"}')
    assert app.read_settings() == ("owner/sounds", "abc")
    monkeypatch.setenv("MODEL", "runs/latest")
    assert app.read_settings() == ("runs/latest", None)


def test_the_slider_starts_at_the_models_own_threshold(app, monkeypatch, classifier) -> None:
    monkeypatch.setattr(app, "pipeline", lambda *_, **__: classifier)
    assert app.load_classifier("any", None)[1] == 0.0
    classifier.model.config.unknown_threshold = 0.35
    loaded, threshold = app.load_classifier("any", None)
    assert threshold == 0.35
    assert loaded.model.config.unknown_threshold is None
    classifier.model.config.problem_type = "multi_label_classification"
    assert app.load_classifier("any", None)[1] == 0.5
