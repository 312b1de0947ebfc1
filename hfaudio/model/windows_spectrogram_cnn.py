"""Long recordings in windows: cutting them, and averaging what the windows score."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = ["SILENT_FRAME", "average_windows", "cut_windows"]

SILENT_FRAME = 2  # in an attention mask: a frame of the recording, which hears nothing but digital silence


def cut_windows(
    input_features: Tensor, attention_mask: Tensor | None, window: int, hop: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Cuts each recording of a batch into windows, all in tensor operations of shapes that can be exported.

    A window starts every `hop` frames until the recording's last valid frame is heard; the last window moves back to
    end there, so that every window of a recording with several is full. A recording no longer than a window has one.
    A window of silent frames alone does not count, unless the recording has no others.

    Args:
        input_features: `(batch, num_channels, bands, frames)`.
        attention_mask: `(batch, frames)`, 1 for frames that hold sound, `SILENT_FRAME` for those that hear none, 0 for
            padding; None means all hold sound.
        window: Length of a window, in frames.
        hop: Step from window to window, in frames, at most `window`.

    Returns:
        The windows `(batch * windows, num_channels, bands, window)`, their mask `(batch * windows, window)`, and which
        windows count, `(batch, windows)`: recordings shorter than the longest repeat their last one.
    """
    batch, frames = input_features.shape[0], input_features.shape[3]
    positions = torch.arange(frames, device=input_features.device)
    if attention_mask is None:
        attention_mask = torch.ones_like(positions).expand(batch, frames)
    valid_frames = ((positions + 1) * (attention_mask != 0)).amax(dim=1)
    last_start = (valid_frames - window).clamp(min=0)[:, None]
    number = (1 + (last_start.max() + hop - 1) // hop).item()
    torch._check(number >= 1)
    steps = torch.arange(number, device=input_features.device)
    starts = torch.minimum(steps * hop, last_start)
    counted = steps * hop < last_start + hop
    heard = starts[:, :, None] + torch.arange(window, device=input_features.device)
    row = torch.arange(batch, device=input_features.device)[:, None, None]
    index = heard.clamp(max=frames - 1)
    windows = input_features.permute(0, 3, 1, 2)[row, index]
    mask = attention_mask[row, index] * (heard < frames)
    sounding = counted & ((mask != 0) & (mask != SILENT_FRAME)).any(dim=2)
    counted = sounding | (counted & ~sounding.any(dim=1, keepdim=True))
    return windows.permute(0, 1, 3, 4, 2).flatten(0, 1), mask.flatten(0, 1), counted


def average_windows(logits: Tensor, counted: Tensor, multi_label: bool) -> Tensor:
    """Turns the logits of windows into those of recordings: the logarithm of the mean of the probabilities.

    For several labels it is the logit of the mean probability of each. A recording of one window keeps its logits.

    Args:
        logits: `(batch * windows, num_labels)`.
        counted: `(batch, windows)`, which windows count; at least one of each recording.
        multi_label: Whether the probabilities are those of a sigmoid, not of a softmax.

    Returns:
        `(batch, num_labels)`.
    """
    batch, windows = counted.shape
    scores = logits.float().reshape(batch, windows, -1)
    number = counted.sum(dim=1, keepdim=True)
    if multi_label:
        # The logit of p is the logarithm of p over 1 - p; both are summed as logarithms, lest a sure score overflow.
        averaged = _log_sum(logsigmoid(scores), counted) - _log_sum(logsigmoid(-scores), counted)
    else:
        averaged = _log_sum(scores.log_softmax(dim=2), counted) - number.log()
    return torch.where((number > 1) | ~counted[:, :1], averaged, scores[:, 0]).to(logits.dtype)


def _log_sum(log_probabilities: Tensor, counted: Tensor) -> Tensor:
    """The logarithm of the summed probabilities of the windows that count, `(batch, num_labels)`."""
    own = log_probabilities.masked_fill(~counted[:, :, None], -torch.inf)
    # Not logsumexp, which ONNX Runtime computes without the highest apart: below -103 it gives -inf.
    highest = own.amax(dim=1, keepdim=True)
    return (own - highest).exp().sum(dim=1).log() + highest[:, 0]
