"""Changing the features of a training batch as another room, microphone or recordist would."""

import math
from collections.abc import Sequence

import numpy as np
import scipy.fft
import torch
from torch import Tensor

from hfaudio.model import SpectrogramCNNFeatureExtractor

__all__ = ["change_band_gains", "mix_styles", "shrink"]

KNOTS = (3, 6)  # fewest and most frequencies between which a gain is drawn
STYLE_ALPHA = 0.4  # of the Beta distribution that shares are drawn from: one style mostly wins
SMALLEST_DEVIATION = 1e-5
SMALLEST_WEIGHT = 1e-6


def change_band_gains(
    features: Tensor,
    extractor: SpectrogramCNNFeatureExtractor,
    largest_db: float,
    generators: Sequence[np.random.Generator],
) -> Tensor:
    """Amplifies the bands of each example by a smooth random curve, as an equalizer would.

    Three to six gains, evenly spaced over the mel bands, are drawn and joined by lines; after FilterAugment (Nam et
    al. 2022, arXiv:2110.03282, section 2.2, the linear kind).

    Args:
        features: `(batch, channels, bands, frames)`, normalized log-mel energies or cepstra.
        extractor: What computed them.
        largest_db: Gains lie within this many dB around 0.
        generators: One for each example.
    """
    gains = []
    for rng in generators:
        knots = int(rng.integers(KNOTS[0], KNOTS[1] + 1))
        drawn = rng.uniform(-largest_db, largest_db, size=knots)
        gains.append(np.interp(np.linspace(0.0, 1.0, extractor.n_mels), np.linspace(0.0, 1.0, knots), drawn))
    offsets = np.stack(gains) * math.log(10.0) / 10.0  # of the natural logarithm of a power
    if extractor.features != "log_mel":
        offsets = scipy.fft.dct(offsets, axis=1, norm="ortho")[:, : extractor.n_mfcc]
    if extractor.std is not None:
        offsets = offsets / np.asarray(extractor.std)[0]
    changed = features.clone()  # a constant has no slope: deltas stay
    changed[:, 0] += torch.from_numpy(offsets.astype(np.float32))[..., None]
    return changed


def mix_styles(features: Tensor, attention_mask: Tensor, probability: float, rng: np.random.Generator) -> Tensor:
    """Gives examples the mean and deviation of each band that a mixture of their own and another example's has.

    MixStyle (Zhou et al. 2021, arXiv:2104.02008, section 3.2) with the statistics of bands in place of channels, since
    a recording's style is its colour; as Schmid et al. did for acoustic scenes (2022, arXiv:2206.13909, section 2.3).

    Args:
        features: `(batch, channels, bands, frames)`.
        attention_mask: `(batch, frames)`, 1 for frames that hold sound.
        probability: Of an example being changed.
        rng: Where partners and shares come from.
    """
    mask = attention_mask[:, None, None, :].to(features.dtype)
    frames = mask.sum(dim=3, keepdim=True)
    mean = (features * mask).sum(dim=3, keepdim=True) / frames
    deviation = (((features - mean) * mask).square().sum(dim=3, keepdim=True) / frames).sqrt() + SMALLEST_DEVIATION
    batch = len(features)
    own = np.where(rng.random(batch) < probability, rng.beta(STYLE_ALPHA, STYLE_ALPHA, size=batch), 1.0)
    share = torch.from_numpy(own.astype(np.float32))[:, None, None, None]
    partner = torch.from_numpy(rng.permutation(batch))
    mixed_mean = share * mean + (1.0 - share) * mean[partner]
    mixed_deviation = share * deviation + (1.0 - share) * deviation[partner]
    return (features - mean) / deviation * mixed_deviation + mixed_mean


def shrink(features: Tensor, attention_mask: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Makes the picture of bands and frames smaller, by averaging what holds sound.

    Args:
        features: `(batch, channels, bands, frames)`.
        attention_mask: `(batch, frames)`, 1 for frames that hold sound.
        scale: From 0 to 1, of both sides.

    Returns:
        Features and mask, both smaller.
    """
    bands, frames = (max(1, round(scale * length)) for length in features.shape[2:])
    mask = attention_mask[:, None, None, :].to(features.dtype)
    weights = torch.nn.functional.interpolate(mask, size=(1, frames), mode="area")
    smaller = torch.nn.functional.interpolate(features * mask, size=(bands, frames), mode="area")
    smaller_mask = weights[:, 0, 0] > 0
    return smaller / weights.clamp(min=SMALLEST_WEIGHT), smaller_mask.to(attention_mask.dtype)
