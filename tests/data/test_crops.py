import pickle

import datasets
import numpy as np
import pytest

from hfaudio.data import AudioCrops, CropRule, DataError, ExampleKey
from hfaudio.data.crops import label_targets


@pytest.fixture
def crops(audio) -> AudioCrops:
    return AudioCrops(audio.dataset, CropRule(4_000))


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
    crops = [CropRule(8).draw(samples, np.random.default_rng(seed)) for seed in range(50)]
    assert {crop[0] for crop in crops} == {0, 1, 2}
    assert {len(crop) for crop in crops} == {8}
    assert CropRule(10).draw(samples, np.random.default_rng(0)) is samples
    assert CropRule(11).draw(samples, np.random.default_rng(0)) is samples


def test_only_training_examples_are_augmented(audio) -> None:
    seeds = []

    def silence(samples: np.ndarray, seed: int) -> np.ndarray:
        seeds.append(seed)
        return np.zeros_like(samples)

    crops = AudioCrops(audio.dataset, CropRule(4_000), augmentation=silence)
    assert crops[0]["waveform"].any()
    assert seeds == []
    assert not crops[(0, 5)]["waveform"].any()
    assert seeds == [5]


def test_rows_of_a_selection_are_the_selected_ones(audio) -> None:
    selected = AudioCrops(audio.dataset.select([7, 2]), CropRule(4_000))
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
    crops = AudioCrops(datasets.concatenate_datasets([waveforms, labels], axis=1), CropRule(4_000))
    assert crops[0]["labels"].tolist() == [1, 0, 1]
    assert crops[(1, 7)]["labels"].tolist() == [0, 0, 0]


def test_a_crop_plays_at_another_speed() -> None:
    tone = np.sin(np.arange(20_000) * 0.1).astype(np.float32)
    rule = CropRule(4_000, speed=1.25)
    rates = []
    for seed in range(100):
        crop = rule.draw(tone, np.random.default_rng(seed))
        assert crop.shape == (4_000,)
        assert crop.dtype == np.float32
        rates.append(np.count_nonzero(np.diff(np.sign(crop))) / (4_000 * 0.1 / np.pi))
    assert min(rates) == pytest.approx(0.8, abs=0.03)
    assert max(rates) == pytest.approx(1.25, abs=0.03)
    assert len(rule.draw(tone[:1_000], np.random.default_rng(0))) == pytest.approx(1_000, rel=0.26)
    assert rule.draw(tone[:1], np.random.default_rng(0)).shape == (1,)


def test_a_crop_may_reach_into_the_silence_around_a_recording() -> None:
    samples = np.ones(10_000, np.float32)
    rule = CropRule(4_000, margin=2_000)
    first, last, missing = set(), set(), []
    for seed in range(200):
        crop = rule.draw(samples, np.random.default_rng(seed))
        assert crop.shape == (4_000,)
        first.add(crop[0])
        last.add(crop[-1])
        missing.append(4_000 - int(crop.sum()))
    assert first == last == {0.0, 1.0}
    assert max(missing) == pytest.approx(2_000, abs=100)
    assert sum(not amount for amount in missing) > 80
    wider = CropRule(100, margin=500)
    assert {wider.draw(samples[:10], np.random.default_rng(seed)).shape for seed in range(50)} == {(100,)}


@pytest.mark.parametrize("margin", [0, 2_000])
@pytest.mark.parametrize("start", [0, 17_000, 38_000])
def test_no_crop_is_silent(start: int, margin: int) -> None:
    samples = np.zeros(40_000, np.float32)
    samples[start : start + 2_000] = np.sin(1 + np.arange(2_000))
    rule = CropRule(4_000, margin=margin)
    crops = [rule.draw(samples, np.random.default_rng(seed)) for seed in range(200)]
    assert all(crop.shape == (4_000,) and crop.any() for crop in crops)
    assert len({tuple(np.flatnonzero(crop)[[0, -1]]) for crop in crops}) > 50
    assert not rule.draw(np.zeros(10_000, np.float32), np.random.default_rng(0)).any()


def test_crops_grow_for_three_quarters_of_the_training(audio) -> None:
    rule = CropRule(4_000, first_samples=1_000)
    assert [rule.length(progress) for progress in (0.0, 0.375, 0.75, 1.0)] == [1_000, 2_500, 4_000, 4_000]
    crops = AudioCrops(audio.dataset, rule)
    assert len(crops[ExampleKey(0, 1, 0.0)]["waveform"]) == 1_000
    assert crops[ExampleKey(0, 1, 0.0)]["progress"] == 0.0
    assert len(crops[ExampleKey(0, 1)]["waveform"]) == 4_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"speed": 0.9}, "speed must be from 1 to 2, found 0.9"),
        ({"margin": -1}, "margin must be at least 0 samples, found -1"),
        ({"first_samples": 0}, "first_samples must be from 1 to 10 samples, found 0"),
        ({"first_samples": 11}, "first_samples must be from 1 to 10 samples, found 11"),
    ],
)
def test_rules_out_of_bounds_are_named(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        CropRule(10, **arguments)


def test_training_examples_need_a_rule(audio) -> None:
    with pytest.raises(TypeError, match="Training examples need a CropRule, found none"):
        AudioCrops(audio.dataset)[ExampleKey(0, 1)]


def test_an_augmentation_that_changes_the_length_is_refused(audio) -> None:
    def shorten(samples: np.ndarray, seed: int) -> np.ndarray:
        return samples[: 4_000 - seed]

    crops = AudioCrops(audio.dataset, CropRule(4_000), augmentation=shorten)
    assert len(crops[ExampleKey(0, 0)]["waveform"]) == 4_000
    with pytest.raises(
        DataError, match="^Expected --waveform_augmentation to leave a crop as long as it is, 4000 sam"
    ):
        crops[ExampleKey(0, 7)]
