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
        self.device = _device(device)
        try:
            self.extractor = SpectrogramCNNFeatureExtractor.from_pretrained(folder)
            with _without_progress_bar():
                # Pickled weights can run code, and none of ours are.
                loaded: Any = SpectrogramCNNForAudioClassification.from_pretrained(
                    folder, use_safetensors=True, output_loading_info=True
                )
            model, report = loaded
            self.model = model.to(self.device, memory_format=torch.channels_last).eval()
        except (OSError, RuntimeError, SafetensorError, ValueError, TypeError, ImportError) as error:
            raise ModelError(f"Expected a saved model in {folder}, found none that loads: {error}") from error
        if missing := sorted(report["missing_keys"]):  # transformers draws them by chance
            raise ModelError(
                f"Expected all weights in {folder}, found {len(missing)} tensors missing, the first {missing[0]}; "
                "save the model anew."
            )
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
        if bad:
            raise ModelError(
                f"Expected finite weights in {folder}, found NaN or infinity in {len(bad)} tensors, the first "
                f"{bad[0]}; train it again."
            )

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


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device).cpu()  # of those that there are not, and of meta, it cannot be had
    # AssertionError: torch was built without it.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        there += ["mps"] if torch.backends.mps.is_available() else []
        raise ModelError(
            f"Expected a device of this machine, {' or '.join(there)}, found {name}; check --device."
        ) from error
    return device


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
