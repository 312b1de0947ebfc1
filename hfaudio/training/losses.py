"""Focal loss and cross-entropy, for hard, smoothed and soft labels, right under gradient accumulation."""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FocalLoss", "focal_loss"]


def focal_loss(logits: Tensor, targets: Tensor, gamma: float = 2.0, alpha: Tensor | None = None) -> Tensor:
    """The focal loss of each example (Lin et al. 2017, arXiv:1708.02002, eq. 5), over a softmax.

    Every class contributes `target * alpha * (1 - p) ** gamma * -log(p)`; with gamma 0 this is the cross-entropy.

    Args:
        logits: `(batch, num_labels)`.
        targets: `(batch, num_labels)`, probabilities; one-hot for hard labels.
        gamma: How much easy examples are held back, at least 0.
        alpha: `(num_labels,)`, the weight of each class; None weighs them alike.

    Returns:
        `(batch,)`.
    """
    log_probabilities = logits.float().log_softmax(dim=-1)
    return _focal_terms(log_probabilities, targets, gamma, alpha).sum(dim=-1)


def binary_focal_loss(logits: Tensor, targets: Tensor, gamma: float = 2.0, alpha: Tensor | None = None) -> Tensor:
    """The focal loss of each example over one sigmoid a class, averaged over the classes; see `focal_loss`.

    Args:
        logits: `(batch, num_labels)`.
        targets: `(batch, num_labels)`, 0 or 1 or between.
        gamma: How much easy examples are held back, at least 0.
        alpha: `(num_labels,)`, the weight of each class where it is present, so that a rare one is not outweighed by
            its absence; None weighs all alike.

    Returns:
        `(batch,)`.
    """
    logits = logits.float()
    present = _focal_terms(nn.functional.logsigmoid(logits), targets, gamma, alpha)
    absent = _focal_terms(nn.functional.logsigmoid(-logits), 1.0 - targets, gamma, alpha=None)
    return (present + absent).mean(dim=-1)


def _focal_terms(log_probabilities: Tensor, targets: Tensor, gamma: float, alpha: Tensor | None) -> Tensor:
    terms = -targets * log_probabilities
    if gamma != 0.0:
        # Below gamma 1 the slope of the power is infinite at 0, where a prediction is certain.
        terms = terms * (-log_probabilities.expm1()).clamp(min=1e-6) ** gamma
    return terms if alpha is None else terms * alpha.to(terms.device)


class FocalLoss:
    """What `Trainer` calls for the loss: model outputs and labels to one number.

    The losses of all examples are summed and divided by the number of examples in the whole accumulated batch, so
    that several small batches give the same step as one large.

    Args:
        gamma: How much easy examples are held back; 0 gives the cross-entropy.
        alpha: `(num_labels,)`, the weight of each class, or None.
        label_smoothing: Share of each hard label that is spread over all classes, in [0, 1).
        multi_label: One sigmoid a class in place of a softmax.

    Raises:
        ValueError: gamma is below 0, or label_smoothing outside [0, 1).
    """

    def __init__(
        self, gamma: float = 2.0, alpha: Tensor | None = None, label_smoothing: float = 0.0, multi_label: bool = False
    ) -> None:
        if gamma < 0.0:
            raise ValueError(f"gamma must be at least 0, found {gamma!r}.")
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be at least 0 and below 1, found {label_smoothing!r}.")
        self.gamma = gamma
        self.alpha = alpha
        self.label_smoothing = label_smoothing
        self.multi_label = multi_label

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Computes the loss.

        Args:
            outputs: With `logits (batch, num_labels)`.
            labels: `(batch,)` indices or `(batch, num_labels)` probabilities.
            num_items_in_batch: Entries of all labels in the accumulated batch, as `Trainer` counts them; None stands
                for this batch alone.
        """
        logits = outputs["logits"]
        num_labels = logits.shape[-1]
        entries_per_example = labels[0].numel()
        if labels.ndim == 1:
            labels = nn.functional.one_hot(labels, num_labels)
        targets = labels.to(torch.float32)
        if self.label_smoothing:
            uniform = 0.5 if self.multi_label else 1.0 / num_labels
            targets = targets * (1.0 - self.label_smoothing) + self.label_smoothing * uniform
        per_example = binary_focal_loss if self.multi_label else focal_loss
        losses = per_example(logits, targets, self.gamma, self.alpha)
        if num_items_in_batch is None:
            return losses.mean()
        return losses.sum() * entries_per_example / num_items_in_batch
