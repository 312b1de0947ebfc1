"""The layers of a model from its input to its head, for what treats lower layers otherwise than higher ones."""

from collections.abc import Iterable, Iterator

from torch import nn
from transformers import PreTrainedModel

__all__ = ["Layer", "layers_in_order", "parameters_in"]

Layer = list[nn.Module | nn.Parameter]
"""Modules, and parameters that belong to no module of their own, at the same depth."""

LISTS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


def layers_in_order(model: PreTrainedModel) -> list[Layer]:
    """Lists a model's layers from the stem to the head.

    The trunk (`model.base_model`) falls into its children in the order in which they were made; lists of blocks, and
    modules that hold such a list (an encoder), fall into theirs. A normalization belongs to the layer that it follows.
    Everything outside the trunk is one last layer, the head.

    Args:
        model: Any model of transformers.

    Returns:
        For a `SpectrogramCNNForAudioClassification` the stem with its batch norm, each residual block, and the
        classifier. A model that is its own trunk has no head.
    """
    trunk = model.base_model
    layers = _layers_below(trunk, unsplit=frozenset(model._no_split_modules or ()))
    if trunk is not model:
        head: Layer = [*model.parameters(recurse=False)]
        head += [child for child in model.children() if child is not trunk]
        layers.append(head)
    return layers


def parameters_in(layer: Iterable[nn.Module | nn.Parameter]) -> Iterator[nn.Parameter]:
    """Yields the parameters of a layer, each once."""
    seen = set()
    for part in layer:
        for parameter in part.parameters() if isinstance(part, nn.Module) else [part]:
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield parameter


def _layers_below(module: nn.Module, unsplit: frozenset[str]) -> list[Layer]:
    # Activations and dropout have nothing to treat in one way or another.
    children = [child for child in module.children() if _has_state(child)]
    # What is alone in a module that is no list is the network proper, which that module wraps.
    wrapped = len(children) == 1 and not isinstance(module, LISTS) and any(map(_has_state, children[0].children()))
    layers: list[Layer] = []
    for child in children:
        if type(child).__name__ not in unsplit and (wrapped or _holds_layers(child)):
            layers += _layers_below(child, unsplit)
        elif layers and _is_normalization(child):
            layers[-1].append(child)
        else:
            layers.append([child])
    own = list(module.parameters(recurse=False))
    if own and not layers:
        return [[*own]]
    if own:
        layers[0][:0] = own  # a class token, say, is seen from the first layer on
    return layers


def _has_state(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None or next(module.buffers(), None) is not None


def _holds_layers(module: nn.Module) -> bool:
    # A Sequential inside a block is a part of it (a shortcut), but a ModuleList holds the blocks.
    return isinstance(module, LISTS) or any(isinstance(child, nn.ModuleList) for child in module.children())


def _is_normalization(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower() and not any(_has_state(child) for child in module.children())
