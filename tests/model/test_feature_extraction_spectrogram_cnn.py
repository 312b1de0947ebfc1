import json
import pickle

import numpy as np
import pytest
import torch
import torchaudio
from transformers import AutoFeatureExtractor

from hfaudio.model import FEATURE_PRESETS, SpectrogramCNNFeatureExtractor

RATE = 16_000


def extract(extractor: SpectrogramCNNFeatureExtractor, waveforms) -> tuple[torch.Tensor, torch.Tensor]:
    batch = extractor(waveforms, sampling_rate=extractor.sampling_rate)
    return batch["input_features"], batch["attention_mask"]


@pytest.fixture
def noise(rng: np.random.Generator) -> np.ndarray:
    return (0.1 * rng.standard_normal(RATE)).astype(np.float32)


@pytest.mark.parametrize("preset", FEATURE_PRESETS)
@pytest.mark.filterwarnings("ignore:At least one mel filter")
def test_log_mel_equals_torchaudio(preset: str, noise: np.ndarray) -> None:
    settings = FEATURE_PRESETS[preset]
    transform = torchaudio.transforms.MelSpectrogram(RATE, power=2.0, pad_mode="constant", **settings)
    features, _ = extract(SpectrogramCNNFeatureExtractor.from_preset(preset, crop_seconds=0.5), noise)
    expected = torch.log(transform(torch.from_numpy(noise)) + 1e-6)
    torch.testing.assert_close(features[0, 0], expected, rtol=0, atol=1e-4)


def test_mfcc_and_deltas_equal_torchaudio(noise: np.ndarray) -> None:
    extractor = SpectrogramCNNFeatureExtractor(features="mfcc_delta", n_mfcc=20, crop_seconds=0.5)
    settings = {**FEATURE_PRESETS["compact"], "pad_mode": "constant"}
    transform = torchaudio.transforms.MFCC(RATE, n_mfcc=20, log_mels=True, melkwargs=settings)
    coefficients = transform(torch.from_numpy(noise))
    deltas = torchaudio.functional.compute_deltas(coefficients)
    expected = torch.stack([coefficients, deltas, torchaudio.functional.compute_deltas(deltas)])
    features, _ = extract(extractor, noise)
    torch.testing.assert_close(features[0], expected, rtol=0, atol=1e-4)
    mfcc, _ = extract(SpectrogramCNNFeatureExtractor(features="mfcc", n_mfcc=20, crop_seconds=0.5), noise)
    torch.testing.assert_close(mfcc[0, 0], coefficients, rtol=0, atol=1e-4)


def test_golden_values(extractor: SpectrogramCNNFeatureExtractor) -> None:
    time = torch.arange(RATE // 2) / RATE
    features, _ = extract(extractor, 0.5 * torch.sin(2 * torch.pi * 1000 * time))
    assert features.shape == (1, 1, 16, 26)
    torch.testing.assert_close(features[0, 0, :6, 10], torch.tensor(GOLDEN_1_KHZ_SINE), rtol=1e-4, atol=1e-3)


GOLDEN_1_KHZ_SINE = [-12.8431, -12.4593, -11.2853, -8.7268, 6.2975, 9.8224]  # as torchaudio 2.11 has them


@pytest.mark.parametrize("features", ["log_mel", "mfcc_delta"])
@pytest.mark.parametrize("pad_mode", ["zero", "repeat", "reflect"])
def test_a_clip_has_the_same_features_alone_and_in_a_batch(features: str, pad_mode: str, rng) -> None:
    extractor = SpectrogramCNNFeatureExtractor(features, n_mels=16, n_mfcc=8, crop_seconds=0.3, pad_mode=pad_mode)
    clips = [0.1 * rng.standard_normal(length) for length in (1, 700, 4_800, 12_345, 16_000)]
    batch, mask = extract(extractor, clips)
    for clip, row, row_mask in zip(clips, batch, mask, strict=True):
        alone, alone_mask = extract(extractor, clip)
        frames = int(row_mask.sum())
        assert frames == int(alone_mask.sum())
        torch.testing.assert_close(row[:, :, :frames], alone[0, :, :, :frames], rtol=0, atol=1e-5)
        assert (row[:, :, frames:] == 0).all()


def test_every_form_of_the_same_recording_gives_the_same_features(extractor, noise: np.ndarray) -> None:
    expected, expected_mask = extract(extractor, noise)
    stereo = np.stack([noise + 0.01, noise - 0.01])
    forms = [
        noise.tolist(),
        noise.astype(np.float64),
        torch.from_numpy(noise),
        [noise],
        stereo[None],
        [stereo],
        noise[::-1].copy()[::-1],
    ]
    for form in forms:
        features, mask = extract(extractor, form)
        torch.testing.assert_close(features, expected, rtol=0, atol=1e-4)
        assert torch.equal(mask, expected_mask)
    two, _ = extract(extractor, [noise.tolist(), noise.tolist()])
    assert len(two) == 2


def test_numpy_is_returned_on_request(extractor, noise: np.ndarray) -> None:
    batch = extractor(noise, sampling_rate=RATE, return_tensors="np")
    assert isinstance(batch["input_features"], np.ndarray)
    assert batch["input_features"].dtype == np.float32


def test_frames_count_one_more_than_the_hops(extractor) -> None:
    for samples in (8_000, 8_319, 8_320):
        features, mask = extract(extractor, np.linspace(-0.1, 0.1, samples))
        assert features.shape[-1] == int(mask.sum()) == 1 + samples // 320


def test_a_long_recording_is_cut_to_its_middle(rng) -> None:
    extractor = SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.5, max_seconds=1.0)
    long = 0.1 * rng.standard_normal(3 * RATE)
    features, _ = extract(extractor, long)
    middle, _ = extract(extractor, long[RATE : 2 * RATE])
    assert torch.equal(features, middle)


def test_short_recordings_are_extended_as_asked() -> None:
    samples = torch.tensor([1.0, 2.0, 3.0])
    expected = {
        "zero": [1, 2, 3, 0, 0, 0, 0, 0],
        "repeat": [1, 2, 3, 1, 2, 3, 1, 2],
        "reflect": [1, 2, 3, 2, 1, 2, 3, 2],
    }
    for pad_mode, extended in expected.items():
        extractor = SpectrogramCNNFeatureExtractor(
            sampling_rate=1_000, n_fft=16, win_length=16, hop_length=8, n_mels=4, crop_seconds=0.016, pad_mode=pad_mode
        )
        extractor.crop_seconds = 0.008
        fitted, sound_samples = extractor._fit_length(samples)
        assert fitted.tolist() == extended
        assert sound_samples == (3 if pad_mode == "zero" else 8)
        single, _ = extractor._fit_length(torch.tensor([5.0]))
        assert single.tolist() == ([5, 0, 0, 0, 0, 0, 0, 0] if pad_mode == "zero" else [5] * 8)


def test_features_stay_in_single_precision_under_autocast(extractor, noise: np.ndarray) -> None:
    expected, _ = extract(extractor, noise)
    with torch.autocast("cpu", torch.bfloat16):
        features, _ = extract(extractor, noise)
    assert features.dtype == torch.float32
    assert torch.equal(features, expected)


def test_normalization_is_applied_and_saved(tmp_path, noise: np.ndarray) -> None:
    extractor = SpectrogramCNNFeatureExtractor(features="mfcc_delta", n_mels=16, n_mfcc=8, pad_mode="reflect")
    raw, _ = extract(extractor, noise)
    mean, std = raw.mean(dim=(0, 3)), raw.std(dim=(0, 3))
    extractor.set_normalization(mean.numpy(), std.numpy())
    normalized, _ = extract(extractor, noise)
    torch.testing.assert_close(normalized, (raw - mean[..., None]) / std[..., None])
    extractor.key_of_the_future = "kept"
    extractor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert saved["auto_map"] == {
        "AutoFeatureExtractor": "feature_extraction_spectrogram_cnn.SpectrogramCNNFeatureExtractor"
    }
    loaded = SpectrogramCNNFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.to_dict() == extractor.to_dict()
    assert loaded.key_of_the_future == "kept"
    assert torch.equal(extract(loaded, noise)[0], normalized)
    assert torch.equal(extract(pickle.loads(pickle.dumps(loaded)), noise)[0], normalized)


def test_auto_class_loads_it_without_a_flag(tmp_path, tiny_config, extractor) -> None:
    extractor.save_pretrained(tmp_path)
    tiny_config.save_pretrained(tmp_path)
    assert isinstance(AutoFeatureExtractor.from_pretrained(tmp_path), SpectrogramCNNFeatureExtractor)


def test_a_missing_sampling_rate_is_warned_of(extractor, noise: np.ndarray, caplog) -> None:
    from transformers.utils import logging

    logging.enable_propagation()
    logging.get_logger("transformers").warning_once.cache_clear()
    extractor(noise)
    assert "Pass sampling_rate" in caplog.text


@pytest.mark.parametrize(
    ("waveforms", "sentence"),
    [
        ([], "Expected at least one recording, found an empty list."),
        (np.zeros(0, np.float32), "Recording 0 must have at least one sample, found none."),
        ([np.ones(9), np.full(9, np.nan)], "Recording 1 must hold finite samples, found NaN or infinity."),
        (np.full(9, np.inf), "Recording 0 must hold finite samples"),
        ([np.ones(9), np.full(9, 1e25)], "Recording 1 must hold samples of at most 2.1e+09 times full scale, found"),
        (np.ones(9, np.int16), "Recording 0 must hold floating-point samples in [-1, 1], found torch.int16;"),
        (np.zeros((16_000, 2)), "with at most 8 channels, found (16000, 2);"),
        ([np.zeros((1, 1, 9))], "Recording 0 must have the shape (samples,) or (channels, samples)"),
    ],
)
def test_impossible_waveforms_are_refused(extractor, waveforms, sentence: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        extractor(waveforms, sampling_rate=RATE)
    assert sentence in str(error.value)


def test_another_sampling_rate_is_refused(extractor) -> None:
    with pytest.raises(ValueError, match="expects waveforms at 16000 Hz, found 44100 Hz; resample them first"):
        extractor(np.zeros(100), sampling_rate=44_100)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"features": "cqt"}, "features must be one of log_mel, mfcc, mfcc_delta, found 'cqt'."),
        ({"pad_mode": "edge"}, "pad_mode must be one of zero, repeat, reflect, found 'edge'."),
        ({"sampling_rate": 0}, "sampling_rate must be an integer from 1000 to 384000 Hz, found 0."),
        ({"n_fft": 8}, "n_fft must be an integer from 16 to 65536 samples, found 8."),
        ({"win_length": 2000}, "win_length must be an integer from 16 to 1024 samples (n_fft), found 2000."),
        ({"hop_length": 0}, "hop_length must be an integer from 1 to 800 samples (win_length), found 0."),
        ({"n_mels": 600}, "n_mels must be an integer from 1 to 513 (the bins of n_fft), found 600."),
        ({"n_mels": 12.5}, "n_mels must be an integer from 1 to 513 (the bins of n_fft), found 12.5."),
        ({"features": "mfcc", "n_mfcc": 65}, "n_mfcc must be an integer from 1 to 64 (n_mels), found 65."),
        ({"f_max": 9000.0}, "f_max must be a number from 1 to 8000 Hz (half the sampling rate), found 9000.0."),
        ({"f_min": 5000.0, "f_max": 4000.0}, "f_min must be a number from 0 to 3999 Hz (below f_max), found 5000.0."),
        ({"crop_seconds": 0.0}, "crop_seconds must be a number from 0.05 to 3600 seconds, found 0.0."),
        ({"max_seconds": 1.0}, "max_seconds must be a number from 2 to 3600 seconds (at least crop_seconds), found 1"),
        ({"mean": [[0.0] * 64]}, "mean and std must be given together, found only one of them."),
        ({"mean": [[0.0]], "std": [[1.0]]}, "mean must be finite, with the shape (1, 64), found shape (1, 1)."),
        ({"mean": [[0.0] * 64], "std": [[0.0] * 64]}, "std must be above 0 everywhere, found 0.0."),
    ],
)
def test_settings_out_of_bounds_are_named(settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        SpectrogramCNNFeatureExtractor(**settings)
    assert sentence in str(error.value)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ValueError, match="preset must be one of compact, power_of_two, dessa, found 'huge'"):
        SpectrogramCNNFeatureExtractor.from_preset("huge")


@pytest.mark.parametrize("features", ["log_mel", "mfcc", "mfcc_delta"])
@pytest.mark.parametrize("amplitude", [1e-40, 32_768.0, 2.0**31])
def test_features_of_all_samples_that_are_taken_are_finite(rng, features: str, amplitude: float) -> None:
    extractor = SpectrogramCNNFeatureExtractor(features=features, n_fft=65_536, win_length=65_536, crop_seconds=5.0)
    sound = np.sign(rng.standard_normal(80_000)) * amplitude
    square = np.full(80_000, amplitude)
    values = extractor([sound, square], sampling_rate=16_000)["input_features"]
    assert torch.isfinite(values).all()


def test_of_a_long_recording_only_what_is_taken_is_kept(extractor) -> None:
    extractor.max_seconds = 0.5
    clip, _ = extractor._fit_length(torch.rand(100_000))
    assert clip.untyped_storage().nbytes() == 4 * len(clip) == 4 * 8_000
