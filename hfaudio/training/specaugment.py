"""SpecAugment: hiding bands and frames of the features of a training batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hfaudio.model import SpectrogramCNNFeatureExtractor

__all__ = ["SpecAugmentCollator", "apply_masks", "draw_masks"]

MASK_STREAM = 1


def draw_masks(rng: np.random.Generator, length: int, max_width: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws masks along one axis, as SpecAugment does (Park et al. 2019, arXiv:1904.08779, section 2).

    Args:
        rng: Where the numbers come from.
        length: Of the axis, in bands or frames.
        max_width: Widest mask; widths are uniform from 0 to this, both included.
        count: Number of masks.

    Returns:
        `starts` and `widths`, each `(count,)`; every mask lies within the axis.
    """
    widths = rng.integers(0, min(max_width, length) + 1, size=count)
    starts = rng.integers(0, length - widths + 1)
    return starts, widths


def apply_masks(features: Tensor, starts: np.ndarray, widths: np.ndarray, dim: int) -> Tensor:
    """Sets what the masks cover to 0, the mean of normalized features; the input is left as it is.

    Args:
        features: `(batch, channels, bands, frames)`.
        starts: `(batch, count)`, first band or frame of each mask.
        widths: `(batch, count)`.
        dim: 2 for bands, 3 for frames.
    """
    position = np.arange(features.shape[dim])
    first, past = starts[..., None], (starts + widths)[..., None]
    hidden = torch.from_numpy(((position >= first) & (position < past)).any(axis=1))
    return features.masked_fill(hidden[:, None, :, None] if dim == 2 else hidden[:, None, None, :], 0.0)


class SpecAugmentCollator:
    """Makes a batch of features out of waveforms, and masks it where it is a training batch.

    Only examples that carry a `seed` are masked. The training sampler gives them one and evaluation does not, so that
    one collator serves both and evaluation cannot be augmented by mistake.

    Args:
        feature_extractor: Turns waveforms into features.
        freq_mask: Widest mask over bands; 0 turns it off.
        time_mask: Widest mask over frames; 0 turns it off.
        num_freq_masks: Masks over bands for each example.
        num_time_masks: Masks over frames for each example.

    Raises:
        ValueError: A width or a count is below 0.
    """

    def __init__(
        self,
        feature_extractor: SpectrogramCNNFeatureExtractor,
        freq_mask: int = 8,
        time_mask: int = 16,
        num_freq_masks: int = 1,
        num_time_masks: int = 1,
    ) -> None:
        sizes = {
            "freq_mask": freq_mask,
            "time_mask": time_mask,
            "num_freq_masks": num_freq_masks,
            "num_time_masks": num_time_masks,
        }
        for name, size in sizes.items():
            if size < 0:
                raise ValueError(f"{name} must be at least 0, found {size}.")
        self.feature_extractor = feature_extractor
        self.freq_mask = freq_mask
        self.time_mask = time_mask
        self.num_freq_masks = num_freq_masks
        self.num_time_masks = num_time_masks

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Collates examples of `AudioCrops`.

        Args:
            examples: Each with a `waveform (samples,)`, `labels` and, for training, a `seed`.

        Returns:
            `input_features`, `attention_mask` and `labels`, `(batch,)` or `(batch, num_labels)`.
        """
        extractor = self.feature_extractor
        waveforms = [example["waveform"] for example in examples]
        batch = dict(extractor(waveforms, sampling_rate=extractor.sampling_rate))
        batch["labels"] = torch.from_numpy(np.array([example["labels"] for example in examples]))
        if all("seed" in example for example in examples):
            batch["input_features"] = self._mask(batch["input_features"], [example["seed"] for example in examples])
        return batch

    def _mask(self, features: Tensor, seeds: Sequence[int]) -> Tensor:
        # The crop was drawn from the seed alone; the masks must not repeat its numbers.
        generators = [np.random.default_rng([seed, MASK_STREAM]) for seed in seeds]
        axes = ((2, self.freq_mask, self.num_freq_masks), (3, self.time_mask, self.num_time_masks))
        for dim, max_width, count in axes:
            drawn = [draw_masks(rng, features.shape[dim], max_width, count) for rng in generators]
            starts, widths = map(np.stack, zip(*drawn, strict=True))
            features = apply_masks(features, starts, widths, dim)
        return features
