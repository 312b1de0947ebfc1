import pytest

from hfaudio.data import CropRule
from hfaudio.training import AugmentationArguments, FeatureArguments, FeatureChanges, Mixing


def test_every_flag_arrives_where_it_is_used() -> None:
    extractor = FeatureArguments(crop_seconds=2.0).build_extractor()
    flags = AugmentationArguments(
        crop_speed=1.1,
        crop_margin=0.25,
        progressive_crop=1.0,
        progressive_resolution=0.5,
        mixing="mixup",
        mixup_alpha=0.3,
        mixing_probability=0.7,
        band_gain_db=3.0,
        style_mixing=0.2,
        freq_mask=4,
        time_mask=5,
        num_freq_masks=2,
        num_time_masks=3,
        waveform_augmentation="none",
    )
    assert flags.crop_rule(extractor) == CropRule(32_000, speed=1.1, margin=4_000, first_samples=16_000)
    assert flags.mix() == Mixing("mixup", 0.3, 0.7)
    assert flags.feature_changes() == FeatureChanges(4, 5, 2, 3, 3.0, 0.2, 0.5)
    assert flags.waveform_changes(16_000) is None
    assert AugmentationArguments(mixing="none").mix() is None
    assert AugmentationArguments(waveform_augmentation="light").waveform_changes(16_000) is not None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"crop_speed": 0.5}, "^--crop_speed must be from 1 to 2, found 0.5"),
        ({"crop_margin": -1.0}, "--crop_margin must be from 0 to 3600 seconds, found -1.0"),
        ({"mixing": "odd"}, "^--mixing must be one of none, between_class, mixup, mixup_features, found 'odd'.$"),
        ({"mixup_alpha": 0.0}, "^--mixup_alpha must be above 0"),
        ({"mixing_probability": -0.1}, "^--mixing_probability must be from 0 to 1"),
        ({"mixing": "none", "mixup_alpha": 0.5}, "--mixup_alpha needs a --mixing, found none."),
        ({"mixing": "none", "mixing_probability": 0.5}, "--mixing_probability needs a --mixing, found none."),
        ({"style_mixing": 2.0}, "^--style_mixing must be from 0 to 1"),
        ({"progressive_resolution": 1.5}, "^--progressive_resolution must be above 0 and at most 1"),
        ({"waveform_augmentation": "odd"}, "^--waveform_augmentation must be one of none, light, strong or"),
        ({"waveform_augmentation": "gone.yaml"}, "^Expected a YAML file of transforms at gone.yaml, found none"),
        ({"band_gain_db": -1.0}, "^--band_gain_db must be at least 0, found -1.0"),
        ({"num_freq_masks": 3}, "^--num_freq_masks needs a --freq_mask, found none.$"),
        ({"num_time_masks": 3, "freq_mask": 4}, "^--num_time_masks needs a --time_mask, found none.$"),
    ],
)
def test_flags_out_of_range_are_named(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        AugmentationArguments(**arguments)


def test_first_crops_longer_than_the_last_are_named() -> None:
    extractor = FeatureArguments(crop_seconds=2.0).build_extractor()
    for seconds in (3.0, 0.0):
        with pytest.raises(ValueError, match=r"--progressive_crop must be from 0.05 to 2 seconds \(--crop_seconds\)"):
            AugmentationArguments(progressive_crop=seconds).crop_rule(extractor)
