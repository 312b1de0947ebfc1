"""Dealing recordings out to parts: groups stay whole, classes stay in proportion."""

from collections.abc import Sequence

import numpy as np

__all__ = ["deal_out"]

TIE_BREAK = 1e-3  # weight of the class that all recordings have, as against the others


def deal_out(labels: Sequence[Sequence[int]], groups: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """Deals whole groups out to parts, so that each part gets its share of every class.

    Greedy, like the iterative stratification of Sechidis et al. 2011 (ECML PKDD, algorithm 1) and scikit-learn's
    `StratifiedGroupKFold`: the largest groups come first, in random order where they are alike, and each goes to the
    part that lacks most of what the group holds. It takes several labels a recording, parts of any size, and seconds
    for 100,000 groups. Where a class has as many groups as there are parts, each part asks for one recording at least.
    Where the classes leave the choice, the part that lacks most recordings gets the group.

    Args:
        labels: The class indices of each recording; none stands for a class of its own.
        groups: `(recordings,)`, an index for each recording.
        shares: Of each part; they add up to one.
        seed: Of the order.

    Returns:
        `(recordings,)`, the part of each recording.
    """
    flat, owners = _class_and_recording(labels)
    num_classes = int(flat.max()) + 1
    _, groups = np.unique(groups, return_inverse=True)
    # One entry for each class of each group: how many of its recordings have the class.
    keys, counts = np.unique(groups[owners].astype(np.int64) * num_classes + flat, return_counts=True)
    classes = keys % num_classes
    bounds = np.searchsorted(keys // num_classes, np.arange(int(groups.max()) + 2))

    totals = np.bincount(flat, minlength=num_classes).astype(float)
    need = np.outer(shares, totals)
    splittable = np.bincount(classes, minlength=num_classes) >= len(shares)
    need[:, splittable] = np.maximum(need[:, splittable], 1.0)
    weights = counts / totals[classes] ** 2
    weights[classes == num_classes - 1] *= TIE_BREAK

    order = np.random.default_rng(seed).permutation(len(bounds) - 1)
    order = order[np.argsort(-np.bincount(groups)[order], kind="stable")]
    part_of_group = np.empty(len(order), np.int64)
    for group in order.tolist():
        entries = slice(bounds[group], bounds[group + 1])
        part = int(np.argmax(need[:, classes[entries]] @ weights[entries]))
        need[part, classes[entries]] -= counts[entries]
        part_of_group[group] = part
    return part_of_group[groups]


def _class_and_recording(labels: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Every class of every recording, last one that all have, and the recording that it belongs to."""
    without = 1 + max((label for own in labels for label in own), default=-1)
    owned = [(*(own or (without,)), without + 1) for own in labels]
    flat = np.fromiter((label for own in owned for label in own), np.int64)
    return flat, np.repeat(np.arange(len(owned)), [len(own) for own in owned])
