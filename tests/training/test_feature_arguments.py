import pytest

from hfaudio.training import FeatureArguments


def test_feature_flags_win_over_the_preset() -> None:
    extractor = FeatureArguments(feature_preset="power_of_two", n_mels=32, pad_mode="repeat").build_extractor()
    assert (extractor.n_fft, extractor.hop_length, extractor.n_mels, extractor.pad_mode) == (1024, 128, 32, "repeat")
    with pytest.raises(ValueError, match="--n_mfcc needs --features mfcc or mfcc_delta, found log_mel."):
        FeatureArguments(n_mfcc=13)
    with pytest.raises(ValueError, match="hop_length must be an integer from 1 to 800"):
        FeatureArguments(hop_length=0)
