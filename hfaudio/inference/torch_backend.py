"""Scoring waveforms with PyTorch."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers.utils import logging

from hfaudio.inference.classifier_settings import ModelError
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

__all__ = ["TorchBackend"]


class TorchBackend:
    """Scores waveforms with the feature extractor and the model of a folder.

    Args:
        folder: Of a saved model.
        device: Such as `cpu` or `cuda:0`; None takes a GPU if there is one.

    Raises:
        ModelError: The folder holds no model that can be loaded, or there is no such device.
    """

    def __init__(self, folder: str | os.PathLike[str], device: str | None = None) -> None:
        try:
            self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
            self.extractor = SpectrogramCNNFeatureExtractor.from_pretrained(folder)
            with _without_progress_bar():
                # Pickled weights can run code, and none of ours are.
                model: Any = SpectrogramCNNForAudioClassification.from_pretrained(folder, use_safetensors=True)
            self.model = model.to(self.device, memory_format=torch.channels_last).eval()
        except (OSError, RuntimeError, SafetensorError, ValueError, ImportError) as error:
            raise ModelError(f"Expected a saved model in {folder}, found none that loads: {error}") from error

    def score(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Scores mono waveforms at the model's rate.

        Args:
            waveforms: `(samples,)` each, in float32.

        Returns:
            The logits, `(batch, num_labels)` in float32.
        """
        inputs = self.extractor(list(waveforms), sampling_rate=self.extractor.sampling_rate)
        with torch.inference_mode():
            logits = self.model(**inputs.to(self.device)).logits
        scores: np.ndarray = logits.float().cpu().numpy()
        return scores


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    """Weights are read in a moment, for which transformers would draw one."""
    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()
