"""Reading a recording of any length block by block."""

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import soundfile

from hfaudio.audio.decoding import (
    NOTHING_THERE,
    UnreadableAudioError,
    cannot_be_opened,
    check_before_reading,
    check_rate,
    first_line,
    has_torchcodec,
    mix_down,
    why_unreadable,
)
from hfaudio.audio.digital_silence import SilenceWatch
from hfaudio.audio.opening import open_audio
from hfaudio.audio.resampling import Resampler

__all__ = ["stream_audio"]

TORCHCODEC_BLOCK_SECONDS = 20.0


def stream_audio(
    source: str | os.PathLike[str] | bytes,
    sampling_rate: int,
    decoder: str = "auto",
    watch: SilenceWatch | None = None,
) -> Iterator[np.ndarray]:
    """Reads a recording as a mono waveform, block by block, so that one of any length can be read.

    All blocks together are what `decode_audio` returns.

    Args:
        source: A path, or the bytes of a file.
        sampling_rate: The rate wanted, in Hz.
        decoder: One of `DECODERS`; see `read_audio`.
        watch: Is shown the blocks before they are resampled, which makes edges of a constant offset.

    Yields:
        `(samples,)` in float32.

    Raises:
        UnreadableAudioError: Nothing can be heard in it, or it is damaged further on; see `read_audio`.
    """
    check_before_reading(source, decoder)
    resampler: Resampler | None = None
    reasons: dict[str, str] = {}
    try:
        for native_rate, mix in _stream_native(source, decoder, reasons):
            resampler = resampler or Resampler(native_rate, sampling_rate)
            if watch is not None:
                watch.add(mix)
            yield resampler.push(mix)
    except OSError as error:  # of a file that vanishes meanwhile, or a disk that fails
        raise cannot_be_opened(error) from error
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
        raise UnreadableAudioError(f"damaged further on ({first_line(reason)})") from error
    if resampler is None:
        raise UnreadableAudioError(why_unreadable(source, decoder, reasons) if reasons else "holds no samples")
    yield resampler.push(np.empty(0, np.float32), last=True)


def _stream_native(
    source: str | os.PathLike[str] | bytes, decoder: str, reasons: dict[str, str]
) -> Iterator[tuple[int, np.ndarray]]:
    """The native rate and the blocks; none where no decoder can begin, of which `reasons` tells."""
    started = False
    if decoder != "torchcodec":
        try:
            with open_audio(source) as opened:
                check_rate(opened.samplerate)
                for block in opened.blocks():
                    mix, _, _ = mix_down([block])
                    started = True
                    yield opened.samplerate, mix
                if opened.damage is not None:
                    raise opened.damage
            return
        except soundfile.LibsndfileError as error:
            if started:
                raise
            reasons["soundfile"] = error.error_string
    if decoder == "torchcodec" or (decoder == "auto" and has_torchcodec()):
        try:
            for samples in _torchcodec_blocks(source):
                check_rate(samples.sample_rate)
                mix, _, _ = mix_down([samples.data.t().numpy()])
                started = True
                yield samples.sample_rate, mix
            reasons.clear()
        except (RuntimeError, ValueError) as error:
            if started or isinstance(error, UnreadableAudioError):
                raise
            reasons["torchcodec"] = str(error)


def _torchcodec_blocks(source: str | os.PathLike[str] | bytes) -> Iterator[Any]:
    decoder = import_module("torchcodec.decoders").AudioDecoder(
        source if isinstance(source, bytes) else os.fspath(source)
    )
    begin = float(decoder.metadata.begin_stream_seconds or 0.0)
    while True:
        try:
            yield decoder.get_samples_played_in_range(begin, begin + TORCHCODEC_BLOCK_SECONDS)
        except RuntimeError as error:
            if NOTHING_THERE in str(error):  # headers do not always tell where the end is
                return
            raise
        begin += TORCHCODEC_BLOCK_SECONDS
