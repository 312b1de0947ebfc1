"""SpecAugment: hiding bands and frames of the features of a training batch."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hfaudio.data.crops import grown
from hfaudio.model import SpectrogramCNNFeatureExtractor
from hfaudio.training.feature_augmentation import change_band_gains, mix_styles, shrink

__all__ = ["FeatureChanges", "SpecAugmentCollator", "apply_masks", "draw_masks"]

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


@dataclass(frozen=True)
class FeatureChanges:
    """What happens to the features of a training batch; 0 turns a change off.

    Attributes:
        freq_mask: Widest mask over bands.
        time_mask: Widest mask over frames.
        num_freq_masks: Masks over bands for each example.
        num_time_masks: Masks over frames for each example.
        band_gain_db: Largest gain of a band; see `change_band_gains`.
        style_mixing: Probability that an example takes on another one's colour; see `mix_styles`.
        first_scale: Side of the picture when the training begins, as a share of the whole one, to which it grows for
            three quarters of the training.

    Raises:
        ValueError: A value lies outside its bounds.
    """

    freq_mask: int = 8
    time_mask: int = 16
    num_freq_masks: int = 1
    num_time_masks: int = 1
    band_gain_db: float = 0.0
    style_mixing: float = 0.0
    first_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("freq_mask", "time_mask", "num_freq_masks", "num_time_masks", "band_gain_db"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, found {getattr(self, name)}.")
        if not 0.0 <= self.style_mixing <= 1.0:
            raise ValueError(f"style_mixing must be from 0 to 1, found {self.style_mixing}.")
        if not 0.0 < self.first_scale <= 1.0:
            raise ValueError(f"first_scale must be above 0 and at most 1, found {self.first_scale}.")


class SpecAugmentCollator:
    """Makes a batch of features out of waveforms, and changes it where it is a training batch.

    Only examples that carry a `seed` are changed. The training sampler gives them one and evaluation does not, so that
    one collator serves both and evaluation cannot be augmented by mistake.

    Args:
        feature_extractor: Turns waveforms into features.
        changes: What is done to those of training examples.
    """

    def __init__(
        self, feature_extractor: SpectrogramCNNFeatureExtractor, changes: FeatureChanges | None = None
    ) -> None:
        self.feature_extractor = feature_extractor
        self.changes = changes or FeatureChanges()

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Collates examples of `AudioCrops` or `MixedCrops`.

        Args:
            examples: Each with a `waveform (samples,)`, `labels` and, for training, `seed`, `progress` and
                `crop_samples`; those to be mixed as features also with a `partner (samples,)` and `ratio`.

        Returns:
            `input_features`, `attention_mask` and `labels`, `(batch,)` or `(batch, num_labels)`.
        """
        waveforms = [example["waveform"] for example in examples]
        labels = torch.from_numpy(np.array([example["labels"] for example in examples]))
        if not all("seed" in example for example in examples):
            return {**self._extract(waveforms, self.feature_extractor, mark_silence=True), "labels": labels}
        extractor = self._for_crops(examples[0].get("crop_samples", self.feature_extractor.crop_samples))
        batch = self._extract(waveforms, extractor)
        self._mix_features(batch, examples, extractor)
        return {**self._change(batch, examples), "labels": labels}

    def _extract(
        self, waveforms: Sequence[np.ndarray], extractor: SpectrogramCNNFeatureExtractor, mark_silence: bool = False
    ) -> dict[str, Tensor]:
        return dict(extractor(list(waveforms), sampling_rate=extractor.sampling_rate, mark_silence=mark_silence))

    def _for_crops(self, crop_samples: int) -> SpectrogramCNNFeatureExtractor:
        """An extractor that leaves crops as short as they are while they still grow."""
        if crop_samples == self.feature_extractor.crop_samples:
            return self.feature_extractor
        shorter = copy.copy(self.feature_extractor)
        shorter.crop_seconds = crop_samples / shorter.sampling_rate
        return shorter

    def _mix_features(
        self, batch: dict[str, Tensor], examples: Sequence[dict[str, Any]], extractor: SpectrogramCNNFeatureExtractor
    ) -> None:
        rows = [row for row, example in enumerate(examples) if "partner" in example]
        if not rows:
            return
        partners = self._extract([examples[row]["partner"] for row in rows], extractor)
        ratio = torch.tensor([examples[row]["ratio"] for row in rows])[:, None, None, None]
        frames = partners["input_features"].shape[-1]
        features, mask = batch["input_features"], batch["attention_mask"]
        features[rows, :, :, :frames] = (
            ratio * features[rows, :, :, :frames] + (1.0 - ratio) * partners["input_features"]
        )
        mask[rows, :frames] |= partners["attention_mask"]

    def _change(self, batch: dict[str, Tensor], examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        features, mask, changes = batch["input_features"], batch["attention_mask"], self.changes
        # The crop was drawn from the seed alone; the changes must not repeat its numbers.
        generators = [np.random.default_rng([example["seed"], MASK_STREAM]) for example in examples]
        if changes.band_gain_db:
            features = change_band_gains(features, self.feature_extractor, changes.band_gain_db, generators)
        if changes.style_mixing:
            features = mix_styles(features, mask, changes.style_mixing, generators[0])
        scale = grown(changes.first_scale, 1.0, examples[0].get("progress", 1.0))
        if scale < 1.0:
            features, mask = shrink(features, mask, scale)
        for dim, max_width, count in (
            (2, changes.freq_mask, changes.num_freq_masks),
            (3, changes.time_mask, changes.num_time_masks),
        ):
            if max_width == 0 or count == 0:
                continue
            drawn = [draw_masks(rng, features.shape[dim], max_width, count) for rng in generators]
            starts, widths = map(np.stack, zip(*drawn, strict=True))
            features = apply_masks(features, starts, widths, dim)
        features = features.masked_fill(mask[:, None, None, :] == 0, self.feature_extractor.padding_value)
        return {"input_features": features, "attention_mask": mask}
