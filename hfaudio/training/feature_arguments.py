"""The flags of the features, as a dataclass that `HfArgumentParser` reads."""

from dataclasses import dataclass, field, fields

from hfaudio.model import SpectrogramCNNFeatureExtractor
from hfaudio.training.pretrained import refuse_changes

__all__ = ["FeatureArguments"]

CROP_FLAGS = ("crop_seconds", "max_seconds", "pad_mode")


@dataclass
class FeatureArguments:
    """How waveforms become features."""

    _argument_group_name = "features"

    features: str = field(
        default="log_mel", metadata={"help": "What is computed.", "choices": ["log_mel", "mfcc", "mfcc_delta"]}
    )
    feature_preset: str = field(
        default="compact",
        metadata={"help": "Named spectrogram settings.", "choices": ["compact", "power_of_two", "dessa"]},
    )
    sampling_rate: int = field(default=16_000, metadata={"help": "Rate that all recordings are cast to, in Hz."})
    n_fft: int | None = field(default=None, metadata={"help": "Length of the Fourier transform, in samples [preset]."})
    win_length: int | None = field(default=None, metadata={"help": "Length of the window, in samples [preset]."})
    hop_length: int | None = field(default=None, metadata={"help": "Step between frames, in samples [preset]."})
    n_mels: int | None = field(default=None, metadata={"help": "Mel bands [preset]."})
    n_mfcc: int | None = field(default=None, metadata={"help": "Cepstral coefficients [40]."})
    crop_seconds: float = field(default=2.0, metadata={"help": "Length of the training crops, in seconds."})
    max_seconds: float = field(
        default=30.0, metadata={"help": "Longer recordings are evaluated on their middle part of this length."}
    )
    pad_mode: str = field(
        default="zero",
        metadata={
            "help": "How recordings shorter than a crop are extended.",
            "choices": ["zero", "repeat", "reflect"],
        },
    )

    def __post_init__(self) -> None:
        if self.n_mfcc is not None and self.features == "log_mel":
            raise ValueError("--n_mfcc needs --features mfcc or mfcc_delta, found log_mel.")
        self.build_extractor()

    def build_extractor(self) -> SpectrogramCNNFeatureExtractor:
        """Makes the feature extractor; flags win over the preset.

        Raises:
            ValueError: A setting lies outside its bounds.
        """
        settings = {
            name: value for name, value in vars(self).items() if name != "feature_preset" and value is not None
        }
        return SpectrogramCNNFeatureExtractor.from_preset(self.feature_preset, **settings)

    def apply_crop(self, extractor: SpectrogramCNNFeatureExtractor) -> None:
        """Lets the flags that change no feature win over those of a checkpoint.

        Args:
            extractor: Of the checkpoint; is changed.

        Raises:
            ValueError: A flag was given that would change the features.
        """
        refuse_changes(self, [one.name for one in fields(self) if one.name not in CROP_FLAGS])
        for one in fields(self):
            if one.name in CROP_FLAGS and getattr(self, one.name) != one.default:
                setattr(extractor, one.name, getattr(self, one.name))
