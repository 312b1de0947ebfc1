"""A trunk that stays as it is while a new head learns, and thaws afterwards."""

import math
from typing import Any

from accelerate.utils import extract_model_from_parallel  # type: ignore[import-untyped]  # it has no py.typed
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hfaudio.training.layer_order import layers_in_order, parameters_in

__all__ = ["TrunkFreezer"]


class TrunkFreezer(TrainerCallback):
    """Freezes everything under `model.base_model` for the first epochs of a run.

    What is frozen gets no gradient and no step, and its batch norms use and keep their statistics. It happens at the
    first step, because `Trainer` leaves out of its optimizer what is frozen before. With several processes DDP must
    look for unused parameters, as `Trainer` has it do for transformers' models.

    Args:
        freeze_epochs: How many epochs, or parts of one, the whole trunk is frozen.
        gradual: Then its layers thaw one after the other from the last to the stem, evenly over another
            `freeze_epochs` epochs (Howard and Ruder 2018, arXiv:1801.06146, section 3.3); otherwise all at once.

    Raises:
        ValueError: freeze_epochs is below 0 or not finite.
    """

    def __init__(self, freeze_epochs: float, gradual: bool = False) -> None:
        if not 0.0 <= freeze_epochs < math.inf:
            raise ValueError(f"freeze_epochs must be a number of at least 0, found {freeze_epochs!r}.")
        self.freeze_epochs = freeze_epochs
        self.gradual = gradual
        self._layers: list[_FreezableLayer] = []

    def frozen_layers(self, epoch: float, num_layers: int) -> int:
        """How many of a trunk's layers are frozen, counted from the stem.

        Args:
            epoch: Epochs passed, with the part of the running one.
            num_layers: Layers of the trunk.
        """
        if epoch < self.freeze_epochs:
            return num_layers
        if not self.gradual or self.freeze_epochs == 0.0:
            return 0
        share = (epoch - self.freeze_epochs) / self.freeze_epochs
        # The last layer thaws at once, the stem when all but its own share has passed.
        return max(0, num_layers - 1 - math.floor(share * num_layers + 1e-9))

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Takes the trunk apart; at the start of a step, also of a resumed run, its layers are frozen or thawed.

        Raises:
            ValueError: The model is nothing but a trunk.
        """
        model = extract_model_from_parallel(kwargs["model"], keep_torch_compile=False)
        if model.base_model is model:
            raise ValueError(
                f"freeze_epochs needs a head to train on top of a trunk, found the {type(model).__name__} alone."
            )
        self._layers = [_FreezableLayer(layer) for layer in layers_in_order(model)[:-1]]

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Freezes or thaws what is due."""
        self._freeze_for(state.epoch or 0.0)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Thaws everything."""
        self._freeze_for(math.inf)

    def _freeze_for(self, epoch: float) -> None:
        frozen = 0 if math.isinf(epoch) else self.frozen_layers(epoch, len(self._layers))
        for index, layer in enumerate(self._layers):
            layer.set_frozen(index < frozen)


class _FreezableLayer:
    def __init__(self, layer: list[nn.Module | nn.Parameter]) -> None:
        self.parameters = [parameter for parameter in parameters_in(layer) if parameter.requires_grad]
        modules = [module for part in layer if isinstance(part, nn.Module) for module in part.modules()]
        self.batch_norms = [module for module in modules if isinstance(module, _BatchNorm)]
        self.hooks: list[RemovableHandle] = []
        self.frozen = False

    def set_frozen(self, frozen: bool) -> None:
        if frozen == self.frozen:
            return
        self.frozen = frozen
        for parameter in self.parameters:
            parameter.requires_grad_(not frozen)
        for hook in self.hooks:
            hook.remove()
        # `Trainer` calls model.train() at each step, so evaluation mode has to come back before each use.
        self.hooks = [norm.register_forward_pre_hook(_evaluate) for norm in self.batch_norms] if frozen else []


def _evaluate(module: nn.Module, inputs: Any) -> None:
    module.eval()
