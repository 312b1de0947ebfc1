import csv
import shutil
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile as sf

from hfaudio.data import (
    SYNTHETIC_CLASSES,
    DataError,
    built_in_dataset,
    synthesize_clip,
    synthetic_dataset,
    write_synthetic_dataset,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_dataset(tmp_path_factory.mktemp("written") / "sounds", clips_per_class=6, seed=3)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def metadata(directory: Path) -> list[dict[str, str]]:
    with open(directory / "metadata.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_written_files_are_the_clips_in_16_bit(dataset: Path) -> None:
    rows = metadata(dataset)
    assert list(rows[0]) == ["file_name", "label", "fold"]
    assert len(rows) == 60
    assert {row["file_name"] for row in rows} == {name for name in contents(dataset) if name.endswith(".wav")}
    for label in SYNTHETIC_CLASSES:
        path = dataset / "audio" / label / f"{label}_004.wav"
        assert sf.info(path).subtype == "PCM_16"
        written, written_rate = sf.read(path, dtype="float32", always_2d=True)
        waveform, rate = synthesize_clip(label, seed=3, index=4)
        assert written_rate == rate
        np.testing.assert_allclose(written.T, waveform, atol=2**-15)


def test_folds_are_balanced_within_each_class(dataset: Path) -> None:
    folds = Counter((row["label"], row["fold"]) for row in metadata(dataset))
    for label in SYNTHETIC_CLASSES:
        assert [folds[label, fold] for fold in "12345"] == [2, 1, 1, 1, 1]


def test_readme_says_that_the_sounds_are_synthetic(dataset: Path) -> None:
    readme = (dataset / "README.md").read_text(encoding="utf-8")
    assert "Every sound in this folder is synthetic" in readme
    assert "hfaudio generated all of it from seed 3" in readme
    assert "says nothing about real recordings" in readme


def test_writing_elsewhere_gives_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    other = write_synthetic_dataset(str(tmp_path / "new" / "other"), clips_per_class=6, seed=3)
    assert other == tmp_path / "new" / "other"
    assert contents(other) == contents(dataset)
    assert [path.name for path in other.parent.iterdir()] == ["other"]


def test_finished_dataset_is_returned_untouched(dataset: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}
    assert write_synthetic_dataset(dataset, clips_per_class=6, seed=3) == dataset
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*")} == before


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_synthetic_dataset(tmp_path / "empty", clips_per_class=5)
    assert len(metadata(tmp_path / "empty")) == 50


def test_other_settings_are_refused(dataset: Path) -> None:
    with pytest.raises(FileExistsError, match=r"'seed': 4.*, found .*'seed': 3.*; choose another folder or remove"):
        write_synthetic_dataset(dataset, clips_per_class=6, seed=4)
    with pytest.raises(FileExistsError, match=r"'clips_per_class': 7.*, found .*'clips_per_class': 6"):
        write_synthetic_dataset(dataset, clips_per_class=7, seed=3)


def test_other_files_are_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for directory in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(FileExistsError, match="found files that are not a synthetic dataset; choose another"):
            write_synthetic_dataset(directory)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_incomplete_dataset_is_refused(dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / "copy")
    (copy / "audio" / "bird" / "bird_002.wav").unlink()
    with pytest.raises(FileExistsError, match=r"found that dataset without audio/bird/bird_002\.wav; choose another"):
        write_synthetic_dataset(copy, clips_per_class=6, seed=3)


@pytest.mark.parametrize("clips_per_class", [4, 10_001])
def test_clips_per_class_out_of_bounds_is_refused(clips_per_class: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"Expected clips_per_class from 5 to 10000, found {clips_per_class}"):
        write_synthetic_dataset(tmp_path / "sounds", clips_per_class=clips_per_class)


def test_negative_dataset_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected a seed of 0 or more, found -1"):
        write_synthetic_dataset(tmp_path / "sounds", seed=-1)


@pytest.mark.parametrize("other_seed", [3, 4])
def test_another_process_finishing_first(
    other_seed: int, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "sounds"

    def write_while_another_process_finishes(directory: Path, settings: dict[str, int]) -> None:
        shutil.copytree(dataset, directory)
        shutil.copytree(dataset, target)

    monkeypatch.setattr(synthetic_dataset, "_write_files", write_while_another_process_finishes)
    if other_seed == 3:
        assert write_synthetic_dataset(target, clips_per_class=6, seed=other_seed) == target
    else:
        with pytest.raises(FileExistsError, match=r"'seed': 4.*, found .*'seed': 3"):
            write_synthetic_dataset(target, clips_per_class=6, seed=other_seed)
    assert contents(target) == contents(dataset)
    assert list(tmp_path.iterdir()) == [target]


def test_interrupted_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(label: str, seed: int, index: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic_dataset, "synthesize_clip", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_synthetic_dataset(tmp_path / "sounds")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-2] + b"12")])
@pytest.mark.parametrize("sealed", [True, False])
def test_built_in_sounds_that_were_damaged_in_the_cache_are_written_anew(
    tmp_path, monkeypatch, caplog, damage, sealed: bool
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(synthetic_dataset, "_metadata", lambda _: [("audio/dog/dog_000.wav", "dog", "1")] * 2)
    monkeypatch.setattr(synthetic_dataset, "SYNTHETIC_CLASSES", ("dog",))
    monkeypatch.setattr(synthetic_dataset, "synthesize_clip", lambda *_: (np.zeros((1, 100)), 16_000))
    folder = built_in_dataset()
    whole = contents(folder)
    assert built_in_dataset() == folder
    assert not caplog.records
    damage(folder / "audio" / "dog" / "dog_000.wav")
    if not sealed:
        folder.with_suffix(".contents").unlink()
        if damage is not Path.unlink:
            return  # of an earlier version: nothing tells
    assert contents(built_in_dataset()) == whole
    assert "Writing the built-in sounds anew: files in " in caplog.text
    assert built_in_dataset() == folder
    assert len(caplog.records) == 1


def test_a_full_disk_is_said_as_the_room_that_is_left(tmp_path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise sf.LibsndfileError(2)  # "System error."

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(synthetic_dataset, "_write_files", fail)
    with pytest.raises(
        DataError, match=r"found a file that is not whole, with [\d,]+ bytes free; set HF_DATASETS_CACHE"
    ):
        built_in_dataset()


def test_a_cache_that_cannot_be_written_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "file" / "cache")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="for the built-in sounds in .*; set HF_DATASETS_CACHE to a folder of yours w"):
        built_in_dataset()
