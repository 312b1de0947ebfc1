"""Measuring the mean and standard deviation of the training set's features."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch

from hfaudio.model import SpectrogramCNNFeatureExtractor

__all__ = ["fit_normalization"]

SMALLEST_STD = 1e-3  # a band that never changes (a mel filter without a bin, say) would divide by zero


def fit_normalization(
    extractor: SpectrogramCNNFeatureExtractor, waveforms: Iterable[np.ndarray], batch_size: int = 32
) -> None:
    """Sets the extractor's mean and standard deviation to those of the features of some recordings.

    Per channel and band, over all frames that hold sound.

    Args:
        extractor: Is changed.
        waveforms: Of the part to train on, each `(samples,)`.
        batch_size: Recordings whose features are held at once.
    """
    extractor.set_normalization(None, None)
    shape = (extractor.num_channels, extractor.feature_size)
    total, squares, frames = torch.zeros(shape).double(), torch.zeros(shape).double(), 0
    remaining = iter(waveforms)
    while batch_of_waveforms := list(islice(remaining, batch_size)):
        batch = extractor(batch_of_waveforms, sampling_rate=extractor.sampling_rate, mark_silence=False)
        mask = batch["attention_mask"][:, None, None, :].double()
        features = batch["input_features"].double() * mask
        total += features.sum(dim=(0, 3))
        squares += features.square().sum(dim=(0, 3))
        frames += int(mask.sum())
    mean = total / frames
    std = (squares / frames - mean.square()).clamp(min=SMALLEST_STD**2).sqrt()
    extractor.set_normalization(mean.numpy(), std.numpy())
