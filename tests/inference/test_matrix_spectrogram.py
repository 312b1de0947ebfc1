"""The spectrogram of the graph against the one of the feature extractor."""

import numpy as np
import pytest
import torch

from hfaudio.inference.matrix_spectrogram import MatrixMelSpectrogram
from hfaudio.model import FEATURE_PRESETS, SpectrogramCNNFeatureExtractor
from hfaudio.model.spectral_features_spectrogram_cnn import hann_window, mel_filters

SETTINGS = {
    **FEATURE_PRESETS,
    "a step as long as the window": {"n_fft": 512, "win_length": 512, "hop_length": 512, "n_mels": 20},
    "a short window": {"n_fft": 512, "win_length": 33, "hop_length": 7, "n_mels": 20},
    "odd lengths": {"n_fft": 405, "win_length": 299, "hop_length": 101, "n_mels": 20},
    "a prime length": {"n_fft": 251, "win_length": 251, "hop_length": 100, "n_mels": 20},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_it_is_the_one_of_the_extractor(rng: np.random.Generator, settings: dict[str, int]) -> None:
    extractor = SpectrogramCNNFeatureExtractor(**settings)
    filters = mel_filters(extractor.n_fft, extractor.n_mels, 0.0, None, extractor.sampling_rate)
    spectrogram = MatrixMelSpectrogram(
        extractor.n_fft, extractor.hop_length, hann_window(extractor.win_length), filters
    )
    for samples in (600, 5_000, 5_123):
        # Loud and quiet: an error of the loud band would show in the others.
        time = torch.arange(samples) / extractor.sampling_rate
        noise = torch.from_numpy(rng.standard_normal((3, samples)).astype(np.float32))
        waveforms = torch.sin(2 * torch.pi * 3_000 * time) + 1e-3 * noise
        expected = extractor._mel_power(waveforms)
        np.testing.assert_allclose(spectrogram(waveforms), expected, rtol=1e-4, atol=1e-5)
