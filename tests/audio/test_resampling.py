import numpy as np
import pytest
import torch
import torchaudio

from hfaudio.audio import Resampler, resample
from hfaudio.audio import resampling as module

RATES = [
    (44_100, 16_000), (48_000, 16_000), (22_050, 16_000), (8_000, 16_000), (96_000, 16_000), (11_025, 16_000),
    (16_000, 44_100), (44_100, 22_050), (6_000, 16_000),
]  # fmt: skip


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("length", [1, 17, 3_000, 4_411])
def test_samples_are_those_of_the_stock_pipeline(rng, from_rate: int, to_rate: int, length: int) -> None:
    samples = rng.standard_normal(length).astype(np.float32)
    resampled = resample(samples, from_rate, to_rate)
    assert resampled.dtype == np.float32
    # The function computes its filters in single precision, the transform in double.
    stock = torchaudio.functional.resample(torch.from_numpy(samples), from_rate, to_rate).numpy()
    assert resampled.shape == stock.shape
    assert np.abs(resampled - stock).max() < 2e-4
    exact = torchaudio.transforms.Resample(from_rate, to_rate)(torch.from_numpy(samples)).numpy()
    assert np.abs(resampled - exact).max() < 5e-6


@pytest.mark.parametrize(("from_rate", "to_rate"), [(1_999, 1_000), (1_000, 1_007), (4_410, 1_003)])
def test_rates_without_a_common_divisor_have_the_same_filter(rng, from_rate: int, to_rate: int, monkeypatch) -> None:
    samples = rng.standard_normal(20_000).astype(np.float32)
    monkeypatch.setattr(module, "LARGEST_FILTER_BANK", from_rate * to_rate)
    banded = resample(samples, from_rate, to_rate)
    monkeypatch.setattr(module, "LARGEST_FILTER_BANK", 0)
    np.testing.assert_allclose(resample(samples, from_rate, to_rate), banded, atol=5e-6)


@pytest.mark.parametrize("rate", [44_100, 44_101])
def test_samples_may_lie_apart_or_be_of_another_type(rng, rate: int) -> None:
    stereo = rng.standard_normal((9_000, 2))
    expected = resample(stereo[:, 1].astype(np.float32), rate, 16_000)
    np.testing.assert_array_equal(resample(stereo[:, 1], rate, 16_000), expected)


def test_the_same_rate_changes_nothing(rng) -> None:
    samples = rng.standard_normal(100).astype(np.float32)
    assert resample(samples, 16_000, 16_000) is samples


@pytest.mark.parametrize("rate", [44_101, 11_127])
def test_odd_rates_are_resampled_too(rate: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    resampled = resample(tone, rate, 16_000)
    assert len(resampled) == 16_000
    assert resampled.dtype == np.float32
    assert np.abs(resampled - np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000))[400:-400].max() < 5e-3


@pytest.mark.parametrize(("from_rate", "to_rate"), [*RATES, (44_101, 16_000), (16_000, 44_101), (16_000, 16_000)])
def test_blocks_of_any_length_give_the_samples_of_the_whole(rng, from_rate: int, to_rate: int) -> None:
    samples = rng.standard_normal(9_000).astype(np.float32)
    whole = resample(samples, from_rate, to_rate)
    ends = np.sort(rng.integers(0, len(samples), 6))
    blocks = np.split(samples, [0, *ends, *ends[-1:]])
    resampler = Resampler(from_rate, to_rate)
    pieces = [resampler.push(block, last=index == len(blocks) - 1) for index, block in enumerate(blocks)]
    assert sum(map(len, pieces[:-1])) > 0
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=2e-6)


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
def test_sample_by_sample_it_is_the_same_filter(rng, from_rate: int, to_rate: int, monkeypatch) -> None:
    # torchaudio's own bank for an odd rate would take gigabytes.
    samples = rng.standard_normal(9_000).astype(np.float32)
    banded = resample(samples, from_rate, to_rate)
    monkeypatch.setattr(module, "LARGEST_FILTER_BANK", 0)
    np.testing.assert_allclose(resample(samples, from_rate, to_rate), banded, atol=5e-6)
