"""A learning rate for each layer, lower towards the input."""

from collections.abc import Collection
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from hfaudio.training.layer_order import layers_in_order, parameters_in

__all__ = ["layerwise_groups"]


def layerwise_groups(
    model: PreTrainedModel,
    learning_rate: float,
    weight_decay: float,
    decay: float,
    no_decay_names: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Groups a model's parameters for an optimizer, with a learning rate for each layer.

    The head has `learning_rate`, each layer below it `decay` times the rate of the one above (Howard and Ruder 2018,
    arXiv:1801.06146, section 3.1), since lower layers are more general and need less change.

    Args:
        model: The model to train.
        learning_rate: Of the head.
        weight_decay: Of all but biases and normalizations.
        decay: Share of the rate that is left one layer further down, in (0, 1]; 1 for one rate everywhere.
        no_decay_names: Names of the parameters without weight decay. None stands for those of at most one dimension,
            which are the biases and the scales of normalizations. (`Trainer.get_decay_parameter_names` goes by names,
            and misses a batch norm called `norm1`.)

    Returns:
        Groups with `params`, `lr` and `weight_decay`, from the stem to the head. Each parameter that needs a gradient
        is in one of them, once.

    Raises:
        ValueError: decay lies outside (0, 1].
    """
    if not 0.0 < decay <= 1.0:
        raise ValueError(f"decay must be above 0 and at most 1, found {decay!r}.")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    layers = layers_in_order(model)
    groups = []
    for height, layer in enumerate(layers, start=1 - len(layers)):
        decayed: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for parameter in parameters_in(layer):
            name = names.pop(id(parameter), None)  # None for a parameter that a lower layer shares
            if name is None or not parameter.requires_grad:
                continue
            exempt = parameter.ndim <= 1 if no_decay_names is None else name in no_decay_names
            (others if exempt else decayed).append(parameter)
        rate = learning_rate * decay**-height
        groups.append({"params": decayed, "lr": rate, "weight_decay": weight_decay})
        groups.append({"params": others, "lr": rate, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]
