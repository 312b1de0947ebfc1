"""From any source to a cached data set of waveforms, its split, and crops of it."""

from hfaudio.data.crops import AudioCrops, Crops
from hfaudio.data.decoding import DECODERS
from hfaudio.data.errors import DataError
from hfaudio.data.preparation import (
    ON_BAD,
    PreparedAudio,
    describe_listing,
    load_audio_dataset,
    prepare_listing,
)
from hfaudio.data.prepared_cache import DecodingSettings, available_cores
from hfaudio.data.recordings import Columns, LeftOut, Listing, Recording
from hfaudio.data.silence import TRIM_MODES
from hfaudio.data.sound_synthesis import SYNTHETIC_CLASSES, synthesize_clip
from hfaudio.data.sources import list_recordings
from hfaudio.data.split_file import split_by_file, write_split
from hfaudio.data.splits import given_test_parts, make_folds, split_by_folds, split_by_groups, split_randomly
from hfaudio.data.streaming import StreamedCrops
from hfaudio.data.synthetic_dataset import SYNTHETIC_VERSION, write_synthetic_dataset

__all__ = [
    "DECODERS",
    "ON_BAD",
    "SYNTHETIC_CLASSES",
    "SYNTHETIC_VERSION",
    "TRIM_MODES",
    "AudioCrops",
    "Columns",
    "Crops",
    "DataError",
    "DecodingSettings",
    "LeftOut",
    "Listing",
    "PreparedAudio",
    "Recording",
    "StreamedCrops",
    "available_cores",
    "describe_listing",
    "given_test_parts",
    "list_recordings",
    "load_audio_dataset",
    "make_folds",
    "prepare_listing",
    "split_by_file",
    "split_by_folds",
    "split_by_groups",
    "split_randomly",
    "synthesize_clip",
    "write_split",
    "write_synthetic_dataset",
]
