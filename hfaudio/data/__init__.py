"""From files to a cached data set of waveforms, its split, and crops of it."""

from hfaudio.data.crops import AudioCrops
from hfaudio.data.errors import DataError
from hfaudio.data.preparation import LeftOut, PreparedAudio, load_audio_dataset
from hfaudio.data.splits import split_by_folds, split_by_groups, split_randomly
from hfaudio.data.synthetic import SYNTHETIC_CLASSES, write_synthetic_dataset

__all__ = [
    "SYNTHETIC_CLASSES",
    "AudioCrops",
    "DataError",
    "LeftOut",
    "PreparedAudio",
    "load_audio_dataset",
    "split_by_folds",
    "split_by_groups",
    "split_randomly",
    "write_synthetic_dataset",
]
