"""From files to a cached data set of waveforms, its split, and crops of it."""

from hfaudio.data.crops import AudioCrops
from hfaudio.data.errors import DataError
from hfaudio.data.preparation import LeftOut, PreparedAudio, available_cores, load_audio_dataset
from hfaudio.data.sound_synthesis import SYNTHETIC_CLASSES, synthesize_clip
from hfaudio.data.splits import split_by_folds, split_by_groups, split_randomly
from hfaudio.data.synthetic_dataset import SYNTHETIC_VERSION, write_synthetic_dataset

__all__ = [
    "SYNTHETIC_CLASSES",
    "SYNTHETIC_VERSION",
    "AudioCrops",
    "DataError",
    "LeftOut",
    "PreparedAudio",
    "available_cores",
    "load_audio_dataset",
    "split_by_folds",
    "split_by_groups",
    "split_randomly",
    "synthesize_clip",
    "write_synthetic_dataset",
]
