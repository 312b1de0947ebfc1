import sys
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

import datasets
import numpy as np
import pytest

from hfaudio.data import (
    AudioCrops,
    Columns,
    CropRule,
    DataError,
    DecodingSettings,
    StreamedTable,
    is_table_source,
    list_recordings,
    open_table_stream,
    prepare_listing,
    table_streaming,
)

SETTINGS = DecodingSettings(sampling_rate=16_000)
CROP = CropRule(1_600)
CLASSES = ["high", "low"]
# What `Audio` stores; to make a column of that type at once, datasets needs torchcodec.
STORED_AUDIO = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}


WriteParts = Callable[..., Path]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch) -> None:
    """datasets rests for five seconds after each pass, for the threads that read Parquet."""
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.1)


@pytest.fixture
def write_parts(two_classes, tmp_path) -> WriteParts:
    """Writes the recordings of `two_classes` as Parquet files, the last of each class as the part `test`."""

    def write(
        label: object = None,
        bad: int = 0,
        parts: tuple[str, str] = ("train", "test"),
        files: int = 2,
        names: Mapping[str, str] | None = None,
    ) -> Path:
        label = label or datasets.ClassLabel(names=CLASSES)
        folder = tmp_path / "table"
        (folder / "data").mkdir(parents=True)
        for part, chosen in zip(parts, ("012", "3"), strict=True):
            paths = sorted(path for path in two_classes.rglob("*.wav") if path.stem in chosen)
            rows = {
                "audio": [{"bytes": path.read_bytes(), "path": f"{path.parent.name}-{path.name}"} for path in paths],
                "label": [path.parent.name for path in paths],
            }
            if part == parts[0]:
                rows["audio"] += [{"bytes": b"words", "path": f"bad-{index}.wav"} for index in range(bad)]
                rows["label"] += ["high"] * bad
            features = datasets.Features({"audio": STORED_AUDIO, "label": label})
            table = datasets.Dataset.from_dict(rows, features=features).cast_column(
                "audio", datasets.Audio(decode=False)
            )
            table = table.rename_columns(names or {})
            count = files if part == parts[0] else 1
            for index in range(count):
                name = f"{part}-{index:05d}-of-{count:05d}.parquet"
                table.shard(count, index).to_parquet(str(folder / "data" / name))
        return folder

    return write


def examples(folder: Path, number: int, **settings) -> list[dict]:
    stream = open_table_stream(str(folder), Columns())
    return list(islice(StreamedTable(stream.rows, SETTINGS, CROP, **settings), number))


def test_the_part_to_train_on_passes_by_and_the_other_is_held_out(write_parts, two_classes) -> None:
    stream = open_table_stream(str(write_parts()), Columns())
    assert stream.class_names == CLASSES
    assert stream.held_out_parts == ["test"]
    held_out = prepare_listing(stream.held_out, SETTINGS, 1, stream.class_names).dataset
    assert held_out["file_name"][:] == ["test/high-3.wav", "test/low-3.wav"]
    whole = prepare_listing(list_recordings(two_classes), SETTINGS, 1).dataset
    expected = {row["waveform"][101]: row["label"] for row in whole if "3.wav" not in row["file_name"]}
    table = StreamedTable(stream.rows, SETTINGS, CropRule(100_000))
    found = {float(example["waveform"][101]): int(example["labels"]) for example in islice(table, 6)}
    assert found == expected
    assert len(list(table.waveforms())) == 6


def test_columns_of_other_names_need_no_torchcodec(write_parts, monkeypatch) -> None:
    folder = write_parts(names={"audio": "sound", "label": "kind"})
    for module in ("torchcodec", "torchcodec.decoders", "torchcodec.encoders"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(datasets.config, "TORCHCODEC_AVAILABLE", False)
    stream = open_table_stream(str(folder), Columns(label="kind"))
    rows = list(islice(StreamedTable(stream.rows, SETTINGS, CROP), 6))
    assert sorted(int(row["labels"]) for row in rows) == [0, 0, 0, 1, 1, 1]


def test_epochs_follow_each_other_in_new_orders_and_the_seed_decides(write_parts) -> None:
    folder = write_parts()

    def first_samples(**settings) -> list[float]:
        return [float(example["waveform"][0]) for example in examples(folder, 18, **settings)]

    drawn = first_samples(seed=1)
    assert drawn == first_samples(seed=1)
    assert drawn != first_samples(seed=2)
    assert len(set(drawn)) > 12  # other crops in each epoch


def test_few_waiting_rows_give_each_once_too(write_parts, monkeypatch) -> None:
    monkeypatch.setattr(table_streaming, "WAITING_ROWS", 2)
    stream = open_table_stream(str(write_parts()), Columns())
    table = StreamedTable(stream.rows, SETTINGS, CropRule(100_000), seed=1)
    drawn = [float(example["waveform"][101]) for example in islice(table, 12)]
    assert len(set(drawn[:6])) == 6
    assert sorted(drawn[6:]) == sorted(drawn[:6])


def test_processes_share_the_rows_out(write_parts) -> None:
    folder = write_parts()
    shares = []
    for process in range(2):
        stream = open_table_stream(str(folder), Columns())
        table = StreamedTable(stream.rows, SETTINGS, CropRule(100_000), process=process, processes=2)
        shares.append({float(example["waveform"][101]) for example in islice(table, 9)})
    assert [len(share) for share in shares] == [3, 3]
    assert not shares[0] & shares[1]


def test_augmentation_is_seeded_by_the_example(write_parts) -> None:
    seen = []
    found = examples(write_parts(), 4, augmentation=lambda samples, seed: seen.append(seed) or samples * 0)
    assert [example["seed"] for example in found] == seen
    assert not any(example["waveform"].any() for example in found)


def test_a_row_that_cannot_be_read_is_named_once_and_skipped(write_parts, caplog) -> None:
    assert len(examples(write_parts(bad=1), 18)) == 18
    assert [record.message for record in caplog.records] == ["Left out bad-0.wav: not readable as audio (it is text)"]


def test_rows_none_of_which_can_be_read_are_an_error(write_parts, two_classes) -> None:
    for path in two_classes.rglob("[012].wav"):
        path.write_bytes(b"words")
    with pytest.raises(DataError, match="Expected recordings that can be read, found none among 6 rows."):
        examples(write_parts(), 1)


def test_several_labels_become_zeros_and_ones(write_parts, two_classes) -> None:
    folder = write_parts()
    stream = open_table_stream(str(folder), Columns())
    label = datasets.List(datasets.ClassLabel(names=CLASSES))
    features = datasets.Features({**stream.rows.features, "label": label})
    rows = stream.rows.map(lambda row: {"label": [row["label"]]}, features=features)
    table = StreamedTable(rows, SETTINGS, CROP)
    found = {tuple(example["labels"].tolist()) for example in islice(table, 6)}
    assert found == {(1.0, 0.0), (0.0, 1.0)}


def test_parts_and_classes_that_are_missing_are_named(write_parts, tmp_path) -> None:
    folder = write_parts(parts=("train", "extra"))
    with pytest.raises(DataError, match=r"one part of .* to train on and others to hold out, found train, extra;"):
        open_table_stream(str(folder), Columns())
    assert open_table_stream(str(folder), Columns(), ["extra"]).held_out_parts == ["extra"]
    with pytest.raises(DataError, match="name those to hold out with --eval_folds"):
        open_table_stream(str(folder), Columns(), ["other"])


def test_classes_that_are_not_declared_are_named(write_parts) -> None:
    folder = write_parts(label=datasets.Value("string"))
    with pytest.raises(DataError, match="to be declared for --streaming, found a column 'label' of another type"):
        open_table_stream(str(folder), Columns())


def test_which_sources_are_tables(write_parts, two_classes) -> None:
    assert is_table_source(str(write_parts()))
    assert is_table_source("owner/name@main")
    assert not is_table_source(str(two_classes))
    (two_classes / "metadata.parquet").touch()
    assert not is_table_source(str(two_classes))


def test_examples_fit_the_loader_of_cached_ones(write_parts, two_classes) -> None:
    streamed = examples(write_parts(), 1)[0]
    cached = AudioCrops(prepare_listing(list_recordings(two_classes), SETTINGS, 1).dataset, CROP)[0, 1]
    assert streamed.keys() == cached.keys()
    assert streamed["waveform"].dtype == cached["waveform"].dtype == np.float32
    assert streamed["waveform"].shape == cached["waveform"].shape == (CROP.samples,)
    assert streamed["labels"].dtype == cached["labels"].dtype
