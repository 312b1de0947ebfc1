from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hfaudio.model import SpectrogramCNNFeatureExtractor
from hfaudio.training.feature_augmentation import change_band_gains, mix_styles, shrink


def generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def test_gains_are_smooth_over_bands_and_constant_over_frames() -> None:
    extractor = SpectrogramCNNFeatureExtractor(n_mels=64)
    features = torch.randn(3, 1, 64, 20)
    changes = change_band_gains(features, extractor, 6.0, generators(1, 2, 3)) - features
    decibels = changes.numpy()[:, 0] * 10 / np.log(10)
    assert decibels.std(axis=2).max() < 1e-4
    curves = decibels[..., 0]
    assert np.abs(curves).max() <= 6.0
    assert np.abs(curves).max(axis=1).min() > 1.0
    corners = np.abs(np.diff(curves, n=2)) > 1e-3
    assert corners.sum(axis=1).max() <= 2 * 4  # straight lines between at most six knots
    assert not np.allclose(curves[0], curves[1])


def test_a_louder_band_of_the_waveform_is_the_same_change() -> None:
    samples = np.random.default_rng(0).standard_normal(8_000).astype(np.float32)
    extractor = SpectrogramCNNFeatureExtractor("mfcc_delta", n_mels=40, n_mfcc=13)
    std = np.linspace(1, 3, 39).reshape(3, 13)
    extractor.set_normalization(np.zeros((3, 13)), std)
    quiet, loud = (extractor(gain * samples, 16_000)["input_features"] for gain in (0.1, 0.2))
    doubling = SimpleNamespace(integers=lambda *_: 3, uniform=lambda *_, size: np.full(size, 6.0206))
    changed = change_band_gains(quiet, extractor, 7.0, [doubling])
    frames = 1 + 8_000 // extractor.hop_length
    torch.testing.assert_close(changed[..., :frames], loud[..., :frames], rtol=1e-3, atol=1e-2)


def test_styles_are_the_mean_and_deviation_of_each_band() -> None:
    torch.manual_seed(0)
    features = torch.randn(4, 1, 8, 30) * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None, None]
    features += torch.arange(4.0)[:, None, None, None]
    mask = torch.ones(4, 30, dtype=torch.long)
    mask[1, 20:] = 0
    mixed = mix_styles(features, mask, 1.0, np.random.default_rng(3))
    means = [features[row, 0, :, : int(mask[row].sum())].mean(dim=1) for row in range(4)]
    mixed_means = [mixed[row, 0, :, : int(mask[row].sum())].mean(dim=1) for row in range(4)]
    for row, own in enumerate(mixed_means):  # between its own and that of some one other
        shares = [(own - means[row]) / (means[other] - means[row]) for other in range(4) if other != row]
        fits = [share for share in shares if share.std() < 1e-3 and -1e-3 <= share.mean() <= 1 + 1e-3]
        assert len(fits) == 1 or torch.allclose(own, means[row], atol=1e-4)
    plain = (features - features.mean(3, keepdim=True))[0]
    changed = (mixed - mixed.mean(3, keepdim=True))[0]
    assert torch.corrcoef(torch.stack([plain[0, 0], changed[0, 0]]))[0, 1] == pytest.approx(1.0, abs=1e-4)


def test_the_probability_decides_how_many_change_style() -> None:
    features, mask = torch.randn(400, 1, 4, 10), torch.ones(400, 10, dtype=torch.long)
    mixed = mix_styles(features, mask, 0.25, np.random.default_rng(0))
    changed = (mixed - features).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert int(changed.sum()) == pytest.approx(100, abs=25)
    torch.testing.assert_close(mix_styles(features, mask, 0.0, np.random.default_rng(0)), features)


def test_a_smaller_picture_holds_the_means() -> None:
    features, mask = torch.arange(16.0).reshape(1, 1, 4, 4), torch.tensor([[1, 1, 1, 0]])
    smaller, smaller_mask = shrink(features, mask, 0.5)
    assert smaller.tolist() == [[[[2.5, 4.0], [10.5, 12.0]]]]
    assert smaller_mask.tolist() == [[1, 1]]
    assert shrink(features, mask, 0.01)[0].shape == (1, 1, 1, 1)


@pytest.mark.parametrize("scale", [0.5, 0.55, 0.7, 0.9])
def test_padding_does_not_get_into_a_smaller_picture(scale: float) -> None:
    features, mask = torch.randn(1, 1, 8, 101), torch.zeros(1, 101, dtype=torch.long)
    mask[:, :60] = 1
    padded = features.masked_fill(mask[:, None, None] == 0, 100.0)
    (one, one_mask), (other, other_mask) = shrink(features, mask, scale), shrink(padded, mask, scale)
    assert torch.equal(one_mask, other_mask)
    assert int(one_mask.sum()) == pytest.approx(60 * scale, abs=1.5)
    valid = one_mask[0] > 0
    assert torch.equal(one[..., valid], other[..., valid])


def test_styles_of_equal_means_differ_in_their_deviation_alone() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 1, 3, 4_000)
    features = (features - features.mean(3, keepdim=True)) * torch.tensor([1.0, 9.0])[:, None, None, None]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shares = np.random.default_rng(seed)
        shares.random(2)
        own = shares.beta(0.4, 0.4, size=2)
        if shares.permutation(2).tolist() == [0, 1]:
            continue  # each is its own partner
        mixed = mix_styles(features, torch.ones(2, 4_000, dtype=torch.long), 1.0, rng)
        deviations = mixed.std(dim=3)[:, 0, 0]
        assert float(deviations[0]) == pytest.approx(own[0] * 1 + (1 - own[0]) * 9, rel=0.05)
        assert float(deviations[1]) == pytest.approx(own[1] * 9 + (1 - own[1]) * 1, rel=0.05)
