"""What is measured of every recording while it is decoded: enough for the report and for all checks."""

import math

import numpy as np
import pyarrow as pa
import xxhash

from hfaudio.audio import SILENT_RANGE, UnreadableAudioError, is_silent, read_audio, resample
from hfaudio.data.recordings import Recording
from hfaudio.data.silence import frame_powers, trim_silence

__all__ = ["MEASUREMENTS", "measure_recording"]

SILENT_FRAME = 1e-6  # in power: -60 dB

MEASUREMENTS = {
    "unreadable": pa.string(),  # why nothing can be learned from it, or null
    "content_hash": pa.string(),  # of the mono mix at its own rate: resampled, its last bits differ between processors
    "samples": pa.int64(),  # of the waveform
    "sampling_rate": pa.int32(),  # of the waveform, Hz
    "seconds": pa.float64(),  # of the file or its span, before trimming
    "native_sampling_rate": pa.int32(),  # Hz
    "channels": pa.int32(),
    "encoding": pa.string(),
    "peak": pa.float32(),  # largest magnitude in any channel, 1 is full scale
    "level": pa.float32(),  # RMS of the mono mix, dB below full scale
    "clipped": pa.float32(),  # share of the frames
    "silence": pa.float32(),  # share of the time below -60 dB
    "truncated": pa.bool_(),
}
"""Names and types of the columns."""


def measure_recording(
    recording: Recording, sampling_rate: int, decoder: str, trim: str
) -> tuple[np.ndarray, dict[str, object]]:
    """Decodes and measures a recording.

    Args:
        recording: Which.
        sampling_rate: The rate wanted, in Hz.
        decoder: See `hfaudio.audio.read_audio`.
        trim: See `hfaudio.data.silence.trim_silence`.

    Returns:
        The waveform `(samples,)` in float32, and one value for each of `MEASUREMENTS`. If nothing can be learned from
        it, the waveform is empty, `unreadable` tells why and all else is None.
    """
    try:
        native = read_audio(recording.encoded(), decoder, recording.start, recording.end)
        _check_sounding(native.samples, native.peak)
        powers = frame_powers(native.samples, native.sampling_rate)
        waveform = resample(native.samples, native.sampling_rate, sampling_rate)
        waveform = trim_silence(waveform, sampling_rate, trim)
    except UnreadableAudioError as error:
        return np.empty(0, np.float32), {**dict.fromkeys(MEASUREMENTS), "unreadable": str(error)}
    return waveform, {
        "unreadable": None,
        "content_hash": xxhash.xxh3_128_hexdigest(native.samples.data, seed=native.sampling_rate),
        "samples": len(waveform),
        "sampling_rate": sampling_rate,
        "seconds": len(native.samples) / native.sampling_rate,
        "native_sampling_rate": native.sampling_rate,
        "channels": native.channels,
        "encoding": native.encoding,
        "peak": native.peak,
        "level": 10.0 * math.log10(powers.mean()),
        "clipped": native.clipped,
        "silence": np.count_nonzero(powers < SILENT_FRAME) / len(powers),
        "truncated": native.truncated,
    }


def _check_sounding(mix: np.ndarray, peak: float) -> None:
    if not is_silent(mix):
        return
    cancelled = peak > SILENT_RANGE and abs(float(mix[0])) < peak / 2.0
    raise UnreadableAudioError("wholly silent" + (": its channels cancel each other out" if cancelled else ""))
