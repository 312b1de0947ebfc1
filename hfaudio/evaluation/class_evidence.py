"""Where in a recording a classifier finds a class."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.model.windows_spectrogram_cnn import cut_windows

__all__ = ["class_evidence", "evidence_over_time"]


def class_evidence(
    model: SpectrogramCNNForAudioClassification,
    input_features: Tensor,
    attention_mask: Tensor,
    label: int,
) -> Tensor:
    """Divides the score of a class among the cells of the last feature maps.

    The maps times the gradient of the score, summed over the maps: HiResCAM (Draelos and Carin 2020, arXiv:2011.08891,
    section 3.2). Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) averages the gradient over all cells first, which
    would lose the frame that gave the maximum of the pooling. As pooling and classifier are linear but for that
    maximum, the cells add up to the score exactly, less what the biases give. A cell stands for the sound within its
    receptive field, which reaches farther than the cell.

    Args:
        model: In evaluation mode.
        input_features: `(windows, num_channels, bands, frames)`.
        attention_mask: `(windows, frames)`, 0 for padding.
        label: The class. Its score is its logit, less the mean of all where a softmax makes them compete.

    Returns:
        `(windows, bands', frames')`, above 0 where a cell speaks for the class.
    """
    with torch.enable_grad():
        # The input asks for a gradient, because the weights may be frozen.
        followed = input_features.detach().requires_grad_()
        outputs = model.spectrogram_cnn(followed, attention_mask, return_dict=True)
        logits = model.classifier(outputs.pooler_output)
        scores = logits[:, label]
        if model.config.problem_type != "multi_label_classification":
            scores = scores - logits.mean(dim=1)
        maps = outputs.last_hidden_state
        (gradient,) = torch.autograd.grad(scores.sum(), maps)
    return (gradient * maps).sum(dim=1).detach()


def evidence_over_time(
    model: SpectrogramCNNForAudioClassification,
    feature_extractor: SpectrogramCNNFeatureExtractor,
    waveform: Any,
    label: int,
) -> np.ndarray:
    """Says when in a recording the model finds a class, as `class_evidence` has it, summed over the bands.

    A model with windows is asked window by window, and where they overlap, the mean is taken.

    Args:
        model: The classifier; it is left in evaluation mode.
        feature_extractor: With which it was trained.
        waveform: `(samples,)`, at the rate of the feature extractor.
        label: The class.

    Returns:
        `(1 + samples // hop_length,)` in float32, one value for each frame of features; 0 for what lies beyond
        the middle `max_seconds`, which the model does not hear.
    """
    model.eval()
    features = feature_extractor(waveform, sampling_rate=feature_extractor.sampling_rate).to(model.device)
    inputs, mask = features["input_features"], features["attention_mask"]
    heard = int(mask.count_nonzero())
    window, hop = model.config.eval_window_frames, model.config.eval_window_hop_frames
    starts = [0]
    if window is not None and hop is not None and heard > window:
        inputs, mask, _ = cut_windows(inputs, mask, window, hop)
        starts = [min(index * hop, heard - window) for index in range(len(inputs))]
    evidence = class_evidence(model, inputs, mask, label).sum(dim=1).cpu().numpy()
    frames = inputs.shape[3]
    summed, covering = np.zeros(starts[-1] + frames), np.zeros(starts[-1] + frames)
    for start, own in zip(starts, evidence, strict=True):
        places = np.linspace(0, frames - 1, len(own))
        summed[start : start + frames] += np.interp(np.arange(frames), places, own)
        covering[start : start + frames] += 1
    hop_length, longest = (
        feature_extractor.hop_length,
        round(feature_extractor.max_seconds * feature_extractor.sampling_rate),
    )
    over_time = np.zeros(1 + len(waveform) // hop_length, np.float32)
    first = max(0, len(waveform) - longest) // 2 // hop_length
    placed = (summed / covering)[: min(heard, len(over_time) - first)]
    over_time[first : first + len(placed)] = placed
    return over_time
