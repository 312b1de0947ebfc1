"""Handing on the model as it is at each checkpoint, without what only a resumed training needs."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from accelerate.utils import extract_model_from_parallel  # type: ignore[import-untyped]  # it has no py.typed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hfaudio.model import SpectrogramCNNFeatureExtractor
from hfaudio.training.weight_averaging import WeightAverage

__all__ = ["ModelOnSave", "TakeModel"]

TakeModel = Callable[[Path, int, int], None]
"""Takes the folder of a model, which is gone afterwards, the step and the number of steps."""


class ModelOnSave(TrainerCallback):
    """Writes the model at each checkpoint but that of the last step, as it would be saved if the training ended there.

    Args:
        take: What is called with it, in the main process.
        extractor: Of the model.
        average: Of its weights, if they are averaged.
    """

    def __init__(
        self, take: TakeModel, extractor: SpectrogramCNNFeatureExtractor, average: WeightAverage | None
    ) -> None:
        self.take = take
        self.extractor = extractor
        self.average = average

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Writes the model, and hands it on."""
        if not state.is_world_process_zero or state.global_step == state.max_steps:
            return
        model = extract_model_from_parallel(kwargs["model"], keep_torch_compile=False)
        with TemporaryDirectory(prefix="hfaudio-model-") as folder:
            if self.average is None:
                model.save_pretrained(folder)
            else:
                with self.average.averaged():
                    model.save_pretrained(folder)
            self.extractor.save_pretrained(folder)
            self.take(Path(folder), state.global_step, state.max_steps)
