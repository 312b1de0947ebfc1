from datetime import date
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants
import pytest

from hfaudio.data.errors import DataError
from hfaudio.data.ready_datasets import holds_audio, is_hub_id, list_dataset
from hfaudio.data.recordings import Columns, EmbeddedAudio, Recording
from hfaudio.data.sources import list_recordings

NAMES = ["cat", "dog"]

# What `Audio` stores; to make a column of that type at once, datasets needs torchcodec.
STORED_AUDIO = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}


@pytest.fixture
def tones(write_tone) -> list[Path]:
    return [write_tone(f"{name}.wav") for name in ("a", "b", "c")]


def embedded(paths: list[Path], **columns: Any) -> datasets.Dataset:
    """A data set that holds files, as the Hub has them, with the labels `cat`, `dog`, `cat`, ..."""
    features = {
        "audio": STORED_AUDIO,
        "label": datasets.ClassLabel(names=NAMES),
    }
    rows = {
        "audio": [{"bytes": path.read_bytes(), "path": path.name} for path in paths],
        "label": [index % 2 for index in range(len(paths))],
    }
    dataset = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    dataset = dataset.cast_column("audio", datasets.Audio(decode=False))
    for name, values in columns.items():
        dataset = dataset.add_column(name, values)
    return dataset


def list_one(dataset: datasets.Dataset | datasets.DatasetDict, **columns: str) -> list[Recording]:
    return list_dataset(dataset, Columns(**columns)).recordings


@pytest.mark.parametrize("text", ["ashraq/esc50", "a.b/c-d_e", "me/sounds@v1.0", "me/sounds@refs/convert/parquet"])
def test_ids_of_the_hub(text: str) -> None:
    assert is_hub_id(text)


@pytest.mark.parametrize("text", ["sounds", "./sounds", "../sounds", "/data/sounds", "a/b/c", "a/b@", "a b/c", "~/x"])
def test_other_texts(text: str) -> None:
    assert not is_hub_id(text)


def test_rows_hold_their_audio(tones) -> None:
    recordings = list_one(embedded(tones))
    assert [(r.file_name, r.labels) for r in recordings] == [
        ("a.wav", ("cat",)),
        ("b.wav", ("dog",)),
        ("c.wav", ("cat",)),
    ]
    assert [r.encoded() for r in recordings] == [path.read_bytes() for path in tones]


def test_rows_that_were_chosen_and_shuffled_keep_their_audio(tones) -> None:
    recordings = list_one(embedded(tones).select([2, 0]))
    assert [r.file_name for r in recordings] == ["c.wav", "a.wav"]
    assert [r.encoded() for r in recordings] == [tones[2].read_bytes(), tones[0].read_bytes()]


def test_many_rows_keep_their_order(tones) -> None:
    dataset = embedded(tones * 100)
    recordings = list_one(dataset)
    assert [r.file_name for r in recordings[99:102]] == ["row-000099-a.wav", "row-000100-b.wav", "row-000101-c.wav"]
    assert len({r.file_name for r in recordings}) == 300


def test_rows_without_names_are_numbered(tones) -> None:
    dataset = datasets.Dataset.from_dict(
        {"audio": [{"bytes": path.read_bytes(), "path": None} for path in tones[:2]], "label": ["x", "y"]}
    )
    assert [r.file_name for r in list_one(dataset)] == ["row-000000", "row-000001"]


def test_files_that_a_table_names_are_recordings_by_their_paths(tones) -> None:
    dataset = datasets.Dataset.from_dict({"audio": [str(path) for path in tones], "label": [7, 8, 7]})
    recordings = list_one(dataset.cast_column("audio", datasets.Audio()))
    assert [(r.file_name, r.audio, r.labels) for r in recordings] == [
        (path.name, str(path), (label,)) for path, label in zip(tones, "787", strict=True)
    ]


def test_rows_without_audio_are_empty(tones) -> None:
    dataset = embedded(tones[:2])
    nothing = datasets.Dataset.from_dict({"audio": [None], "label": [0]}, features=dataset.features)
    recording = list_one(datasets.concatenate_datasets([dataset, nothing]))[2]
    assert isinstance(recording.audio, EmbeddedAudio)
    assert recording.encoded() == b""


def test_the_parts_of_a_dataset_dict_are_folds(tones) -> None:
    parts = datasets.DatasetDict(train=embedded(tones[:2]), test=embedded(tones[:1]))
    assert [(r.file_name, r.fold) for r in list_one(parts)] == [
        ("train/a.wav", "train"),
        ("train/b.wav", "train"),
        ("test/a.wav", "test"),
    ]


def test_lists_of_class_labels(tones) -> None:
    features = datasets.Features({"tags": datasets.List(datasets.ClassLabel(names=NAMES))})
    tags = datasets.Dataset.from_dict({"tags": [[1, 0, 1], [], [0]]}, features=features)
    dataset = datasets.concatenate_datasets([embedded(tones).remove_columns("label"), tags], axis=1)
    listing = list_dataset(dataset, Columns())
    assert listing.multi_label
    assert [r.labels for r in listing.recordings] == [("dog", "cat"), (), ("cat",)]


def test_lists_of_texts_and_texts_with_a_separator(tones) -> None:
    dataset = embedded(tones, tags=[["x", " y "], [], ["x"]], words=["x; y", "", "x"])
    listing = list_dataset(dataset, Columns(label="tags"))
    assert (listing.multi_label, [r.labels for r in listing.recordings]) == (True, [("x", "y"), (), ("x",)])
    listing = list_dataset(dataset, Columns(label="words", label_separator=";"))
    assert (listing.multi_label, [r.labels for r in listing.recordings]) == (True, [("x", "y"), (), ("x",)])


def test_the_usual_name_is_the_label_where_there_are_several_class_labels(tones) -> None:
    dataset = embedded(tones, fold=[0, 1, 0]).cast_column("fold", datasets.ClassLabel(names=["one", "two"]))
    assert [(r.labels, r.fold) for r in list_one(dataset)] == [
        (("cat",), "one"),
        (("dog",), "two"),
        (("cat",), "one"),
    ]


def test_folds_and_groups_are_found_unless_turned_off(tones) -> None:
    dataset = embedded(tones, fold=[1.0, 2.0, None], speaker_id=["me", "", None])
    assert [(r.fold, r.group) for r in list_one(dataset)] == [("1", "me"), ("2", None), (None, None)]
    assert [(r.fold, r.group) for r in list_one(dataset, fold="none", group="none")] == [(None, None)] * 3
    assert [r.group for r in list_one(dataset, group="fold")] == ["1", "2", None]


def test_files_have_the_names_that_a_column_tells(tones) -> None:
    dataset = embedded(tones, file_name=["x/a.wav", "y/a.wav", None])
    assert [r.file_name for r in list_one(dataset)] == ["x/a.wav", "y/a.wav", "c.wav"]
    assert [r.file_name for r in list_one(embedded(tones, file_name=[1, 2, 3]))] == ["a.wav", "b.wav", "c.wav"]


def test_spans(tones) -> None:
    dataset = embedded(tones, start=[0.0, 0.1, 0.0], end=[0.1, 0.2, None])
    assert all(r.start is r.end is None for r in list_one(dataset))
    usual = list_one(dataset.rename_columns({"start": "span_start", "end": "span_end"}))
    assert [(r.start, r.end) for r in usual] == [(0.0, 0.1), (0.1, 0.2), (0.0, None)]
    recordings = list_one(dataset, start="start", end="end")
    assert [(r.file_name, r.start, r.end) for r in recordings] == [
        ("a.wav#0-0.1", 0.0, 0.1),
        ("b.wav#0.1-0.2", 0.1, 0.2),
        ("c.wav#0-", 0.0, None),
    ]
    with pytest.raises(DataError, match=r"Expected the end after the start in row 0 \(a.wav\), found 0.1 s to 0 s;"):
        list_one(dataset, start="end", end="start")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"file": "sound"}, "Expected a column 'sound' in the data set, found audio, label; see --file_column."),
        ({"label": "kind"}, "Expected a column 'kind' in the data set, found audio, label; see --label_column."),
        ({"fold": "part"}, "Expected a column 'part' in the data set, found audio, label; see --fold_column."),
        ({"group": "who"}, "see --group_column."),
        ({"start": "from"}, "see --start_column."),
    ],
)
def test_columns_that_do_not_exist_are_named(tones, columns: dict[str, str], sentence: str) -> None:
    with pytest.raises(DataError) as error:
        list_one(embedded(tones), **columns)
    assert str(error.value).endswith(sentence)


def test_missing_and_ambiguous_columns_are_named(tones) -> None:
    dataset = embedded(tones)
    with pytest.raises(DataError, match="Expected one audio column, found none among label; name it with --file_col"):
        list_one(dataset.remove_columns("audio"))
    with pytest.raises(DataError, match="Expected one label column, found none among audio; name it with --label_col"):
        list_one(dataset.remove_columns("label"))
    twice = dataset.add_column("sound", dataset["audio"][:])
    with pytest.raises(DataError, match="Expected one audio column, found audio, sound among audio, label, sound;"):
        list_one(twice)
    assert len(list_one(twice, file="sound")) == 3


@pytest.mark.parametrize("nothing", [-1, None])
def test_rows_without_a_label_are_named(tones, nothing: int | None) -> None:
    dataset = embedded(tones[:1])
    features = datasets.Features({**dataset.features, "audio": STORED_AUDIO})
    unlabelled = datasets.Dataset.from_dict({"audio": [dataset[0]["audio"]], "label": [nothing]}, features=features)
    unlabelled = unlabelled.cast_column("audio", datasets.Audio(decode=False))
    with pytest.raises(DataError) as error:
        list_one(datasets.concatenate_datasets([dataset, unlabelled]))
    assert str(error.value) == (
        "Expected a label in column 'label', found none in row 1 (row-000001-a.wav); filter such rows out."
    )


def test_a_parquet_folder_as_the_hub_lays_it_out(tones, tmp_path) -> None:
    (tmp_path / "a@b" / "data").mkdir(parents=True)
    embedded(tones).to_parquet(tmp_path / "a@b" / "data" / "train-00000-of-00001.parquet")
    embedded(tones[:1]).to_parquet(tmp_path / "a@b" / "data" / "test-00000-of-00001.parquet")
    recordings = list_recordings(tmp_path / "a@b").recordings
    assert [(r.file_name, r.labels, r.fold) for r in recordings] == [
        ("train/a.wav", ("cat",), "train"),
        ("train/b.wav", ("dog",), "train"),
        ("train/c.wav", ("cat",), "train"),
        ("test/a.wav", ("cat",), "test"),
    ]
    assert recordings[1].encoded() == tones[1].read_bytes()


def test_one_parquet_file_with_audio(tones, tmp_path) -> None:
    embedded(tones).to_parquet(tmp_path / "all.parquet")
    assert holds_audio(tmp_path / "all.parquet")
    recordings = list_recordings(tmp_path / "all.parquet").recordings
    assert [(r.file_name, r.labels, r.fold) for r in recordings][1:2] == [("b.wav", ("dog",), None)]


def test_a_parquet_folder_with_paths_starts_them_in_the_folder(tones, tmp_path) -> None:
    (tmp_path / "data").mkdir()
    rows = {"file_name": ["b.wav", "c.wav"], "label": ["x", "y"]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    recordings = list_recordings(tmp_path).recordings
    assert [r.audio for r in recordings] == [str(tones[1]), str(tones[2])]


def test_parquet_files_that_are_none_are_named(tones, tmp_path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "train.parquet").write_text("words")
    with pytest.raises(DataError, match="Expected Parquet tables of recordings in .*p, found .*; save them again"):
        list_recordings(tmp_path / "p")


@pytest.mark.parametrize("path", ["/etc/hostname", "../secret.wav"])
def test_a_confined_table_leads_nowhere_else(tones, tmp_path, path: str) -> None:
    features = datasets.Features({"audio": STORED_AUDIO, "label": datasets.Value("string")})
    dataset = datasets.Dataset.from_dict({"audio": [{"path": path, "bytes": None}], "label": ["x"]}, features=features)
    dataset = dataset.cast_column("audio", datasets.Audio(decode=False))
    with pytest.raises(DataError) as error:
        list_dataset(dataset, Columns(), tmp_path, confined_to=(tmp_path,))
    assert str(error.value) == (
        f"Expected the recordings within the data set, found {tmp_path / path} in row 0 ({Path(path).name}); remove "
        "the row, if you trust the rest."
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [("me/sounds", ("me/sounds", None)), ("me/sounds@v2", ("me/sounds", "v2"))],
)
def test_a_hub_data_set_is_loaded_by_its_id(tones, monkeypatch, source: str, expected: tuple[str, Any]) -> None:
    asked = []

    def load_dataset(name: str, revision: str | None, **_: Any) -> datasets.DatasetDict:
        asked.append((name, revision))
        return datasets.DatasetDict(train=embedded(tones))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert len(list_recordings(source).recordings) == 3
    assert asked == [expected]


def test_a_hub_data_set_may_name_files_of_the_cache_only(tones, monkeypatch) -> None:
    dataset = datasets.Dataset.from_dict({"audio": [str(path) for path in tones], "label": ["x", "y", "x"]})
    dataset = dataset.cast_column("audio", datasets.Audio(decode=False))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.DatasetDict(train=dataset))
    with pytest.raises(DataError, match=r"Expected the recordings within the data set, found .*a.wav in row 0"):
        list_recordings("me/sounds")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tones[0].parent))
    assert [r.audio for r in list_recordings("me/sounds").recordings] == [str(path) for path in tones]


def test_an_id_that_cannot_be_reached_is_named_with_the_path() -> None:
    with pytest.raises(DataError) as error:
        list_recordings("nobody/nothing")
    assert str(error.value) == (
        "Expected a path or the id of a Hub data set, found nothing at the path nobody/nothing and no data set of "
        "that id that can be loaded (Couldn't reach 'nobody/nothing' on the Hub (OfflineModeIsEnabled)); check the "
        "path or the id, the network and your access."
    )


def test_data_sets_with_code_are_refused(monkeypatch) -> None:
    def load_dataset(*_, **__):
        raise RuntimeError("Dataset scripts are no longer supported, but found x.py")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match=r"can be loaded \(Dataset scripts are no longer supported, but found x.py\);"):
        list_recordings("me/sounds")


@pytest.mark.parametrize(
    "form", [{"type": "torch"}, {"type": "numpy"}, {"type": "pandas"}, {"type": "arrow"}, {"columns": ["audio"]}]
)
@pytest.mark.parametrize("kind", ["ClassLabel", "int", "list"])
def test_a_format_changes_nothing(tones, form: dict[str, Any], kind: str) -> None:
    dataset = embedded(tones, fold=[1, 2, 1])
    if kind == "int":
        dataset = dataset.cast_column("label", datasets.Value("int64"))
    if kind == "list":
        dataset = dataset.remove_columns("label").add_column("label", [["x", "y"], [], ["x"]])
    plain, formatted = (list_dataset(one, Columns()) for one in (dataset, dataset.with_format(**form)))
    described = [[(r.file_name, r.labels, r.fold, r.encoded()) for r in own.recordings] for own in (plain, formatted)]
    assert described[0] == described[1]
    assert plain.multi_label == formatted.multi_label


def test_a_transform_changes_nothing(tones) -> None:
    dataset = embedded(tones).with_transform(lambda rows: {"label": [9] * len(rows["label"])})
    assert [r.labels for r in list_one(dataset)] == [("cat",), ("dog",), ("cat",)]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([[0, 1, 0], [1, 0, 1], [0, 0, 1]], "lists of zeros and ones, one for each class"),
        ([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], "lists of zeros and ones"),
        ([[0, 1], [1, 0], None], "lists of zeros and ones"),
        ([["0", "1"], ["1", "1"], ["0", "0"]], "lists of zeros and ones"),
        ([[True, False], [False, True], [True, True]], "lists of true and false"),
        ([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]], r"numbers such as \[0.2, 0.8\]"),
        ([[[0, 1]], [[1, 0]], [[1, 1]]], r"\[\[0, 1\]\]"),
        ([{"a": 1}, {"a": 0}, {"a": 1}], "{'a': 1}"),
    ],
)
def test_labels_that_name_no_classes_are_refused(tones, labels: list[Any], found: str) -> None:
    dataset = embedded(tones).remove_columns("label")
    dataset = datasets.concatenate_datasets([dataset, datasets.Dataset.from_dict({"label": labels})], axis=1)
    with pytest.raises(DataError, match=f"in column 'label', found {found}"):
        list_one(dataset)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[0, 1], [1], [0]], [("0", "1"), ("1",), ("0",)]),
        ([[0, 1], [1, 2], [0, 2]], [("0", "1"), ("1", "2"), ("0", "2")]),
        ([[0], [1], [0]], [("0",), ("1",), ("0",)]),
        ([[1.0, 2.0], [], [3.0]], [("1", "2"), (), ("3",)]),
        ([["a", None], [""], ["a", "a"]], [("a",), (), ("a",)]),
        ([1.0, 2.0, 1.5], [("1",), ("2",), ("1.5",)]),
        ([True, False, True], [("True",), ("False",), ("True",)]),
        ([date(2026, 1, 2)] * 3, [("2026-01-02",)] * 3),
        ([b"cat", b"dog", b"\xff"], [("cat",), ("dog",), ("\\xff",)]),
    ],
)
def test_labels_of_other_types_are_names(tones, labels: list[Any], expected: list[tuple[str, ...]]) -> None:
    dataset = embedded(tones).remove_columns("label")
    dataset = datasets.concatenate_datasets([dataset, datasets.Dataset.from_dict({"label": labels})], axis=1)
    assert [r.labels for r in list_one(dataset)] == expected


@pytest.mark.parametrize("nothing", [None, float("nan"), "", " "])
def test_a_row_without_a_label_is_named_whatever_the_type(tones, nothing: Any) -> None:
    labels: list[Any] = [1.0, nothing, 2.0] if isinstance(nothing, float) else ["a", nothing, "b"]
    dataset = embedded(tones).remove_columns("label").add_column("label", labels)
    with pytest.raises(DataError, match=r"found none in row 1 \(b.wav\)"):
        list_one(dataset)


def lists_of_indices(tones: list[Path], names: list[str], labels: list[list[int]]) -> datasets.Dataset:
    features = datasets.Features({"label": datasets.List(datasets.ClassLabel(names=names))})
    column = datasets.Dataset.from_dict({"label": labels}, features=features)
    return datasets.concatenate_datasets([embedded(tones).remove_columns("label"), column], axis=1)


def test_lists_of_declared_classes_are_indices(tones) -> None:
    recordings = list_one(lists_of_indices(tones, ["x", "y"], [[0, 1], [1, 0], [0, 1]]))
    assert [r.labels for r in recordings] == [("x", "y"), ("y", "x"), ("x", "y")]
    recordings = list_one(lists_of_indices(tones, ["x", "y", "z"], [[0, 1], [1], [1, 0]]))
    assert [r.labels for r in recordings] == [("x", "y"), ("y",), ("y", "x")]


def test_places_of_declared_classes_are_no_indices(tones) -> None:
    with pytest.raises(DataError, match="found lists of zeros and ones, one for each class"):
        list_one(lists_of_indices(tones, ["x", "y", "z"], [[0, 1, 0], [1, 0, 1], [1, 1, 0]]))


def test_folders_named_like_parts_are_folds(write_tone) -> None:
    paths = [str(write_tone(name)) for name in ("train/a.wav", "train/b.wav", "test/a.wav")]
    dataset = datasets.Dataset.from_dict({"audio": paths, "label": ["x", "y", "x"]})
    dataset = dataset.cast_column("audio", datasets.Audio(decode=False))
    assert [r.fold for r in list_one(dataset)] == ["train", "train", "test"]
    assert [r.fold for r in list_one(dataset, fold="none")] == [None] * 3
    assert [r.fold for r in list_one(dataset.add_column("fold", [1, 2, 3]))] == ["1", "2", "3"]
    parts = datasets.DatasetDict(train=dataset)
    assert [r.fold for r in list_one(parts)] == ["train"] * 3


def test_paths_of_a_data_frame(tones) -> None:
    text = datasets.Value("large_string")
    features = datasets.Features({"path": text, "label": text})
    rows = {"path": [str(path) for path in tones], "label": ["x", "y", "x"]}
    recordings = list_one(datasets.Dataset.from_dict(rows, features=features))
    assert [(r.audio, r.labels) for r in recordings] == [
        (str(path), (label,)) for path, label in zip(tones, "xyx", strict=True)
    ]


def test_a_column_of_neither_recordings_nor_paths_is_named(tones) -> None:
    dataset = embedded(tones, number=[1, 2, 3])
    with pytest.raises(
        DataError, match="Expected recordings or paths in column 'number', found Value.*; name another"
    ):
        list_one(dataset, file="number")


def test_backslashes_separate_folders_where_files_are_found_that_way(write_tone, tmp_path) -> None:
    path = write_tone("sub/a.wav")
    dataset = datasets.Dataset.from_dict({"file_name": ["sub\\a.wav", "sub\\b.wav"], "label": ["x", "y"]})
    recordings = list_dataset(dataset, Columns(), tmp_path).recordings
    assert [r.audio for r in recordings] == [str(path), str(tmp_path / "sub\\b.wav")]
    with pytest.raises(DataError, match="within the data set"):
        list_dataset(dataset.select([0]), Columns(), tmp_path, confined_to=(tmp_path / "other",))
