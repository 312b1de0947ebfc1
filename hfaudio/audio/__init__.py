"""Reading one recording: any format, rate and channel count. Needs neither torch nor transformers."""

from hfaudio.audio.decoding import (
    AUDIO_EXTENSIONS,
    DECODERS,
    OTHER_EXTENSIONS,
    READABLE_EXTENSIONS,
    NativeAudio,
    UnreadableAudioError,
    decode_audio,
    has_torchcodec,
    read_audio,
)
from hfaudio.audio.digital_silence import SILENT_RANGE, SilenceWatch, is_silent
from hfaudio.audio.resampling import Resampler, resample
from hfaudio.audio.streaming import stream_audio

__all__ = [
    "AUDIO_EXTENSIONS",
    "DECODERS",
    "OTHER_EXTENSIONS",
    "READABLE_EXTENSIONS",
    "SILENT_RANGE",
    "NativeAudio",
    "Resampler",
    "SilenceWatch",
    "UnreadableAudioError",
    "decode_audio",
    "has_torchcodec",
    "is_silent",
    "read_audio",
    "resample",
    "stream_audio",
]
