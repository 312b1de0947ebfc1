"""Reading one recording: any rate, any channel count, to mono at the rate that is asked for."""

import math
import os
from functools import lru_cache

import numpy as np
import scipy.signal
import soundfile
import torch
from torchaudio.transforms import Resample

__all__ = ["UnreadableAudioError", "decode_audio", "resample"]

LARGEST_FILTER_BANK = 4_000_000  # taps; 44100 Hz to 16000 Hz needs about 70,000


class UnreadableAudioError(ValueError):
    """A recording that nothing can be learned from; the message is the reason, without the file's name."""


def decode_audio(path: str | os.PathLike[str], sampling_rate: int) -> np.ndarray:
    """Reads a file as a mono waveform.

    Args:
        path: WAV, FLAC, Ogg, MP3, or whatever else libsndfile reads.
        sampling_rate: The rate wanted, in Hz.

    Returns:
        `(samples,)` in float32: the mean of the channels, resampled.

    Raises:
        UnreadableAudioError: The file is empty, is no audio, holds no samples, or holds NaN or infinite ones.
    """
    if os.path.getsize(path) == 0:
        raise UnreadableAudioError("the file is empty (0 bytes)")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UnreadableAudioError(f"not readable as audio ({error.error_string})") from error
    except (TypeError, ValueError, MemoryError) as error:  # headerless files, unknown lengths
        raise UnreadableAudioError(f"not readable as audio ({error})") from error
    if len(samples) == 0:
        raise UnreadableAudioError("holds no samples")
    if not np.isfinite(samples).all():
        raise UnreadableAudioError("holds NaN or infinite samples")
    return resample(samples.mean(axis=1), rate, sampling_rate)


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resamples `(samples,)` with torchaudio's windowed sinc, the one that the stock transformers pipeline uses.

    With another resampler the same file would score differently here and there. The filter bank of that method grows
    with both rates over their greatest common divisor; for odd rates, such as 44101 Hz, scipy's Fourier method takes
    its place.

    Args:
        samples: A mono waveform.
        from_rate: Its rate, in Hz.
        to_rate: The rate wanted, in Hz.
    """
    if from_rate == to_rate:
        return samples
    divisor = math.gcd(from_rate, to_rate)
    if from_rate * to_rate // divisor**2 > LARGEST_FILTER_BANK:
        length = math.ceil(len(samples) * to_rate / from_rate)
        return scipy.signal.resample(samples, length).astype(np.float32)
    return _resampler(from_rate, to_rate)(torch.from_numpy(samples)).numpy()


@lru_cache(maxsize=32)
def _resampler(from_rate: int, to_rate: int) -> Resample:
    return Resample(from_rate, to_rate)
