import shutil
from pathlib import Path

import datasets
import pytest

from hfaudio.data import DataError, archives, load_audio_dataset, write_split
from hfaudio.training import DataArguments


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"test_size": 0.0}, "--test_size must be above 0 and at most 0.5, found 0.0."),
        ({"validation_size": 0.6}, "--validation_size must be from 0 to 0.5, found 0.6."),
        (
            {"validation_size": 0.1, "streaming": True},
            "--validation_size decodes all recordings first, --streaming does not: give one of them.",
        ),
        ({"test_size": 0.6}, "--test_size must be above 0 and at most 0.5, found 0.6."),
        ({"preparation_processes": 0}, "--preparation_processes must be at least 1, found 0."),
        ({"label_column": "kind"}, "--label_column needs a --dataset, found none."),
        ({"group_pattern": "(.)"}, "--group_pattern needs a --dataset, found none."),
        (
            {"dataset": ["x"], "group_column": "g", "group_pattern": "(.)"},
            "--group_column and --group_pattern both name the sources: give one of them.",
        ),
        ({"decoder": "odd"}, "--decoder must be one of auto, soundfile, torchcodec, found 'odd'."),
        ({"trim_silence": "odd"}, "--trim_silence must be one of none, ends, throughout, found 'odd'."),
        ({"on_bad": "odd"}, "--on_bad must be one of skip, fail, found 'odd'."),
        ({"num_folds": 1, "eval_folds": ["1"]}, "--num_folds must be at least 2, found 1."),
        (
            {"dataset": ["x"], "num_folds": 5, "eval_folds": ["1"], "fold_column": "f"},
            "--num_folds makes folds and --fold_column names given ones: give one of them.",
        ),
        (
            {"eval_folds": ["1"], "split": "random"},
            "--eval_folds and --split random both say what to hold out: give one of them.",
        ),
        (
            {"streaming": True, "on_bad": "fail"},
            "--on_bad fail decodes all recordings first, --streaming does not: give one of them.",
        ),
    ],
)
def test_flags_that_cannot_be_are_named(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        DataArguments(**arguments)
    assert str(error.value) == sentence


GROUPS = [f"s{index // 2}" for index in range(20)]
PARTS = ["train", "train", "train", "test", "validation"] * 4


@pytest.mark.parametrize(
    ("arguments", "rows", "held_out", "description"),
    [
        ({}, {}, 4, "20% (recordings at random)"),
        ({"test_size": 0.3}, {}, 6, "30% (recordings at random)"),
        ({"test_size": 0.125}, {"folds": ["1", "2"] * 10}, 2, "12.5% (recordings at random)"),
        ({}, {"groups": GROUPS}, 4, "20% (whole sources)"),
        ({}, {"groups": [*GROUPS[:10], *[None] * 10]}, 4, "20% (whole sources)"),
        ({"split": "random"}, {"groups": GROUPS, "folds": PARTS}, 4, "20% (recordings at random)"),
        ({}, {"folds": PARTS}, 4, "the given part test"),
        ({"dataset": ["x"], "fold_column": "part"}, {"folds": PARTS}, 4, "the given part test"),
        ({"eval_folds": ["validation"]}, {"folds": PARTS}, 4, "fold validation"),
        ({"eval_folds": ["test", "validation"]}, {"folds": PARTS}, 8, "fold test, validation"),
        ({"dataset": ["x"], "fold_column": "none"}, {}, 4, "20% (recordings at random)"),
        ({"eval_folds": ["1"], "num_folds": 5}, {"groups": GROUPS}, 4, "fold 1 of 5 made with seed 0"),
        ({"eval_folds": ["1", "4"], "num_folds": 5}, {"folds": PARTS}, 8, "fold 1, 4 of 5 made with seed 0"),
        (
            {"dataset": ["x"], "eval_folds": ["1"], "num_folds": 4, "fold_column": "none"},
            {},
            5,
            "fold 1 of 4 made with seed 0",
        ),
    ],
)
def test_what_is_held_out_follows_the_flags_and_what_is_known(
    make_rows, arguments: dict, rows: dict, held_out: int, description: str
) -> None:
    split, words = DataArguments(**arguments).divide(make_rows("aabb" * 5, **rows), seed=0)
    assert words == description
    assert len(split["test"]) == held_out
    assert len(split["train"]) + len(split["test"]) == 20
    if "sources" in words or "made" in words:
        assert not set(split["train"]["group"]) & set(split["test"]["group"]) - {None}


def test_given_folds_without_one_to_hold_out_are_refused(make_rows) -> None:
    with pytest.raises(DataError) as error:
        DataArguments(dataset=["x"], fold_column="f").divide(make_rows("ab" * 5, folds="12" * 5), seed=0)
    assert str(error.value) == (
        "Expected --eval_folds with --fold_column f, found none, and no fold named test; name the folds to hold out."
    )


def test_the_seed_decides_what_is_held_out(make_rows) -> None:
    dataset = make_rows("ab" * 20)
    for arguments in ({}, {"num_folds": 4, "eval_folds": ["2"]}):
        one, again, other = (DataArguments(**arguments).divide(dataset, seed)[0]["test"] for seed in (0, 0, 1))
        assert one["file_name"][:] == again["file_name"][:] != other["file_name"][:]


def test_one_of_the_made_folds_must_be_named(make_rows) -> None:
    with pytest.raises(DataError, match="--num_folds needs --eval_folds, found none; name the fold to hold out"):
        DataArguments(num_folds=5).divide(make_rows("ab" * 10), seed=0)


def test_a_known_source_that_is_divided_at_random_is_warned_of(make_rows, caplog) -> None:
    dataset = make_rows("ab" * 10, groups=["s", "t"] * 10)
    DataArguments(split="random").divide(dataset, seed=0)
    assert "found 2 sources on both sides of the split, with 4 of 4 held-out recordings" in caplog.text


def test_the_split_of_an_earlier_run_is_taken_again(make_rows, tmp_path) -> None:
    dataset = make_rows("ab" * 10)
    split, _ = DataArguments().divide(dataset, seed=5)
    write_split(split, tmp_path / "split.csv")
    again, words = DataArguments(split=str(tmp_path / "split.csv")).divide(dataset, seed=0)
    assert words == "what split.csv holds out"
    assert again["test"]["file_name"][:] == split["test"]["file_name"][:]


def test_several_data_sets_are_taken_together(two_classes, write_tone) -> None:
    write_tone("more/low/9.wav", frequency=300)
    write_tone("more/high/9.wav", frequency=3000)
    arguments = DataArguments(dataset=[str(two_classes), str(two_classes.with_name("more"))], preparation_processes=1)
    audio = arguments.load(16_000)
    assert len(audio.dataset) == 10
    assert audio.class_names == ["high", "low"]
    one = DataArguments(dataset=[str(two_classes)], trim_silence="ends", preparation_processes=1).load(8_000)
    assert one.sampling_rate == 8_000
    assert one.dataset["file_name"][0] == "high/0.wav"


def test_bad_recordings_are_left_out_or_refused(two_classes) -> None:
    (two_classes / "low" / "0.wav").write_bytes(b"")
    flags = {"dataset": [str(two_classes)], "preparation_processes": 1}
    assert [bad.file_name for bad in DataArguments(**flags).load(16_000).left_out] == ["low/0.wav"]
    with pytest.raises(DataError, match=r"\(on_bad is fail\), found low/0\.wav \(the file is empty"):
        DataArguments(**flags, on_bad="fail").load(16_000)


def test_an_archive_that_packs_too_well_needs_a_flag(two_classes, tmp_path, monkeypatch) -> None:
    archive = shutil.make_archive(str(tmp_path / "silence"), "zip", two_classes)
    monkeypatch.setattr(archives, "_LARGE_BYTES", 1_000)
    monkeypatch.setattr(archives, "_LARGE_RATIO", 0)
    with pytest.raises(DataError, match="give --allow_large_archives"):
        DataArguments(dataset=[archive]).listing()
    with pytest.raises(DataError, match="give --allow_large_archives"):
        load_audio_dataset(archive)
    assert len(DataArguments(dataset=[archive], allow_large_archives=True).listing().recordings) == 8
    shutil.rmtree(Path(datasets.config.HF_DATASETS_CACHE) / "hfaudio" / "archives")
    assert len(load_audio_dataset([archive], allow_large_archives=True, num_proc=1).dataset) == 8


def test_given_folds_that_are_not_used_are_told(make_rows, caplog) -> None:
    rows = make_rows("abab" * 5, folds=["1", "2"] * 10)
    DataArguments(dataset=["sounds"]).divide(rows, seed=0)
    assert caplog.messages == ["The given folds 1, 2 are not used: name those to hold out with --eval_folds."]
    caplog.clear()
    DataArguments(dataset=["sounds"], split="random").divide(rows, seed=0)
    DataArguments(dataset=["sounds"], eval_folds=["1"]).divide(make_rows("aabb" * 5, folds=["1", "2"] * 10), seed=0)
    DataArguments().divide(rows, seed=0)
    assert caplog.messages == []
