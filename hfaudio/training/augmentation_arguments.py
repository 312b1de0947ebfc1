"""The flags that say how training examples are cut, changed and mixed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hfaudio.data import CropRule
from hfaudio.model import SpectrogramCNNFeatureExtractor
from hfaudio.training.augmentation import WaveformAugmentation
from hfaudio.training.mixing import MIXINGS, Mixing
from hfaudio.training.specaugment import FeatureChanges

__all__ = ["AugmentationArguments"]

FLAGS = {
    "speed": "crop_speed",
    "alpha": "mixup_alpha",
    "probability": "mixing_probability",
    "first_scale": "progressive_resolution",
}
"""The flags whose values have other names where they are used."""


@dataclass
class AugmentationArguments:
    """How training examples are cut, changed and mixed; evaluation sees none of it."""

    _argument_group_name = "augmentation"

    crop_speed: float = field(
        default=1.25, metadata={"help": "Training crops are played up to so many times as fast, or as slowly; 1: not."}
    )
    crop_margin: float = field(
        default=0.5, metadata={"help": "Seconds of silence around a recording into which a training crop may reach."}
    )
    progressive_crop: float | None = field(
        default=None,
        metadata={
            "help": "Length of the first training crops, in seconds, which grows to --crop_seconds for three quarters "
            "of the training."
        },
    )
    progressive_resolution: float = field(
        default=1.0,
        metadata={"help": "Side of the first features as a share of the whole ones, to which it grows likewise."},
    )
    waveform_augmentation: str = field(
        default="light",
        metadata={
            "help": "Changes to the waveform: none, light, strong, or a YAML file of audiomentations transforms."
        },
    )
    mixing: str = field(
        default="between_class",
        metadata={
            "help": "What a training example is a mixture of: between_class (waveforms of two classes, by loudness), "
            "mixup (any two waveforms), mixup_features, or none.",
            "choices": list(MIXINGS),
        },
    )
    mixup_alpha: float = field(
        default=1.0, metadata={"help": "Shares of a mixture are drawn from Beta(alpha, alpha); 1: all equally likely."}
    )
    mixing_probability: float = field(default=1.0, metadata={"help": "Share of the examples that are mixed."})
    band_gain_db: float = field(
        default=0.0, metadata={"help": "Largest random gain of a band, as of an equalizer, in dB; 0 for none."}
    )
    style_mixing: float = field(
        default=0.5, metadata={"help": "Share of the examples that take on the colour of another one; 0 for none."}
    )
    freq_mask: int = field(default=0, metadata={"help": "Widest SpecAugment mask over bands; 0 for none."})
    time_mask: int = field(default=0, metadata={"help": "Widest SpecAugment mask over frames; 0 for none."})
    num_freq_masks: int = field(default=1, metadata={"help": "Masks over bands for each example."})
    num_time_masks: int = field(default=1, metadata={"help": "Masks over frames for each example."})

    def __post_init__(self) -> None:
        for name in ("mixup_alpha", "mixing_probability"):
            if self.mixing == "none" and getattr(self, name) != getattr(type(self), name):
                raise ValueError(f"--{name} needs a --mixing, found none.")
        for mask in ("freq_mask", "time_mask"):
            count = f"num_{mask}s"
            if not getattr(self, mask) and getattr(self, count) != getattr(type(self), count):
                raise ValueError(f"--{count} needs a --{mask}, found none.")
        if self.mixing not in MIXINGS:
            raise ValueError(f"--mixing must be one of {', '.join(MIXINGS)}, found {self.mixing!r}.")
        with _flags_named():
            self.mix()
            self.feature_changes()
            self.waveform_changes(sampling_rate=16_000)
            CropRule(1, self.crop_speed)
        if not 0.0 <= self.crop_margin <= 3_600.0:
            raise ValueError(f"--crop_margin must be from 0 to 3600 seconds, found {self.crop_margin}.")

    @property
    def grows(self) -> bool:
        """Whether crops or features grow in the course of the training."""
        return self.progressive_crop is not None or self.progressive_resolution < 1.0

    def crop_rule(self, extractor: SpectrogramCNNFeatureExtractor) -> CropRule:
        """How training crops are cut.

        Raises:
            ValueError: The first crops would be longer than the last ones, or shorter than a frame.
        """
        rate = extractor.sampling_rate
        first = None
        if self.progressive_crop is not None:
            shortest = extractor.win_length / rate
            if not shortest <= self.progressive_crop <= extractor.crop_seconds:
                raise ValueError(
                    f"--progressive_crop must be from {shortest:g} to {extractor.crop_seconds:g} seconds "
                    f"(--crop_seconds), found {self.progressive_crop}."
                )
            first = round(self.progressive_crop * rate)
        return CropRule(extractor.crop_samples, self.crop_speed, round(self.crop_margin * rate), first)

    def waveform_changes(self, sampling_rate: int) -> WaveformAugmentation | None:
        """What changes the waveform of an example, at a rate in Hz."""
        if self.waveform_augmentation == "none":
            return None
        return WaveformAugmentation(self.waveform_augmentation, sampling_rate)

    def mix(self) -> Mixing | None:
        """How two examples become one."""
        if self.mixing == "none":
            return None
        return Mixing(self.mixing, self.mixup_alpha, self.mixing_probability)

    def feature_changes(self) -> FeatureChanges:
        """What changes the features of a batch."""
        return FeatureChanges(
            self.freq_mask,
            self.time_mask,
            self.num_freq_masks,
            self.num_time_masks,
            self.band_gain_db,
            self.style_mixing,
            self.progressive_resolution,
        )


@contextmanager
def _flags_named() -> Iterator[None]:
    """Puts the flag where a sentence begins with the name that its value has inside."""
    try:
        yield
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        flag = FLAGS.get(name, name)
        if not hasattr(AugmentationArguments, flag):
            raise
        raise ValueError(f"--{flag} {rest}") from error
