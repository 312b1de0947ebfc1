"""Tests of the built-in synthetic dataset."""

import csv
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from hfaudio.data import synthetic
from hfaudio.data.synthetic import SYNTHETIC_CLASSES, synthesize_clip, write_synthetic_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_dataset(tmp_path_factory.mktemp("written") / "sounds", clips_per_class=6, seed=3)


@pytest.fixture(scope="module")
def clips() -> list[tuple[np.ndarray, int]]:
    return [synthesize_clip(label, seed=1, index=index) for label in SYNTHETIC_CLASSES for index in range(12)]


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def metadata(directory: Path) -> list[dict[str, str]]:
    with open(directory / "metadata.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_classes_are_the_ten_in_alphabetical_order() -> None:
    assert " ".join(SYNTHETIC_CLASSES) == "alarm bell bird drill engine knock rain siren speech wind"


def test_clips_are_sound_of_the_promised_form(clips: list[tuple[np.ndarray, int]]) -> None:
    for waveform, rate in clips:
        assert waveform.dtype == np.float32
        assert waveform.ndim == 2
        assert waveform.shape[0] in (1, 2)
        assert type(rate) is int
        assert 0.5 <= waveform.shape[1] / rate <= 4.0
        assert np.isfinite(waveform).all()
        peak_dbfs = 20 * np.log10(np.abs(waveform).max())
        assert -30.01 <= peak_dbfs <= -2.99


@pytest.mark.parametrize("label", SYNTHETIC_CLASSES)
def test_no_generator_falls_silent_at_8000_hz(label: str) -> None:
    # Harmonics that would alias are left out, and a high sound must not lose all of them.
    for seed in range(40):
        event = synthetic._GENERATORS[label](np.random.default_rng(seed), 2400, 8000)
        assert event.shape == (2400,)
        assert np.isfinite(event).all()
        assert event.std() > 0.01


def test_every_rate_and_both_channel_counts_appear(clips: list[tuple[np.ndarray, int]]) -> None:
    assert {rate for _, rate in clips} == {8000, 11025, 16000, 22050, 32000, 44100, 48000}
    stereo = [waveform for waveform, _ in clips if waveform.shape[0] == 2]
    assert 0.15 < len(stereo) / len(clips) < 0.35
    assert all(not np.array_equal(left, right) for left, right in stereo)


@pytest.mark.parametrize("label", SYNTHETIC_CLASSES)
def test_a_clip_depends_on_label_seed_and_index_only(label: str) -> None:
    first, rate = synthesize_clip(label, seed=7, index=2)
    again, rate_again = synthesize_clip(label, seed=7, index=2)
    assert rate == rate_again
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != synthesize_clip(label, seed=8, index=2)[0].tobytes()
    assert first.tobytes() != synthesize_clip(label, seed=7, index=3)[0].tobytes()


def test_global_random_state_is_neither_read_nor_changed() -> None:
    runs = []
    for global_seed in (0, 1):
        np.random.seed(global_seed)  # noqa: NPY002 - the global state is what is tested
        runs.append([synthesize_clip(label, seed=0, index=0)[0] for label in SYNTHETIC_CLASSES])
        assert np.random.random() == np.random.RandomState(global_seed).random()  # noqa: NPY002
    assert all(np.array_equal(first, second) for first, second in zip(*runs, strict=True))


def test_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected a label that is one of alarm, bell, .*, wind, found 'dog'\."):
        synthesize_clip("dog", seed=0, index=0)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -2)])
def test_negative_seed_or_index_is_refused(seed: int, index: int) -> None:
    with pytest.raises(ValueError, match=f"0 or more, found seed {seed} and index {index}"):
        synthesize_clip("bell", seed=seed, index=index)


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

    monkeypatch.setattr(synthetic, "_write_files", write_while_another_process_finishes)
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

    monkeypatch.setattr(synthetic, "synthesize_clip", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_synthetic_dataset(tmp_path / "sounds")
    assert list(tmp_path.iterdir()) == []
