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
from hfaudio.audio.resampling import Resampler, resample
from hfaudio.audio.streaming import stream_audio

__all__ = [
    "AUDIO_EXTENSIONS",
    "DECODERS",
    "OTHER_EXTENSIONS",
    "READABLE_EXTENSIONS",
    "NativeAudio",
    "Resampler",
    "UnreadableAudioError",
    "decode_audio",
    "has_torchcodec",
    "read_audio",
    "resample",
    "stream_audio",
]
