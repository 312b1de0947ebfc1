"""Measuring the mean and standard deviation of the training set's features."""

import numpy as np
import torch

from hfaudio.data import Crops
from hfaudio.model import SpectrogramCNNFeatureExtractor

__all__ = ["fit_normalization"]

SMALLEST_STD = 1e-3  # a band that never changes (a mel filter without a bin, say) would divide by zero


def fit_normalization(
    extractor: SpectrogramCNNFeatureExtractor, clips: Crops, at_most: int | None = None, batch_size: int = 32
) -> None:
    """Sets the extractor's mean and standard deviation to those of a data set's features.

    Per channel and band, over all frames that hold sound.

    Args:
        extractor: Is changed.
        clips: The part to train on.
        at_most: Recordings to take, evenly spread; None takes all.
        batch_size: Recordings whose features are held at once.
    """
    extractor.set_normalization(None, None)
    shape = (extractor.num_channels, extractor.feature_size)
    total, squares, frames = torch.zeros(shape).double(), torch.zeros(shape).double(), 0
    indices = np.linspace(0, len(clips) - 1, min(len(clips), at_most or len(clips))).round().astype(int).tolist()
    for first in range(0, len(indices), batch_size):
        waveforms = [clips[index]["waveform"] for index in indices[first : first + batch_size]]
        batch = extractor(waveforms, sampling_rate=extractor.sampling_rate)
        mask = batch["attention_mask"][:, None, None, :].double()
        features = batch["input_features"].double() * mask
        total += features.sum(dim=(0, 3))
        squares += features.square().sum(dim=(0, 3))
        frames += int(mask.sum())
    mean = total / frames
    std = (squares / frames - mean.square()).clamp(min=SMALLEST_STD**2).sqrt()
    extractor.set_normalization(mean.numpy(), std.numpy())
