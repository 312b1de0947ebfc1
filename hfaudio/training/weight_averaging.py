"""A moving average of the weights while a model trains, which ends up as the model's own weights."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast, extract_model_from_parallel  # type: ignore[import-untyped]  # it has no py.typed
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import TrainerControl, TrainerState, TrainingArguments

from hfaudio.training.checkpoints import CheckpointError, CheckpointPart

__all__ = ["WeightAverage"]

AVERAGE_FILE = "weight_average.safetensors"
UPDATES = "updates"


class WeightAverage(CheckpointPart):
    """Averages weights and batch-norm statistics exponentially over the optimizer steps of a run.

    After each step `average = d * average + (1 - d) * weights`, with `d = min(decay, (1 + n) / (10 + n))` after n
    steps, so that the untrained weights are soon forgotten (Polyak and Juditsky 1992, SIAM J. Control Optim. 30(4);
    the rise of d is that of TensorFlow's `ExponentialMovingAverage`). The average is kept in float32 whatever the
    model's precision; integers are copied. torch's `AveragedModel` does not serve: it copies the model's precision
    with it, and the `forward` that accelerate has put in. When training ends the average becomes the model's weights.

    Each checkpoint of a `CheckpointPartsMixin` has the average beside the weights that training goes on with. Weights
    that are sharded over devices (FSDP, ZeRO-3) cannot be averaged so.

    Args:
        decay: Share of the old average that is kept at each step, in [0, 1).

    Raises:
        ValueError: decay lies outside [0, 1).

    Example:
        >>> average = WeightAverage(decay=0.99)
        >>> trainer = Trainer(model, args, train_dataset=examples, callbacks=[average])  # doctest: +SKIP
        >>> trainer.train()  # doctest: +SKIP
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay must be at least 0 and below 1, found {decay!r}.")
        self.decay = decay
        self.updates = 0
        self.tensors: dict[str, Tensor] = {}
        """The average by the names of the model's state, while a run goes on."""
        self._model = nn.Module()
        self._resumed: tuple[dict[str, Tensor], int] | None = None

    def resume_from(self, checkpoint: str | os.PathLike[str]) -> None:
        """Reads the average of an interrupted run; call it before `Trainer.train(resume_from_checkpoint=...)`.

        Args:
            checkpoint: The checkpoint's folder.

        Raises:
            CheckpointError: The run that wrote it did not average its weights.
        """
        path = Path(checkpoint) / AVERAGE_FILE
        if not path.is_file():
            raise CheckpointError(
                f"Expected the averaged weights of the run at {path}, found none; resume without averaging, or start "
                "anew in another --output_dir."
            )
        with safe_open(path, framework="pt") as file:
            self._resumed = {name: file.get_tensor(name) for name in file.keys()}, int(file.metadata()[UPDATES])  # noqa: SIM118

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Lends the model the averaged weights: `with average.averaged(): trainer.evaluate()`.

        Outside a run there is no average apart from the model, and nothing is done.
        """
        if not self.tensors:
            yield
            return
        own = {name: weight.clone() for name, weight in self._model.state_dict().items()}
        self._write(self.tensors)
        try:
            yield
        finally:
            self._write(own)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts from the model's weights, or from those that `resume_from` read."""
        self._model = extract_model_from_parallel(kwargs["model"], keep_torch_compile=False)
        weights = self._model.state_dict()
        start, self.updates = self._resumed or (weights, 0)
        if self._resumed is None and state.global_step > 0:
            raise CheckpointError(
                f"Expected the averaged weights of the run that goes on at step {state.global_step}, found none; call "
                "resume_from with the checkpoint's folder before training."
            )
        if {name: tensor.shape for name, tensor in start.items()} != {n: w.shape for n, w in weights.items()}:
            raise CheckpointError(
                "Expected averaged weights with the names and shapes of the model's, found others; resume with the "
                "model that wrote the checkpoint."
            )
        self._resumed = None
        # The memory format is the weight's, because another one may round otherwise.
        self.tensors = {
            name: torch.empty_like(
                weight, dtype=torch.float32 if weight.is_floating_point() else weight.dtype, requires_grad=False
            ).copy_(start[name])
            for name, weight in weights.items()
        }

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Takes the new weights in, unless the loss scaling of float16 has skipped the step."""
        if getattr(kwargs.get("optimizer"), "step_was_skipped", False):
            return
        averages, weights = [], []
        for name, weight in self._model.state_dict().items():
            if weight.is_floating_point():
                averages.append(self.tensors[name])
                weights.append(weight.float())
            else:
                self.tensors[name].copy_(weight)
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        get_ema_multi_avg_fn(decay)(averages, weights, self.updates)
        self.updates += 1

    def write_into(self, checkpoint: Path) -> None:
        """Writes `weight_average.safetensors`."""
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors.items()}
        save_file(tensors, checkpoint / AVERAGE_FILE, metadata={UPDATES: str(self.updates)})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Makes the average the model's weights."""
        # Each process has batch-norm statistics of its own; those of the first are the ones that are saved.
        self._write(broadcast(self.tensors))
        self.tensors = {}

    @torch.no_grad()
    def _write(self, tensors: Mapping[str, Tensor]) -> None:
        for name, weight in self._model.state_dict().items():
            weight.copy_(tensors[name])
