"""What a saved classifier needs to know of itself, read without torch."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfaudio.regular_files import only_regular

__all__ = ["CONFIG_FILE", "EXTRACTOR_FILE", "ClassifierSettings", "ModelError", "read_json"]

CONFIG_FILE = "config.json"
EXTRACTOR_FILE = "preprocessor_config.json"
LARGEST_SETTINGS = 16_000_000  # bytes; of 100,000 classes there are a few million


class ModelError(ValueError):
    """The model is not what was asked for: one sentence says what was expected, what was found and what to do."""


@dataclass(frozen=True)
class ClassifierSettings:
    """How recordings are cut for a classifier, and what its scores mean.

    Attributes:
        class_names: In the order of the scores.
        multi_label: Whether a recording can have any number of classes: scores are then those of a sigmoid each.
        sampling_rate: In Hz.
        crop_seconds: Length of the crops that it was trained on, to which shorter recordings are extended.
        max_seconds: The longest recording that it scores as a whole.
        pad_mode: How a recording shorter than a crop is extended: `zero`, `repeat` or `reflect`.
        unknown_threshold: A recording whose highest probability is below it is called unknown; None calls none so.
    """

    class_names: tuple[str, ...]
    multi_label: bool
    sampling_rate: int
    crop_seconds: float
    max_seconds: float
    pad_mode: str
    unknown_threshold: float | None = None

    @property
    def crop_samples(self) -> int:
        """Length of a training crop, in samples."""
        return round(self.crop_seconds * self.sampling_rate)

    @property
    def max_samples(self) -> int:
        """Length of the longest recording that is scored as a whole, in samples."""
        return round(self.max_seconds * self.sampling_rate)

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "ClassifierSettings":
        """Reads the settings of a saved model.

        Args:
            folder: With a `config.json` and a `preprocessor_config.json`.

        Raises:
            ModelError: They are not there, or are no spectrogram CNN's.
        """
        config = read_json(Path(folder) / CONFIG_FILE)
        extractor = read_json(Path(folder) / EXTRACTOR_FILE)
        try:
            multi_label = config["problem_type"] == "multi_label_classification"
            # Models saved by earlier versions have none; of several classes a recording may have none as it is.
            threshold = None if multi_label else config.get("unknown_threshold")
            names = {int(index): str(name) for index, name in config["id2label"].items()}
            settings = cls(
                class_names=tuple(names[index] for index in range(len(names))),
                multi_label=multi_label,
                sampling_rate=int(extractor["sampling_rate"]),
                crop_seconds=float(extractor["crop_seconds"]),
                max_seconds=float(extractor["max_seconds"]),
                pad_mode=str(extractor["pad_mode"]),
                unknown_threshold=None if threshold is None else float(threshold),
            )
            if min(settings.crop_samples, settings.max_samples) < 1 or not 0 <= (settings.unknown_threshold or 0) < 1:
                raise ValueError("a length or threshold out of bounds")
            return settings
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(
                f"Expected the settings of a spectrogram CNN in {folder}, found others ({error!r}); check --model."
            ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a model, or a ModelError that says what is there instead."""
    try:
        with open(path, encoding="utf-8", opener=only_regular) as file:
            size = os.fstat(file.fileno()).st_size
            content = json.load(file) if size <= LARGEST_SETTINGS else None
    except OSError as error:
        raise ModelError(
            f"Expected a saved model with {path.name} in {path.parent}, found none ({error.strerror}); check --model."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"Expected JSON in {path}, found something else ({error}); save the model anew.") from error
    if size > LARGEST_SETTINGS:
        raise ModelError(f"Expected at most {LARGEST_SETTINGS:,} bytes in {path}, found {size:,}; check --model.")
    if not isinstance(content, dict):
        raise ModelError(f"Expected a JSON object in {path}, found {type(content).__name__}; save the model anew.")
    return content
