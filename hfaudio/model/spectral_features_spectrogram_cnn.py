"""What is between a power spectrum and its features: window, mel filters, cosine transform, differences.

All are constants of the settings, computed when first used, but for the differences.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["dct_matrix", "deltas", "hann_window", "mel_filters"]

DELTA_RADIUS = 2  # frames on each side, torchaudio's win_length of 5


@lru_cache
def hann_window(win_length: int) -> Tensor:
    """Gives the periodic Hann window, `(win_length,)`."""
    return torch.hann_window(win_length)


@lru_cache
def mel_filters(n_fft: int, n_mels: int, f_min: float, f_max: float | None, sampling_rate: int) -> Tensor:
    """Gives triangular filters of unit height on the HTK mel scale, `(n_mels, n_fft // 2 + 1)`.

    Args:
        n_fft: Length of the Fourier transform, in samples.
        n_mels: How many filters.
        f_min: Where the first begins, in Hz.
        f_max: Where the last ends, in Hz; None means half the sampling rate.
        sampling_rate: In Hz.
    """
    # In single precision throughout, as torchaudio.functional.melscale_fbanks has it: with many bands and a short
    # transform, exact filters give other values than its own.
    highest = sampling_rate / 2 if f_max is None else f_max
    lowest_mel, highest_mel = (2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (f_min, highest))
    edges = 700.0 * (10.0 ** (torch.linspace(lowest_mel, highest_mel, n_mels + 2) / 2595.0) - 1.0)
    bins = torch.linspace(0, sampling_rate // 2, n_fft // 2 + 1)
    distances = edges[:, None] - bins
    widths = edges.diff()[:, None]
    rising, falling = -distances[:-2] / widths[:-1], distances[2:] / widths[1:]
    return torch.minimum(rising, falling).clamp(min=0.0)


@lru_cache
def dct_matrix(n_mfcc: int, n_mels: int) -> Tensor:
    """Gives the first coefficients of the orthonormal DCT-II, `(n_mfcc, n_mels)`."""
    band = torch.arange(n_mels, dtype=torch.float64) + 0.5
    coefficient = torch.arange(n_mfcc, dtype=torch.float64)[:, None]
    matrix = torch.cos(torch.pi / n_mels * band * coefficient) * (2.0 / n_mels) ** 0.5
    matrix[0] /= 2.0**0.5
    return matrix.float()


def deltas(features: Tensor, sound_frames: Tensor) -> Tensor:
    """Gives the slope over five frames of `(batch, bands, frames)`, as torchaudio.functional.compute_deltas does.

    Past the ends of a clip its first and last frame are repeated, at each clip's own length.

    Args:
        features: `(batch, bands, frames)`; what lies past the last frame of a shorter clip is not read.
        sound_frames: `(batch,)`, how many frames from the start hold sound.
    """
    last_frame = (sound_frames - 1).clamp(min=0)[:, None]
    frames = torch.arange(features.shape[-1])
    slope = torch.zeros_like(features)
    for offset in range(1, DELTA_RADIUS + 1):
        after = torch.minimum(frames + offset, last_frame)[:, None].expand_as(features)
        before = torch.minimum((frames - offset).clamp(min=0), last_frame)[:, None].expand_as(features)
        slope += offset * (features.gather(2, after) - features.gather(2, before))
    return slope / (2 * sum(offset**2 for offset in range(1, DELTA_RADIUS + 1)))
