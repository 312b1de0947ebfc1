"""The weight of each class in the loss: by how often it occurs, or as a file says."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from hfaudio.data.errors import named
from hfaudio.regular_files import only_regular

__all__ = ["balanced_class_weights", "read_class_weights", "weights_of_examples"]


def balanced_class_weights(labels: Tensor, num_labels: int) -> Tensor:
    """Weights inverse to how often each class occurs, one on average over the examples.

    Args:
        labels: `(labels,)`, class indices, several of an example in multi-label data; every class occurs.
        num_labels: Number of classes.

    Returns:
        `(num_labels,)`.
    """
    return len(labels) / (num_labels * torch.bincount(labels, minlength=num_labels).float())


def weights_of_examples(wanted: str, examples: Any, class_names: Sequence[str]) -> Tensor | None:
    """The weights that `--class_weights` asks for, where a trainer has nothing but its examples.

    Args:
        wanted: `none`, `balanced` or a file.
        examples: To train on; `Crops` and `MixedCrops` know their classes.
        class_names: In the order of their indices.

    Returns:
        `(num_labels,)`, or None.

    Raises:
        ValueError: The file does not hold them, or the examples do not know their classes, or lack one.
    """
    if wanted == "none":
        return None
    if wanted != "balanced":
        return read_class_weights(wanted, class_names)
    targets = getattr(getattr(examples, "crops", examples), "targets", None)
    if targets is None:
        raise ValueError(
            "class_weights balanced needs examples that know their classes beforehand, as AudioCrops does, found "
            f"a {type(examples).__name__}; give alpha."
        )
    labels = torch.from_numpy(np.nonzero(targets)[1] if targets.ndim == 2 else np.asarray(targets))
    missing = [name for index, name in enumerate(class_names) if not (labels == index).any()]
    if missing:
        raise ValueError(f"class_weights balanced needs examples of every class, found none of {named(missing)}.")
    return balanced_class_weights(labels, len(class_names))


def read_class_weights(path: str, class_names: Sequence[str]) -> Tensor:
    """Reads the weights from a YAML or JSON file of one `class: weight` each.

    Args:
        path: The file.
        class_names: In the order of their indices.

    Returns:
        `(num_labels,)`.

    Raises:
        ValueError: There is no such file, or it does not have a weight above 0 for every class and no other.
    """
    try:
        with open(path, encoding="utf-8", opener=only_regular) as file:
            weights = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"Expected a YAML or JSON file of class weights at {path}, found none ({error}).") from error
    if not isinstance(weights, dict):
        raise ValueError(f"Expected one 'class: weight' a line in {path}, found {type(weights).__name__}.")
    weights = {str(name): weight for name, weight in weights.items()}
    missing = [name for name in class_names if name not in weights]
    unknown = [name for name in weights if name not in class_names]
    if missing or unknown:
        raise ValueError(
            f"Expected a weight for every class in {path} and for no other, found "
            + " and ".join(
                words
                for words in (
                    f"none for {named(missing)}" if missing else "",
                    f"one for {named(unknown)}, which no recording has" if unknown else "",
                )
                if words
            )
            + "."
        )
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0.0 < weight < math.inf:
            raise ValueError(f"Expected a number above 0 as the weight of {name} in {path}, found {weight!r}.")
    return torch.tensor([float(weights[name]) for name in class_names])
