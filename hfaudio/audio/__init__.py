"""Reading one recording: any format, rate and channel count. Needs neither torch nor transformers."""

from hfaudio.audio.decoding import (
    DECODERS,
    NativeAudio,
    UnreadableAudioError,
    audio_seconds,
    check_magnitude,
    decode_audio,
    has_torchcodec,
    read_audio,
)
from hfaudio.audio.digital_silence import SILENT_RANGE, SilenceWatch, is_silent
from hfaudio.audio.file_kinds import AUDIO_EXTENSIONS, OTHER_EXTENSIONS, READABLE_EXTENSIONS, may_be_recording
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
    "audio_seconds",
    "check_magnitude",
    "decode_audio",
    "has_torchcodec",
    "is_silent",
    "may_be_recording",
    "read_audio",
    "resample",
    "stream_audio",
]
