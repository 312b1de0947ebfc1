"""From any source to a cached data set of waveforms, its split, and crops of it."""

from hfaudio.audio import DECODERS
from hfaudio.data.crops import AudioCrops, CropRule, Crops, ExampleKey
from hfaudio.data.errors import DataError
from hfaudio.data.examples import Example, make_example, typical_recordings
from hfaudio.data.excerpts import Excerpt, make_excerpt
from hfaudio.data.left_out_log import LeftOutLog
from hfaudio.data.preparation import (
    ON_BAD,
    PreparedAudio,
    describe_listing,
    load_audio_dataset,
    prepare_listing,
)
from hfaudio.data.prepared_cache import DecodingSettings
from hfaudio.data.recordings import Columns, LeftOut, Listing, Recording
from hfaudio.data.report import DatasetReport, describe_dataset
from hfaudio.data.report_page import render_report, write_report
from hfaudio.data.silence import TRIM_MODES
from hfaudio.data.sound_synthesis import SYNTHETIC_CLASSES, synthesize_clip
from hfaudio.data.sources import list_recordings
from hfaudio.data.split_file import split_by_file, write_split
from hfaudio.data.splits import (
    given_test_parts,
    make_folds,
    split_by_folds,
    split_by_groups,
    split_randomly,
    take_validation_part,
)
from hfaudio.data.streaming import StreamedCrops
from hfaudio.data.synthetic_dataset import built_in_dataset, write_synthetic_dataset
from hfaudio.data.table_streaming import StreamedTable, TableStream, is_table_source, open_table_stream

__all__ = [
    "DECODERS",
    "ON_BAD",
    "SYNTHETIC_CLASSES",
    "TRIM_MODES",
    "AudioCrops",
    "Columns",
    "CropRule",
    "Crops",
    "DataError",
    "DatasetReport",
    "DecodingSettings",
    "Example",
    "ExampleKey",
    "Excerpt",
    "LeftOut",
    "LeftOutLog",
    "Listing",
    "PreparedAudio",
    "Recording",
    "StreamedCrops",
    "StreamedTable",
    "TableStream",
    "built_in_dataset",
    "describe_dataset",
    "describe_listing",
    "given_test_parts",
    "is_table_source",
    "list_recordings",
    "load_audio_dataset",
    "make_example",
    "make_excerpt",
    "make_folds",
    "open_table_stream",
    "prepare_listing",
    "render_report",
    "split_by_file",
    "split_by_folds",
    "split_by_groups",
    "split_randomly",
    "synthesize_clip",
    "take_validation_part",
    "typical_recordings",
    "write_report",
    "write_split",
    "write_synthetic_dataset",
]
