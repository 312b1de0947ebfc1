"""What a graph was made of: hashes of the weights and settings that it holds, so that it never answers for others."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hfaudio.inference.classifier_settings import CONFIG_FILE, EXTRACTOR_FILE, read_json

__all__ = ["WEIGHTS_FILE", "describe_origin", "why_stale"]

WEIGHTS_FILE = "model.safetensors"
WEIGHTS_HASH, SETTINGS_HASH = "hfaudio.weights_sha256", "hfaudio.settings_sha256"
"""Keys of the metadata of a graph."""

CONFIG_DEFAULTS = {
    "backbone": None,
    "depths": None,
    "eval_window_frames": None,
    "eval_window_hop_frames": None,
    "hidden_sizes": None,
    "logit_temperature": 1.0,
    "num_channels": None,
    "problem_type": None,
}
EXTRACTOR_NAMES = (
    *("f_max", "f_min", "features", "hop_length", "mean", "n_fft", "n_mels", "n_mfcc", "padding_value"),
    *("sampling_rate", "std", "win_length"),
)
"""What a graph holds besides the classes, and what it is where a model of an earlier version does not say. The lengths
of crops and recordings, the padding and the threshold of unknown recordings are read when a graph is used."""


def describe_origin(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Gives the metadata of a graph of a saved model: the hashes of what it is made of and what of it is there.

    Args:
        folder: With `config.json` and `preprocessor_config.json`; without weights there is no hash of them.

    Raises:
        ModelError: The settings are not there, or no JSON.
    """
    folder = Path(folder)
    origin = {SETTINGS_HASH: _hash_settings(folder)}
    if (folder / WEIGHTS_FILE).is_file():
        with (folder / WEIGHTS_FILE).open("rb") as file:
            origin[WEIGHTS_HASH] = hashlib.file_digest(file, "sha256").hexdigest()
    return origin


def why_stale(origin: Mapping[str, str], folder: str | os.PathLike[str]) -> str | None:
    """Says why a graph must not answer for the model of a folder; None where it may.

    Args:
        origin: The metadata of the graph.
        folder: Of the model. Without weights there, as in a container, the settings alone are compared; without
            settings there, nothing is.

    Returns:
        The end of a sentence that says what was found.

    Raises:
        ModelError: The settings are no JSON.
    """
    if SETTINGS_HASH not in origin or WEIGHTS_HASH not in origin:
        return "one that does not say which model it was made of, as earlier versions wrote it"
    if not (Path(folder) / CONFIG_FILE).is_file() or not (Path(folder) / EXTRACTOR_FILE).is_file():
        return None
    for name, there in describe_origin(folder).items():
        if origin[name] != there:
            return f"one of other {'weights' if name == WEIGHTS_HASH else 'settings'}"
    return None


def _hash_settings(folder: Path) -> str:
    config, extractor = read_json(folder / CONFIG_FILE), read_json(folder / EXTRACTOR_FILE)
    settings: dict[str, Any] = {name: config.get(name, default) for name, default in CONFIG_DEFAULTS.items()}
    settings["classes"] = sorted((int(index), str(name)) for index, name in config["id2label"].items())
    settings |= {name: extractor.get(name) for name in EXTRACTOR_NAMES}
    if settings["features"] == "log_mel":
        settings["n_mfcc"] = None  # it is not used
    text = json.dumps(_as_floats(settings), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _as_floats(value: Any) -> Any:
    """The same with every number as a float: 1 and 1.0 are one setting."""
    if isinstance(value, Mapping):
        return {name: _as_floats(own) for name, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_floats(own) for own in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
