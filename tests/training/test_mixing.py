import pickle

import numpy as np
import pytest

from hfaudio.data import AudioCrops, CropRule, Crops, ExampleKey
from hfaudio.training.mixing import MixedCrops, MixedStream, Mixing, loudest_rms, mix_between_classes, soften

RATE = 16_000


@pytest.fixture
def crops(audio) -> AudioCrops:
    return AudioCrops(audio.dataset, CropRule(4_000))


def mixed(crops: AudioCrops, **mixing) -> MixedCrops:
    return MixedCrops(crops, Mixing(**mixing), num_labels=10, sampling_rate=RATE)


def test_between_class_mixing_is_equation_two_of_the_paper(rng) -> None:
    one, other = rng.standard_normal(8_000).astype(np.float32), 0.1 * rng.standard_normal(8_000).astype(np.float32)
    gain_one, gain_other = (20 * np.log10(loudest_rms(samples, RATE)) for samples in (one, other))
    for ratio in (0.1, 0.5, 0.9):
        p = 1 / (1 + 10 ** ((gain_one - gain_other) / 20) * (1 - ratio) / ratio)
        expected = (p * one + (1 - p) * other) / np.sqrt(p**2 + (1 - p) ** 2)
        found = mix_between_classes(one, other, ratio, RATE)
        assert found.dtype == np.float32
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert mix_between_classes(one, other, 1.0, RATE) == pytest.approx(one, abs=1e-4)
    assert mix_between_classes(one, other, 0.0, RATE) == pytest.approx(other, abs=1e-4)


def test_half_a_mixture_holds_both_sounds_at_one_level(rng) -> None:
    quiet, loud = np.zeros(8_000, np.float32), np.zeros(8_000, np.float32)
    quiet[:4_000], loud[4_000:] = 0.01 * rng.standard_normal(4_000), rng.standard_normal(4_000)
    both = mix_between_classes(quiet, loud, 0.5, RATE)
    assert loudest_rms(both[:4_000], RATE) == pytest.approx(loudest_rms(both[4_000:], RATE), rel=0.05)


def test_silence_and_short_waveforms_can_be_mixed() -> None:
    silence, click = np.zeros(50, np.float32), np.ones(50, np.float32)
    for ratio in (0.0, 0.3, 1.0):
        assert np.isfinite(mix_between_classes(silence, click, ratio, RATE)).all()
        assert not mix_between_classes(silence, silence, ratio, RATE).any()


@pytest.mark.parametrize("kind", ["between_class", "mixup", "mixup_features"])
def test_an_example_follows_from_its_key_alone(crops, kind: str) -> None:
    dataset = mixed(crops, kind=kind)
    copy = pickle.loads(pickle.dumps(dataset))  # as a worker process gets it
    assert len(dataset) == len(crops)
    seen = set()
    for seed in range(8):
        one, again = dataset[ExampleKey(3, seed)], copy[ExampleKey(3, seed)]
        assert one.keys() == again.keys()
        assert all(np.array_equal(one[name], again[name]) for name in one)
        assert one["waveform"].dtype == one["labels"].dtype == np.float32
        assert one["labels"].sum() == pytest.approx(1.0)
        assert one["seed"] == seed
        seen.add(one["waveform"].tobytes())
    assert len(seen) == 8


def test_shares_of_both_classes_are_the_labels(crops) -> None:
    dataset = mixed(crops, kind="between_class")
    own = int(crops.targets[3])
    shares = []
    for seed in range(200):
        labels = dataset[ExampleKey(3, seed)]["labels"]
        assert np.count_nonzero(labels) == 2  # never two of one class
        shares.append(labels[own])
    assert np.histogram(shares, bins=4, range=(0, 1))[0].min() > 30  # all shares are equally likely


class Tones(AudioCrops):
    """Recordings that hold nothing but their index."""

    def __init__(self, targets: np.ndarray) -> None:
        Crops.__init__(self, targets, CropRule(100))

    def _waveform(self, index: int) -> np.ndarray:
        return np.full(100, index + 1, np.float32)


@pytest.mark.parametrize("targets", [[0] * 99 + [1], [1] + [0] * 99, [2] * 50 + [0] * 49 + [1]])
def test_where_one_class_prevails_the_partner_is_of_another_still(targets: list[int]) -> None:
    dataset = MixedCrops(Tones(np.array(targets)), Mixing("between_class"), num_labels=3, sampling_rate=RATE)
    for index in (0, 60, 99):
        partners = {dataset._draw_partner(index, np.random.default_rng(seed)) for seed in range(300)}
        others = [other for other, target in enumerate(targets) if target != targets[index]]
        assert partners <= set(others)
        assert len(partners) > 0.8 * len(others)


def test_of_several_classes_the_partner_has_not_all_the_same() -> None:
    targets = np.array([[1, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    dataset = MixedCrops(Tones(targets), Mixing("between_class"), num_labels=2, sampling_rate=RATE)
    assert {dataset._draw_partner(0, np.random.default_rng(seed)) for seed in range(50)} == {2, 3}
    alike = MixedCrops(Tones(targets[:2]), Mixing("between_class"), num_labels=2, sampling_rate=RATE)
    assert alike._draw_partner(0, np.random.default_rng(0)) in (0, 1)


def test_mixup_adds_samples_as_it_adds_labels(crops) -> None:
    dataset = mixed(crops, kind="mixup", alpha=0.3)
    halves = mixed(crops, kind="mixup_features", alpha=0.3)
    for seed in range(5):
        key = ExampleKey(7, seed)
        parts, example = halves[key], dataset[key]
        assert np.array_equal(parts["waveform"], crops[key]["waveform"])
        expected = parts["ratio"] * parts["waveform"] + (1 - parts["ratio"]) * parts["partner"]
        assert example["waveform"] == pytest.approx(expected, abs=1e-5)
        assert np.array_equal(example["labels"], parts["labels"])


def test_alpha_decides_how_even_mixtures_are(crops) -> None:
    largest = [
        np.mean([mixed(crops, kind="mixup", alpha=alpha)[ExampleKey(0, seed)]["labels"].max() for seed in range(100)])
        for alpha in (0.1, 1.0, 10.0)
    ]
    assert largest[0] > largest[1] + 0.1 > largest[2] + 0.1


def test_the_rest_stays_unmixed(crops) -> None:
    dataset = mixed(crops, probability=0.25)
    plain = 0
    for seed in range(200):
        key = ExampleKey(5, seed)
        example = dataset[key]
        if example["labels"].max() == 1.0:
            plain += 1
            assert np.array_equal(example["waveform"], crops[key]["waveform"])
    assert plain == pytest.approx(150, abs=25)
    assert all(mixed(crops, probability=0.0)[ExampleKey(5, seed)]["labels"].max() == 1.0 for seed in range(20))


def test_a_shorter_waveform_lies_somewhere_in_the_longer(rng) -> None:
    mixing, long = Mixing("mixup_features"), rng.standard_normal(1_000).astype(np.float32)
    short, starts = np.ones(200, np.float32), set()
    for seed in range(50):
        examples = [{"waveform": samples, "labels": np.ones(2, np.float32), "seed": 0} for samples in (short, long)]
        example = mixing.mix(*examples, np.random.default_rng(seed), RATE)
        assert example["waveform"].shape == example["partner"].shape == (1_000,)
        assert example["waveform"].sum() == 200
        starts.add(int(np.flatnonzero(example["waveform"])[0]))
    assert len(starts) > 25


def test_a_stream_mixes_each_example_with_the_one_before(crops) -> None:
    class Stream(list):
        pass

    stream = Stream(crops[ExampleKey(index, index)] for index in range(6))
    examples = list(MixedStream(stream, Mixing("mixup_features"), 10, RATE))
    assert "partner" not in examples[0]
    for before, own, example in zip(stream, stream[1:], examples[1:], strict=False):
        assert np.array_equal(example["partner"], before["waveform"])
        assert np.array_equal(example["waveform"], own["waveform"])
    assert [example["labels"].shape for example in examples] == [(10,)] * 6


def test_a_stream_mixes_between_classes_where_it_can(crops) -> None:
    stream = [
        {**crops[ExampleKey(index, index)], "labels": np.int64(label)} for index, label in enumerate([3, 3, 5, 5])
    ]
    labels = [example["labels"] for example in MixedStream(stream, Mixing("between_class"), 10, RATE)]
    assert [set(np.flatnonzero(own).tolist()) for own in labels] == [{3}, {3}, {3, 5}, {3, 5}]


def test_several_labels_are_soft_already() -> None:
    several = np.array([1, 0, 1], np.float32)
    assert soften({"labels": several}, 3)["labels"] is several
    assert soften({"labels": np.int64(1)}, 3)["labels"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kind": "none"}, "kind must be one of between_class, mixup, mixup_features, found 'none'"),
        ({"alpha": 0.0}, "alpha must be above 0, found 0.0"),
        ({"probability": 1.5}, "probability must be from 0 to 1, found 1.5"),
    ],
)
def test_values_out_of_bounds_are_named(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Mixing(**arguments)
