import html
import re
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
from card_example import LABELS, RECORD, TRAINED_ON, example_run, example_training, recordings
from huggingface_hub import ModelCard, metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results
from markdown_it import MarkdownIt

from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.evaluation import Calibration
from hfaudio.hub import write_model_card
from hfaudio.hub.card_metadata import without_itself
from hfaudio.hub.markdown import NOTHING, code_block, markdown_text
from hfaudio.training import RunArguments, TrainedClassifier

EXPECTED = Path(__file__).with_name("expected_card.md")
COMMAND = "python scripts/train.py --dataset sounds --eval_folds 2"
REVIEW = ("confusion_matrix.png", "calibration.png", "predictions.csv", "top_losses.html")
HOSTILE = "a|b<script>{{x}}"


@pytest.fixture
def write(tmp_path):
    """Writes the card of a run and its training, and gives its text."""

    def run(
        trained: TrainedClassifier | None = None,
        arguments: RunArguments | None = None,
        name: str = "tones",
        command: str = COMMAND,
    ) -> str:
        trained, arguments = trained or example_training(), arguments or example_run()
        text = write_model_card(tmp_path, arguments, trained, name, command).read_text(encoding="utf-8")
        assert "\n\n\n" not in text
        assert not re.search(r"[ \t]$", text, re.MULTILINE)
        assert not re.search(r"\b(None|Undefined|nan)\b", text)
        return text

    return run


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def metadata_of(tmp_path: Path) -> dict:
    return metadata_load(tmp_path / "README.md")


def cross_validated() -> TrainedClassifier:
    """As `train_on_all` leaves it: all recordings trained on, each held out once before."""
    whole = recordings("all", [*TRAINED_ON, *LABELS], ("bark", "rain", "siren"))
    labels = np.array([*TRAINED_ON, *LABELS])
    logits = 4.0 * np.eye(3)[np.where(np.arange(len(labels)) % 6 == 5, (labels + 1) % 3, labels)]
    summary = {
        "metrics": {
            "accuracy": {"mean": 0.8333, "std": 0.0321, "pooled": 0.8333, "folds": {"1": 0.8, "2": 0.8666}},
            "macro_f1": {"mean": 0.82, "std": 0.03, "pooled": 0.825, "folds": {"1": 0.79, "2": 0.85}},
        },
        "temperature": 0.5412,
        "train_seconds": {"1": 500.0, "2": 700.0},
    }
    trained = example_training(
        split=datasets.DatasetDict(train=whole, test=whole.select([])),
        split_description="2 folds, each held out once",
        held_out=whole,
        logits=logits,
        calibration=Calibration.of_temperature(1.0, logits, labels),
        cross_validation=summary,
        metrics={"train_recordings": 18, "eval_recordings": 18},
    )
    del trained.metrics["eval_samples_per_second"]
    return trained


def test_the_whole_card(write, tmp_path) -> None:
    """If another card is wanted, look at the difference, and let `expected_card.md` have it."""
    (tmp_path / "eval").mkdir()
    for name in REVIEW:
        (tmp_path / "eval" / name).touch()
    assert write() == EXPECTED.read_text(encoding="utf-8")


def test_the_hub_reads_the_metadata(write, tmp_path) -> None:
    write()
    metadata = metadata_of(tmp_path)
    assert {name: metadata[name] for name in ("pipeline_tag", "library_name", "license")} == {
        "pipeline_tag": "audio-classification",
        "library_name": "transformers",
        "license": "unknown",
    }
    assert not {"datasets", "base_model", "co2_eq_emissions"} & set(metadata)
    name, results = model_index_to_eval_results(metadata["model-index"])
    assert name == "tones"
    assert [(one.metric_type, one.metric_name, one.metric_args, one.metric_value) for one in results] == [
        ("accuracy", "accuracy", None, 5 / 6),
        ("f1", "macro-F1", {"average": "macro"}, 0.8222),
    ]
    assert {(one.task_type, one.dataset_type, one.dataset_name, one.dataset_split) for one in results} == {
        ("audio-classification", "audiofolder", "sounds", "fold 2")
    }
    assert metadata["metrics"] == ["accuracy", "f1"]


def test_what_came_from_the_hub_is_named_by_its_id(write, tmp_path) -> None:
    flags = ("--dataset", "owner/sounds@v2", "--model_name_or_path", "owner/first@main")
    flags += ("--model_license", "cc-by-4.0")
    text = write(example_training(split_description="the given part test"), example_run(*flags), "owner/tones")
    metadata = metadata_of(tmp_path)
    assert metadata["datasets"] == ["owner/sounds"]
    assert metadata["base_model"] == "owner/first"
    assert metadata["license"] == "cc-by-4.0"
    _, (result, _) = model_index_to_eval_results(metadata["model-index"])
    assert (result.dataset_type, result.dataset_split, result.dataset_revision) == ("owner/sounds", "test", "v2")
    assert "trained further from [owner/first](https://huggingface.co/owner/first)." in text
    assert "\n# tones\n" in text
    assert 'model="owner/tones", trust_remote_code=True)' in text
    assert "stands for the path" not in text
    assert "The weights are under the licence `cc-by-4.0`." in text
    assert "Whether the model that it was trained further from has heard" in text


def test_a_model_is_not_its_own_base_and_its_revision_is_kept(write, tmp_path) -> None:
    revision = "0123456789abcdef0123456789abcdef01234567"
    run = example_run("--model_name_or_path", "owner/tones@v1")
    trained = example_training(record=replace(RECORD, base_model_revision=revision))
    at = f"[0123456789ab](https://huggingface.co/owner/tones/tree/{revision})"
    text = in_one_line(write(trained, run, "owner/other"))
    assert metadata_of(tmp_path)["base_model"] == "owner/tones"
    assert f"trained further from [owner/tones](https://huggingface.co/owner/tones) (revision {at})." in text
    for name in ("owner/tones", "Owner/Tones"):
        text = in_one_line(write(trained, run, name))
        assert "base_model" not in metadata_of(tmp_path)
        assert f"trained further from an earlier revision of itself ({at})." in text


def test_a_card_that_is_pushed_over_its_base_does_not_name_it(write, tmp_path) -> None:
    write(arguments=example_run("--model_name_or_path", "owner/tones"))
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert without_itself(card, "owner/other") == card
    pushed = without_itself(card, "Owner/tones")
    assert set(ModelCard(card).data.to_dict()) - set(ModelCard(pushed).data.to_dict()) == {"base_model"}
    assert ModelCard(pushed).text == ModelCard(card).text
    for other in ("no metadata, base_model: none", "---\nbase_model: [owner/tones, a/b]\n---\ntext"):
        assert without_itself(other, "owner/tones") == other


def test_a_local_model_and_several_local_data_sets_have_no_id(write, tmp_path) -> None:
    (tmp_path / "first").mkdir()
    flags = ("--model_name_or_path", tmp_path / "first", "--dataset", "one/a", "two.zip")
    (tmp_path / "one" / "a").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        text = write(arguments=example_run(*flags))
    assert not {"datasets", "base_model"} & set(metadata_of(tmp_path))
    assert "trained further from a model that is not on the Hub." in text
    assert "Measured on fold 2 of a and two.zip, 6 recordings" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("place", ["class", "data", "model", "attribution", "command"])
def test_the_text_of_others_stands_there_as_text(write, place: str) -> None:
    hostile = f"{HOSTILE}\n---\n# `x` **y** [z](z) &amp; $$ \\ {{% raw %}}"
    flags = ("--dataset", hostile if place == "data" else "sounds", "--eval_folds", "2")
    flags += ("--data_attribution", hostile) if place == "attribution" else ()
    name = hostile if place == "model" else "tones"
    command = f"train.py --run_name '{hostile}\n```\n<b>'" if place == "command" else COMMAND
    classes = (hostile if place == "class" else "bark", "rain", "siren")
    page = page_of(write(example_training(classes), example_run(*flags), name, command))
    assert "<script" not in page
    assert "<b>" not in page
    assert page.count("<h1>") == 1
    shown = html.unescape(re.sub(r"<[^>]*>", "", page))
    times = {"class": 4}  # in the first sentence, the table of classes, and on two sides of the matrix
    assert shown.count(hostile if place == "command" else " ".join(hostile.split())) >= times.get(place, 1)
    assert cells_of(page) == cells_of(page_of(write()))


def page_of(text: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(ModelCard(text).text)


def cells_of(page: str) -> list[int]:
    """How many cells each row of each table has."""
    return [len(re.findall("<t[hd]", row)) for row in page.split("<tr>")[1:]]


def test_a_model_of_several_classes(write, tmp_path) -> None:
    labels = [[0], [1], [], [0, 1], [2], [0]]
    held_out = recordings("test", labels, ("bark", "rain", "siren"))
    train = recordings("train", [[0, 1], [2], [], [1]], ("bark", "rain", "siren"))
    logits = np.where([[index in own for index in range(3)] for own in labels], 3.0, -3.0)
    trained = example_training(
        split=datasets.DatasetDict(train=train, test=held_out),
        held_out=held_out,
        logits=logits,
        calibration=Calibration.of_temperature(1.0, logits, labels),
        metrics={"eval_mean_average_precision": 0.75},
    )
    del trained.metrics["eval_accuracy"]
    trained.model.config.problem_type = "multi_label_classification"
    text = write(trained)
    assert "tells which of 3 classes of sound a recording holds, any number of them: bark, rain, siren." in text
    assert "| held-out recordings | mean average precision | macro-F1 |\n" in text
    assert "| rain | 2 | 2 | 1.000 | 1.000 | 1.000 |" in text
    assert "- What is none of the classes above is not named." in text
    for absent in ("taken for", "Wilson", "something else", "confusion"):
        assert absent not in text
    _, results = model_index_to_eval_results(metadata_of(tmp_path)["model-index"])
    assert [one.metric_type for one in results] == ["mean_average_precision", "f1"]


def test_a_model_after_a_cross_validation(write, tmp_path) -> None:
    text = write(cross_validated())
    assert "| held out | accuracy | macro-F1 | training |" in text
    assert "| 1 | 80.0% | 0.790 | 8.33 min |" in text
    assert "| **mean** | 83.3% ± 3.2% | 0.820 ± 0.030 | 10 min |" in text
    said = in_one_line(text)
    assert "over 2 folds, each held out once, of sounds, it reached **accuracy 83.3% ± 3.2%, macro-F1" in said
    assert "Each of the 18 recordings was predicted by a model that was trained on neither it nor its fold." in said
    assert "were then trained on 18 recordings of all folds, and were not scored themselves" in said
    assert "fitted on the predictions of all folds, and each fold judged by one that was fitted on the others." in said
    assert "none stands in two folds." in said
    assert "| training of the folds | 20 min in all |" in text
    assert "| bark | 7 | 7 |" in text
    assert "cross_validate.py" not in text
    assert "recordings a second" not in text
    _, (accuracy, _) = model_index_to_eval_results(metadata_of(tmp_path)["model-index"])
    assert (accuracy.metric_name, accuracy.metric_value) == ("accuracy, mean of the folds", 0.8333)
    assert accuracy.dataset_split == "2 folds, each held out once"


def test_recordings_that_were_streamed_have_no_hash(write) -> None:
    trained = example_training()
    train = trained.split["train"].remove_columns("content_hash")
    unknown = train.add_column("content_hash", [None] * len(train), feature=datasets.Value("string"))
    files = write(example_training(split=datasets.DatasetDict(train=unknown, test=trained.split["test"])))
    table = write(example_training(split=datasets.DatasetDict(test=trained.split["test"])))
    assert f"| train | 12 | 6 | {NOTHING} |" in files
    assert f"| together | 18 | 9 | {NOTHING} |" in files
    assert "| train |" not in table
    assert f"| bark | {NOTHING} | 2 |" in table
    for text in (files, table):
        assert "was streamed: it has no hash" in text
        assert "copies were looked for" not in text
        assert "load_audio_dataset" not in text
        assert re.search(r"\| test \| 6 \| 3 \| `[0-9a-f]{64}` \|", text)


def test_the_hash_is_that_of_the_data_set_whatever_the_order(write, audio) -> None:
    half = len(audio.dataset) // 2
    changes = {"held_out": audio.dataset, "logits": np.eye(10)[audio.dataset["label"]]}
    parts = {"train": audio.dataset.select(range(half, 2 * half)), "test": audio.dataset.select(range(half))}
    trained = example_training(**changes, split=datasets.DatasetDict(parts))
    trained.model.config.id2label = dict(enumerate(audio.class_names))
    assert f"| together | 50 | {NOTHING} | `{audio.content_hash}` |" in write(trained)


def test_it_says_what_is_known_of_the_sources(write) -> None:
    def sources(train: list, test: list) -> TrainedClassifier:
        given = example_training()
        parts = {}
        for name, groups in (("train", train), ("test", test)):
            rows = given.split[name].remove_columns("group")
            parts[name] = rows.add_column("group", groups, feature=datasets.Value("string"))
        return example_training(split=datasets.DatasetDict(parts))

    assert "Whole sources were kept together: none stands on both sides." in write()
    groups = ["a"] * 6 + ["b"] * 6
    assert "- **1 source stands on both sides**" in write(sources(groups, ["b", "b", "c", "c", "d", "d"]))
    assert "- **2 sources stand on both sides**: the score flatters." in write(sources(groups, ["b", "a"] * 3))
    unknown = write(sources([None] * 12, [None] * 6))
    assert "What the recordings were cut from is not known." in unknown
    assert "Find out what the recordings were cut from (`--group_column`)" in unknown
    assert f"| train | 12 | {NOTHING} |" in unknown


def test_what_is_called_unknown(write) -> None:
    text = in_one_line(write(example_training(metrics={"unknown_threshold": 0.6406, "false_reject_rate": 0.05})))
    assert "has a probability below 0.641, a recording is called unknown." in text
    assert "that befalls at most 5.0 %; how many others it finds out is not measured." in text
    assert "The first label is `unknown` where no class is probable enough." in text
    assert "something else" not in text


def test_how_far_probabilities_can_be_believed(write) -> None:
    calibrated = in_one_line(write())
    assert "A probability is off by 2.1 points on average (expected calibration error); without" in calibrated
    assert "without the temperature of 0.541, by which the model divides its logits, by 12.6 points." in calibrated
    assert "on the held-out part, and each part of it judged by one that was fitted on the others." in calibrated
    watched = in_one_line(write(example_training(metrics={"validation_recordings": 7})))
    assert "The temperature was fitted on the validation part." in watched
    plain = in_one_line(write(example_training(metrics={"temperature": 1.0, "eval_ece": 0.1261})))
    assert "off by 12.6 points on average (expected calibration error), as the training left it." in plain
    refused = Calibration.of_temperature(1.0, 4.0 * np.eye(3)[LABELS], LABELS, "it needs at least 50 recordings")
    said = in_one_line(write(example_training(metrics={"temperature": 1.0, "eval_ece": 0.1261}, calibration=refused)))
    assert "(expected calibration error); no temperature was kept: it needs at least 50 recordings." in said


def test_co2_stands_there_only_if_it_was_measured(write, tmp_path) -> None:
    assert "CO2" not in write()
    text = write(example_training(record=replace(RECORD, co2_kg=0.0123, device="NVIDIA H100", processes=2)))
    assert "| CO2 equivalents | 12.3 g, measured by codecarbon |" in text
    assert "| training | 10 min on 2 processes, each on NVIDIA H100 |" in text
    assert metadata_of(tmp_path)["co2_eq_emissions"] == {
        "emissions": 12.3,
        "source": "codecarbon",
        "training_type": "pre-training",
        "hardware_used": "NVIDIA H100",
    }


def test_the_built_in_sounds_are_said_to_be_synthetic(write, tmp_path) -> None:
    arguments = RunArguments.from_flags(CommandLineParser(RunArguments.parts()), ["--use_cpu"])
    text = write(arguments=arguments)
    assert "**The training sounds are synthetic.**" in text
    assert "Measured on fold 2 of the built-in synthetic sounds, 6" in text
    assert "- Train on real recordings." in text
    assert metadata_of(tmp_path)["license"] == "apache-2.0"


def test_many_classes_have_no_matrix_but_pairs(write) -> None:
    names = [f"class {index}" for index in range(40)]
    labels = list(range(40))
    trained = example_training(
        names,
        split=datasets.DatasetDict(train=recordings("train", labels, names), test=recordings("test", labels, names)),
        held_out=recordings("test", labels, names),
        logits=np.roll(np.eye(40), 1, axis=1) + 2 * np.eye(40) * (np.arange(40) < 37),
    )
    text = write(trained)
    assert "class 29 and 10 more." in text
    assert "| is | was taken for | times |\n| --- | --- | ---: |\n| class 37 | class 38 | 1 |\n" in text
    assert text.count("| class 39 |") == 3  # of the classes, is taken and was taken
    right = write(replace(trained, logits=np.eye(40)))
    assert "Nothing was taken for anything else." in right
    assert "- Tell " not in right


def test_only_what_lies_there_is_shown(write, tmp_path) -> None:
    assert "eval/" not in write()
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "confusion_matrix.png").touch()
    text = write()
    assert "](eval/confusion_matrix.png)" in text
    assert "calibration.png" not in text


def test_an_underscore_within_a_word_stays_as_it_is() -> None:
    assert markdown_text("dog_bark") == "dog_bark"
    assert markdown_text("_dog_ bark\tb") == "&#95;dog&#95; bark b"
    assert markdown_text(markdown_text("<b>")) == "&#60;b&#62;"
    assert code_block("a ```` b", "text") == "`````text\na ```` b\n`````"


def test_names_that_turn_the_text_round_or_are_none(write) -> None:
    assert markdown_text("\u202egnp|") == "&#92;u202egnp&#124;"
    text = write(example_training(("\u202egnp", "x" * 300, "🐶")), name="caf\udce9")
    assert "\u202e" not in text
    assert 'model="caf\\xe9", trust_remote_code=True)' in text


def test_paths_that_are_not_text_are_shown_escaped(write) -> None:
    text = write(name="model\udcff", command="python scripts/train.py --dataset 'sounds\udcfe'")
    assert "model\\xff" in text
    assert "--dataset 'sounds\\xfe'" in text
