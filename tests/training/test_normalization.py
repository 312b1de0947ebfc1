from collections.abc import Iterator

import datasets
import numpy as np
import pytest
import torch

from hfaudio.data import AudioCrops, CropRule
from hfaudio.model import SpectrogramCNNFeatureExtractor
from hfaudio.training import fit_normalization


def waveforms(dataset: datasets.Dataset) -> Iterator[np.ndarray]:
    crops = AudioCrops(dataset)
    return (crops[index]["waveform"] for index in range(len(crops)))


@pytest.mark.parametrize("features", ["log_mel", "mfcc_delta"])
def test_features_of_the_training_part_come_out_with_mean_0_and_standard_deviation_1(audio, features: str) -> None:
    extractor = SpectrogramCNNFeatureExtractor(features, n_mels=32, n_mfcc=12)
    fit_normalization(extractor, waveforms(audio.dataset), batch_size=7)
    clips = AudioCrops(audio.dataset, CropRule(extractor.crop_samples))
    frames = []
    for index in range(len(clips)):
        batch = extractor(clips[index]["waveform"], sampling_rate=16_000)
        frames.append(batch["input_features"][0][:, :, batch["attention_mask"][0].bool()])
    joined = torch.cat(frames, dim=-1)
    torch.testing.assert_close(joined.mean(dim=-1), torch.zeros(joined.shape[:2]), rtol=0, atol=1e-3)
    torch.testing.assert_close(joined.std(dim=-1, correction=0), torch.ones(joined.shape[:2]), rtol=0, atol=1e-3)


@pytest.mark.filterwarnings("ignore:At least one mel filter")
def test_a_band_that_never_changes_divides_by_no_zero(audio) -> None:
    extractor = SpectrogramCNNFeatureExtractor.from_preset("dessa")  # has mel filters without a bin
    fit_normalization(extractor, waveforms(audio.dataset.select(range(3))))
    features = extractor([0.1] * 40_000, sampling_rate=16_000)["input_features"]
    assert torch.isfinite(features).all()


def test_fitting_twice_gives_the_same(audio) -> None:
    extractor = SpectrogramCNNFeatureExtractor(n_mels=8)
    fit_normalization(extractor, waveforms(audio.dataset))
    first = extractor.mean, extractor.std
    fit_normalization(extractor, waveforms(audio.dataset))
    assert (extractor.mean, extractor.std) == first


def test_silent_frames_of_the_training_part_count(extractor) -> None:
    fit_normalization(extractor, [np.zeros(9_000, np.float32)])
    np.testing.assert_allclose(extractor.mean, np.log(1e-6), rtol=1e-5)
