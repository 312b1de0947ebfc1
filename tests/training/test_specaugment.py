import numpy as np
import pytest
import torch

from hfaudio.training.specaugment import FeatureChanges, SpecAugmentCollator, apply_masks, draw_masks


def examples(rng: np.random.Generator, seeds: tuple[int, ...] = (1, 2, 3)) -> list[dict]:
    waveforms = [0.1 * rng.standard_normal(8_000).astype(np.float32) for _ in seeds]
    return [{"waveform": w, "labels": i, "seed": s} for i, (w, s) in enumerate(zip(waveforms, seeds, strict=True))]


def without_seeds(batch: list[dict]) -> list[dict]:
    return [{"waveform": example["waveform"], "labels": example["labels"]} for example in batch]


def draw_many(count: int, **sizes: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = [draw_masks(np.random.default_rng(seed), count=2, **sizes) for seed in range(count)]
    starts, widths = zip(*drawn, strict=True)
    return np.stack(starts), np.stack(widths)


def test_masks_lie_within_the_axis_and_take_every_width() -> None:
    starts, widths = draw_many(2_000, length=10, max_width=4)
    assert starts.shape == widths.shape == (2_000, 2)
    assert set(widths.ravel()) == {0, 1, 2, 3, 4}
    assert starts.min() == 0
    assert (starts + widths).max() == 10
    for width in range(5):
        assert set(starts[widths == width]) == set(range(11 - width))


def test_a_mask_wider_than_the_axis_is_as_wide_as_the_axis() -> None:
    starts, widths = draw_many(500, length=3, max_width=99)
    assert set(widths.ravel()) == {0, 1, 2, 3}
    assert (starts + widths).max() == 3


def test_no_masks_are_drawn_for_a_count_of_zero() -> None:
    starts, widths = draw_masks(np.random.default_rng(0), length=5, max_width=3, count=0)
    features = torch.ones(1, 1, 5, 5)
    assert torch.equal(apply_masks(features, starts[None], widths[None], dim=2), features)


def test_applying_hides_just_what_was_drawn() -> None:
    features = torch.ones(2, 3, 4, 6)
    starts, widths = np.array([[1, 5], [0, 0]]), np.array([[2, 1], [0, 1]])
    masked = apply_masks(features, starts, widths, dim=3)
    assert masked[0, 0, 0].tolist() == [1, 0, 0, 1, 1, 0]
    assert masked[1, 2, 3].tolist() == [0, 1, 1, 1, 1, 1]
    assert (masked == masked[:, :1, :1]).all()
    bands = apply_masks(features, np.array([[0], [3]]), np.array([[2], [1]]), dim=2)
    assert bands[0, 0, :, 0].tolist() == [0, 0, 1, 1]
    assert bands[1, 0, :, 0].tolist() == [1, 1, 1, 0]
    assert (features == 1).all()


def test_training_examples_are_masked_and_evaluation_examples_never(extractor, rng) -> None:
    collator = SpecAugmentCollator(extractor, FeatureChanges(8, 10, 2, 2))
    batch = examples(rng)
    plain = extractor([example["waveform"] for example in batch], sampling_rate=16_000)["input_features"]
    for _ in range(20):
        assert torch.equal(collator(without_seeds(batch))["input_features"], plain)
    masked = collator(batch)["input_features"]
    assert not torch.equal(masked, plain)
    assert ((masked == plain) | (masked == 0)).all()


def test_masks_follow_the_seeds(extractor, rng) -> None:
    collator = SpecAugmentCollator(extractor, FeatureChanges(8, 10))
    batch = examples(rng)
    first = collator(batch)["input_features"]
    assert torch.equal(collator(batch)["input_features"], first)
    alone = collator(batch[1:2])["input_features"]  # whatever else is in the batch
    torch.testing.assert_close(alone[0], first[1], rtol=0, atol=1e-5)
    other = [{**example, "seed": example["seed"] + 100} for example in batch]
    assert not torch.equal(collator(other)["input_features"], first)


def test_width_zero_turns_masks_off(extractor, rng) -> None:
    batch = examples(rng)
    collator = SpecAugmentCollator(extractor, FeatureChanges(0, 0))
    assert torch.equal(collator(batch)["input_features"], collator(without_seeds(batch))["input_features"])


def test_a_batch_is_what_the_model_takes(extractor, rng) -> None:
    batch = SpecAugmentCollator(extractor)(examples(rng))
    assert set(batch) == {"input_features", "attention_mask", "labels"}
    assert batch["labels"].dtype == torch.int64
    assert batch["labels"].tolist() == [0, 1, 2]


def test_labels_of_several_classes_are_a_row_each(extractor, rng) -> None:
    rows = np.array([[1, 0], [1, 1], [0, 0]], np.float32)
    batch = [{**example, "labels": row} for example, row in zip(examples(rng), rows, strict=True)]
    labels = SpecAugmentCollator(extractor)(batch)["labels"]
    assert labels.dtype == torch.float32
    assert labels.tolist() == rows.tolist()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"freq_mask": -1}, "freq_mask must be at least 0, found -1"),
        ({"time_mask": -1}, "time_mask must be at least 0, found -1"),
        ({"num_freq_masks": -1}, "num_freq_masks must be at least 0, found -1"),
        ({"num_time_masks": -1}, "num_time_masks must be at least 0, found -1"),
        ({"band_gain_db": -0.5}, "band_gain_db must be at least 0, found -0.5"),
        ({"style_mixing": 1.5}, "style_mixing must be from 0 to 1, found 1.5"),
        ({"first_scale": 0.0}, "first_scale must be above 0 and at most 1, found 0.0"),
    ],
)
def test_values_out_of_bounds_are_named(changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        FeatureChanges(**changes)


@pytest.mark.parametrize("changes", [{"band_gain_db": 6.0}, {"style_mixing": 1.0}, {"first_scale": 0.5}])
def test_every_change_is_for_training_examples_alone(extractor, rng, changes: dict) -> None:
    batch = [{**example, "progress": 0.0} for example in examples(rng)]
    plain = SpecAugmentCollator(extractor, FeatureChanges(0, 0))(batch)["input_features"]
    collator = SpecAugmentCollator(extractor, FeatureChanges(0, 0, **changes))
    changed = collator(batch)["input_features"]
    assert changed.shape != plain.shape or not torch.allclose(changed, plain)
    assert torch.equal(collator(batch)["input_features"], changed)
    assert torch.equal(collator(without_seeds(batch))["input_features"], plain)


def test_the_picture_grows_with_the_progress(extractor, rng) -> None:
    collator = SpecAugmentCollator(extractor, FeatureChanges(first_scale=0.5))
    shapes = []
    for progress in (0.0, 0.375, 0.75, 1.0):
        batch = collator([{**example, "progress": progress} for example in examples(rng)])
        shapes.append(tuple(batch["input_features"].shape[2:]))
        assert batch["attention_mask"].shape == (3, shapes[-1][1])
    bands, frames = extractor.n_mels, shapes[-1][1]
    assert shapes == [(bands // 2, round(frames / 2)), (bands * 3 // 4, round(frames * 0.75))] + [(bands, frames)] * 2


def test_crops_that_still_grow_are_not_padded(extractor, rng) -> None:
    collator = SpecAugmentCollator(extractor, FeatureChanges(0, 0))

    def frames(batch: list[dict]) -> int:
        return collator(batch)["input_features"].shape[-1]

    shorter = [{**example, "waveform": example["waveform"][:4_000]} for example in examples(rng)]
    whole = 1 + extractor.crop_samples // extractor.hop_length
    assert frames([{**example, "crop_samples": 4_000} for example in shorter]) == 1 + 4_000 // extractor.hop_length
    assert frames([{**example, "crop_samples": extractor.crop_samples} for example in shorter]) == whole
    assert frames(without_seeds(shorter)) == whole


def test_features_are_mixed_where_a_partner_is_given(extractor, rng) -> None:
    batch = examples(rng)
    partner = 0.1 * rng.standard_normal(8_000).astype(np.float32)
    batch[1] |= {"partner": partner, "ratio": 0.25}
    collator = SpecAugmentCollator(extractor, FeatureChanges(0, 0))
    waveforms = [example["waveform"] for example in batch]
    plain = extractor([*waveforms, partner], sampling_rate=16_000)["input_features"]
    mixed = collator(batch)["input_features"]
    torch.testing.assert_close(mixed[1], 0.25 * plain[1] + 0.75 * plain[3], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mixed[[0, 2]], plain[[0, 2]], rtol=1e-4, atol=1e-4)


def test_silence_is_marked_in_evaluation_and_trained_on_as_it_is(extractor) -> None:
    collator = SpecAugmentCollator(extractor)
    quiet = {"waveform": np.zeros(9_000, np.float32), "labels": 0}
    assert not collator([quiet])["attention_mask"].any()
    partner = {"partner": np.zeros(9_000, np.float32), "ratio": np.float32(0.5)}
    for example in (quiet | {"seed": 1}, quiet | {"seed": 1} | partner):
        batch = collator([example])
        assert batch["attention_mask"].all()
        assert batch["input_features"].min() == pytest.approx(np.log(1e-6))
