"""Recordings from wherever they come: files, bytes, addresses, arrays, rows of a data set."""

import io
import os
import stat
from collections.abc import Mapping
from typing import Any
from urllib.request import urlopen

import numpy as np
import torch
from transformers.utils import logging

from .resampling_spectrogram_cnn import resample
from .waveforms_spectrogram_cnn import check_samples, is_silent, to_mono

__all__ = ["read_waveform"]

logger = logging.get_logger(__name__)

UNREAD_BYTES, UNREAD_SHARE = 4_096, 0.05  # of a file, that tags behind the samples may take without a warning
LOWEST_RATE, HIGHEST_RATE = 1_000, 2_000_000  # Hz; elephants and bats lie within, the rates of damaged headers do not
FETCHING_SECONDS = 60.0  # that a server may be silent


def read_waveform(source: Any, sampling_rate: int) -> np.ndarray:
    """Reads a recording as a mono waveform.

    Args:
        source: A path, an http(s) address or the bytes of a file, which need the package soundfile; an array,
            `(samples,)` or `(channels, samples)`, at the rate wanted; a decoder of torchcodec's; or a mapping as
            `datasets` has it, of `array` or `raw` and their `sampling_rate`, or of `bytes` or `path`.
        sampling_rate: The rate wanted, in Hz.

    Returns:
        `(samples,)` in float32: the mean of the channels, resampled; zeros if it is silent.

    Raises:
        ImportError: A file is to be read, and soundfile is not installed.
        ValueError: Nothing can be heard in it, or it is none of these.
    """
    rate = sampling_rate
    path = source.get("path") if isinstance(source, Mapping) else source
    name = str(path) if isinstance(path, (str, os.PathLike)) else "The recording"
    if isinstance(source, Mapping):
        array = next((source[key] for key in ("array", "raw") if source.get(key) is not None), None)
        if array is None:
            source = source.get("path") if source.get("bytes") is None else source["bytes"]
        elif source.get("sampling_rate") is None:
            raise ValueError("Expected the sampling_rate of the array beside it, in Hz, found none.")
        else:
            source, rate = array, _whole(source["sampling_rate"])
    if isinstance(source, (str, bytes, os.PathLike)):
        source, rate = _decode(source, name)
    elif hasattr(source, "get_all_samples"):
        decoded = source.get_all_samples()
        source, rate = decoded.data, decoded.sample_rate
    if not isinstance(source, (list, tuple)) and not getattr(source, "ndim", 0):
        raise ValueError(
            "Expected a recording as a path, bytes, an array, a decoder of torchcodec's, or a mapping with array and "
            f"sampling_rate, bytes or path, found {type(source).__name__}."
        )
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(f"{name} must have a rate from {LOWEST_RATE} to {HIGHEST_RATE} Hz, found {rate} Hz.")
    samples = to_mono(source, name)
    check_samples(samples, name)
    if is_silent(samples):
        samples = torch.zeros_like(samples)  # of a constant offset the filter would make edges
    return resample(samples.numpy(), rate, sampling_rate)


def _open(path: str | os.PathLike[str]) -> io.BufferedReader:
    """A file; a pipe would be waited for without end, and a device read without end."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError("it is a pipe, a socket or a device, no file")
    return open(path, "rb")


def _whole(rate: Any) -> int:
    try:
        hertz = float(rate)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected a sampling_rate in Hz, found {rate!r}.") from error
    if not hertz.is_integer():  # nor are NaN and infinity
        raise ValueError(f"Expected a sampling_rate of whole Hz, found {hertz:g}.")
    return int(hertz)


def _decode(source: str | bytes | os.PathLike[str], name: str) -> tuple[np.ndarray, int]:
    """The mean of the channels, `(samples,)` in float32, and the rate of a file."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: it finds no libsndfile
        raise ImportError(
            f"Reading a file needs the package soundfile ({error}); run pip install soundfile, or give an array."
        ) from error
    try:
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            with urlopen(source, timeout=FETCHING_SECONDS) as response:
                source = response.read()
        # Opened here, because libsndfile does not say why it cannot.
        with io.BytesIO(source) if isinstance(source, bytes) else _open(source) as file:
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
            read, size = file.tell(), file.seek(0, os.SEEK_END)
            if size - read > max(UNREAD_BYTES, UNREAD_SHARE * size):
                logger.warning(
                    f"Of {name} soundfile reads {len(samples) / rate:.2f} s and leaves {size - read} of {size} bytes "
                    "unread: its header may tell too little, or it is several files in one. Save it anew as WAV."
                )
    except OSError as error:
        raise ValueError(f"{name} cannot be opened ({error.strerror or error}); check the path.") from error
    # TypeError: the rate of a file that is named `.raw` must be told; ValueError: a header tells no length, or no true
    # one.
    except (TypeError, ValueError, MemoryError, soundfile.LibsndfileError) as error:
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise ValueError(
            f"{name} cannot be read as audio ({reason}); expected what soundfile reads, such as WAV, FLAC, Ogg or "
            "MP3: of other formats give torchcodec's AudioDecoder."
        ) from error
    return samples.mean(axis=1), rate
