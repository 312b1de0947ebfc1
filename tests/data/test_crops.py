import pickle

import datasets
import numpy as np
import pytest

from hfaudio.data import AudioCrops
from hfaudio.data.crops import draw_crop, label_targets


@pytest.fixture
def crops(audio) -> AudioCrops:
    return AudioCrops(audio.dataset, crop_samples=4_000)


def test_an_index_gives_the_whole_waveform(crops, audio) -> None:
    example = crops[3]
    assert set(example) == {"waveform", "labels"}
    assert example["waveform"].dtype == np.float32
    assert example["waveform"].tolist() == audio.dataset[3]["waveform"]
    assert example["labels"] == audio.dataset[3]["label"]
    assert len(crops) == 50


def test_a_seed_gives_a_crop_that_depends_on_it_alone(crops) -> None:
    whole = crops[3]["waveform"]
    example = crops[(3, 11)]
    assert example["seed"] == 11
    assert example["waveform"].shape == (4_000,)
    starts = np.flatnonzero(whole == example["waveform"][0])
    assert any(np.array_equal(whole[start : start + 4_000], example["waveform"]) for start in starts)
    copy = pickle.loads(pickle.dumps(crops))  # as a worker process gets it
    assert np.array_equal(copy[(3, 11)]["waveform"], example["waveform"])
    assert not np.array_equal(crops[(3, 12)]["waveform"], example["waveform"])


def test_crops_reach_both_ends() -> None:
    samples = np.arange(10)
    crops = [draw_crop(samples, 8, np.random.default_rng(seed)) for seed in range(50)]
    assert {crop[0] for crop in crops} == {0, 1, 2}
    assert {len(crop) for crop in crops} == {8}
    assert draw_crop(samples, 10, np.random.default_rng(0)) is samples
    assert draw_crop(samples, 11, np.random.default_rng(0)) is samples


def test_only_training_examples_are_augmented(audio) -> None:
    seeds = []

    def silence(samples: np.ndarray, seed: int) -> np.ndarray:
        seeds.append(seed)
        return np.zeros_like(samples)

    crops = AudioCrops(audio.dataset, 4_000, augmentation=silence)
    assert crops[0]["waveform"].any()
    assert seeds == []
    assert not crops[(0, 5)]["waveform"].any()
    assert seeds == [5]


def test_rows_of_a_selection_are_the_selected_ones(audio) -> None:
    selected = AudioCrops(audio.dataset.select([7, 2]), 4_000)
    assert selected[1]["waveform"].tolist() == audio.dataset[2]["waveform"]


def test_targets_are_indices_or_one_column_a_class(make_rows) -> None:
    targets = label_targets(make_rows("bab"))
    assert targets.dtype == np.int64
    assert targets.tolist() == [1, 0, 1]
    targets = label_targets(make_rows(["ac", "", "b"], multi_label=True))
    assert targets.dtype == np.float32
    assert targets.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_an_example_of_several_classes_holds_its_row_of_targets(audio, make_rows) -> None:
    labels = make_rows(["ac", "", "b"], multi_label=True).select_columns("label")
    waveforms = audio.dataset.select(range(3)).select_columns("waveform").flatten_indices()
    crops = AudioCrops(datasets.concatenate_datasets([waveforms, labels], axis=1), 4_000)
    assert crops[0]["labels"].tolist() == [1, 0, 1]
    assert crops[(1, 7)]["labels"].tolist() == [0, 0, 0]
