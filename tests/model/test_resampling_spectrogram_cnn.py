import numpy as np
import pytest

from hfaudio.audio import resample as prepare
from hfaudio.model.resampling_spectrogram_cnn import resample

RATES = [(44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (16_000, 44_100), (44_101, 16_000), (11_127, 16_000)]


@pytest.mark.parametrize(("from_rate", "to_rate"), [*RATES, (1_000, 16_000), (192_000, 16_000), (16_000, 16_000)])
@pytest.mark.parametrize("length", [1, 17, 9_000])
def test_samples_are_those_of_the_preparation(rng, from_rate: int, to_rate: int, length: int) -> None:
    samples = rng.standard_normal(length).astype(np.float32)
    resampled = resample(samples, from_rate, to_rate)
    assert resampled.dtype == np.float32
    expected = prepare(samples, from_rate, to_rate)
    assert resampled.shape == expected.shape
    np.testing.assert_allclose(resampled, expected, atol=5e-6)
