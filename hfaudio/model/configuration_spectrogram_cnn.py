"""Configuration of the spectrogram CNN."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from transformers import PretrainedConfig

__all__ = ["MODEL_SIZES", "UNCALIBRATED", "SpectrogramCNNConfig", "check_integer"]

ProblemType = Literal["single_label_classification", "multi_label_classification"]

MODEL_SIZES: dict[str, dict[str, list[int]]] = {
    "tiny": {"hidden_sizes": [16, 24, 48, 64], "depths": [1, 1, 1, 1]},
    "small": {"hidden_sizes": [32, 64, 128, 256], "depths": [1, 1, 1, 1]},
    "base": {"hidden_sizes": [48, 96, 192, 384], "depths": [1, 2, 2, 1]},
}
"""Widths and depths of the named sizes: under 0.2, 1.5 and 5 million parameters."""

PROBLEM_TYPES: tuple[ProblemType, ...] = get_args(ProblemType)

CLASSES = ("id2label", "label2id", "num_labels")
UNCALIBRATED = {"logit_temperature": 1.0, "unknown_threshold": None}

TIMM_PREFIX = "timm/"
MAX_CLASSES = 100_000
MAX_WINDOW_FRAMES = 1_000_000


class SpectrogramCNNConfig(PretrainedConfig):
    """The sizes of a CNN that classifies spectrograms, and how it hears recordings that are longer than a window.

    Args:
        num_channels: Channels of the input features: 1 for log-mel or MFCC, 3 for MFCC with deltas.
        hidden_sizes: Width (feature maps) of each stage. Every stage after the first halves bands and frames.
        depths: Number of residual blocks in each stage; as many entries as `hidden_sizes`.
        dropout: Probability of dropping a pooled feature before the classifier, in [0, 1).
        problem_type: `single_label_classification` or `multi_label_classification`.
        backbone: `timm/` and the name of a convolutional network of the package timm, which is then the trunk in place
            of the stages that `hidden_sizes` and `depths` describe; None for those.
        eval_window_frames: Outside training, a longer recording is scored in windows of this many frames, and the
            probabilities are averaged; None scores it as a whole.
        eval_window_hop_frames: Step from window to window, in frames, at most `eval_window_frames`.
        logit_temperature: Outside training the logits of a recording are divided by it, so that of what is predicted
            with a probability of 80 %, 80 % are right (Guo et al. 2017, arXiv:1706.04599, section 4.2). The name
            `temperature` is transformers' own, for the generation of text.
        unknown_threshold: A recording whose highest probability is below it is called unknown; in [0, 1), or None.
            Only where a recording has one class: of several, it may have none as it is.
        id2label: The name of each class, by its index from 0 on; the indices may be text, as in JSON.
        label2id: The index of each class, by its name; it says the same.
        num_labels: How many classes there are; without names they are `LABEL_0` and so on.
        **kwargs: Whatever else `PretrainedConfig` knows; unknown keys are kept.

    Raises:
        ValueError: A value lies outside its bounds; the sentence names the bound and the value.

    Example:
        >>> config = SpectrogramCNNConfig.from_size("tiny", num_labels=10)
        >>> config.hidden_sizes
        [16, 24, 48, 64]
    """

    model_type = "spectrogram_cnn"

    def __init__(
        self,
        num_channels: int = 1,
        hidden_sizes: Sequence[int] = (32, 64, 128, 256),
        depths: Sequence[int] = (1, 1, 1, 1),
        dropout: float = 0.2,
        problem_type: ProblemType = PROBLEM_TYPES[0],
        backbone: str | None = None,
        eval_window_frames: int | None = None,
        eval_window_hop_frames: int | None = None,
        logit_temperature: float = 1.0,
        unknown_threshold: float | None = None,
        id2label: Mapping[Any, str] | None = None,
        label2id: Mapping[str, Any] | None = None,
        num_labels: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_integer("num_channels", num_channels, 1, 64)
        if not 1 <= len(hidden_sizes) <= 8:
            raise ValueError(f"hidden_sizes must name 1 to 8 stages, found {len(hidden_sizes)}: {list(hidden_sizes)}.")
        if len(depths) != len(hidden_sizes):
            raise ValueError(
                f"depths must have one entry for each of the {len(hidden_sizes)} stages in hidden_sizes, "
                f"found {len(depths)}: {list(depths)}."
            )
        for size in hidden_sizes:
            check_integer("every entry of hidden_sizes", size, 1, 4096)
        for depth in depths:
            check_integer("every entry of depths", depth, 1, 64)
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, found {dropout!r}.")
        if problem_type not in PROBLEM_TYPES:
            raise ValueError(f"problem_type must be one of {', '.join(PROBLEM_TYPES)}, found {problem_type!r}.")
        if backbone is not None and not _is_timm_name(backbone):
            raise ValueError(f"backbone must be None or {TIMM_PREFIX} and a name of timm's, found {backbone!r}.")
        if (eval_window_frames is None) != (eval_window_hop_frames is None):
            raise ValueError(
                "eval_window_frames and eval_window_hop_frames must be given together, "
                f"found {eval_window_frames!r} and {eval_window_hop_frames!r}."
            )
        if eval_window_frames is not None:
            check_integer("eval_window_frames", eval_window_frames, 1, MAX_WINDOW_FRAMES, "frames")
            # A longer step would leave frames between the windows unheard.
            check_integer(
                "eval_window_hop_frames", eval_window_hop_frames, 1, eval_window_frames, "frames (eval_window_frames)"
            )
        if not 0.0 < logit_temperature < math.inf:
            raise ValueError(f"logit_temperature must be a number above 0, found {logit_temperature!r}.")
        if unknown_threshold is not None and not 0.0 <= unknown_threshold < 1.0:
            raise ValueError(f"unknown_threshold must be at least 0 and below 1, found {unknown_threshold!r}.")
        if unknown_threshold is not None and problem_type != PROBLEM_TYPES[0]:
            raise ValueError(f"unknown_threshold needs problem_type {PROBLEM_TYPES[0]}, found {problem_type}.")
        for name, classes in (("id2label", id2label), ("label2id", label2id)):
            if classes is not None and not isinstance(classes, Mapping):
                raise ValueError(f"{name} must be a mapping, such as dict(enumerate(names)), found {classes!r:.80}.")
        for number in (num_labels, *(len(classes) for classes in (id2label, label2id) if classes is not None)):
            if number is not None and not 1 <= number <= MAX_CLASSES:
                bound = "at least 1 class" if number < 1 else f"at most {MAX_CLASSES} classes"
                raise ValueError(f"A model must have {bound}, found {number}.")
        self.num_channels = num_channels
        self.hidden_sizes = list(hidden_sizes)
        self.depths = list(depths)
        self.dropout = dropout
        self.backbone = backbone
        self.eval_window_frames = eval_window_frames
        self.eval_window_hop_frames = eval_window_hop_frames
        self.logit_temperature = logit_temperature
        self.unknown_threshold = unknown_threshold
        names = _class_names(id2label, label2id, num_labels)
        if names is not None:
            kwargs |= {
                "id2label": dict(enumerate(names)),
                "label2id": {name: index for index, name in enumerate(names)},
            }
        elif num_labels is not None:
            kwargs["num_labels"] = num_labels
        super().__init__(problem_type=problem_type, **kwargs)

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of their indices."""
        return [str(name) for _, name in sorted((self.id2label or {}).items(), key=lambda item: int(item[0]))]

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Makes a configuration of a saved one and of what is given in place of its values, which is checked as well.

        Classes that are given replace all that is saved of them. With another `problem_type` the scores mean something
        else, and temperature and unknown threshold go unless they are given.

        Args:
            config_dict: The saved values.
            **kwargs: As `PretrainedConfig.from_dict` has them.

        Raises:
            ValueError: A value lies outside its bounds.
        """
        saved = dict(config_dict)
        if saved.get("id2label") is not None:
            saved.pop("label2id", None)  # it follows, also where somebody has renamed a class in the file
        own = inspect.signature(cls.__init__).parameters.keys() - {"self", "kwargs"}
        given = {name: kwargs.pop(name) for name in own & kwargs.keys()}
        classes = {name for name in CLASSES if given.get(name) is not None}
        if classes == {"num_labels"} and given["num_labels"] == len(saved.get("id2label") or ()):
            del given["num_labels"]  # it says nothing new, and the names stay
        elif classes:
            saved = {name: value for name, value in saved.items() if name not in CLASSES}
        if given.get("problem_type", saved.get("problem_type")) != saved.get("problem_type"):
            saved |= UNCALIBRATED
        return super().from_dict(saved | given, **kwargs)

    @classmethod
    def from_size(cls, size: str, **kwargs: Any) -> "SpectrogramCNNConfig":
        """Returns the configuration of a named size.

        Args:
            size: `tiny`, `small` or `base`.
            **kwargs: Further arguments of the configuration; they win over the size's own.

        Raises:
            ValueError: There is no such size.
        """
        if size not in MODEL_SIZES:
            raise ValueError(f"size must be one of {', '.join(MODEL_SIZES)}, found {size!r}.")
        return cls(**{**MODEL_SIZES[size], **kwargs})


def _class_names(
    id2label: Mapping[Any, str] | None, label2id: Mapping[str, Any] | None, num_labels: int | None
) -> list[str] | None:
    """The names of the classes in the order of their indices; None where there are none."""
    if id2label is not None:
        pairs = list(id2label.items())
    elif label2id is not None:
        pairs = [(index, name) for name, index in label2id.items()]
    else:
        return None
    name_of = {_as_index(index): name for index, name in pairs}
    if sorted(name_of) != list(range(len(pairs))):
        raise ValueError(
            f"The indices of {'label2id' if id2label is None else 'id2label'} must be 0 to {len(pairs) - 1}, each "
            f"once, found {', '.join(str(index) for index, _ in pairs[:5])}{', ...' if len(pairs) > 5 else ''}."
        )
    if id2label is not None and label2id is not None:
        for name, index in label2id.items():
            if name_of.get(_as_index(index)) != name:
                raise ValueError(
                    f"id2label and label2id must say the same, found the index {index!r} for {name!r} in label2id and "
                    f"{name_of.get(_as_index(index))!r} in id2label; leave one of them out."
                )
    if num_labels is not None and num_labels != len(name_of):
        raise ValueError(
            f"num_labels must be the number of classes that are named, {len(name_of)}, found {num_labels}; leave it "
            "out, or the names."
        )
    return [name_of[index] for index in range(len(name_of))]


def _as_index(index: Any) -> int:
    """A number, or the text of one."""
    text = str(index)
    return int(text) if text.isdecimal() else -1


def _is_timm_name(backbone: Any) -> bool:
    """Whether it has a name of timm's own; `timm/hf-hub:...` or a folder would fetch or read something else."""
    if not isinstance(backbone, str) or not backbone.startswith(TIMM_PREFIX):
        return False
    name = backbone.removeprefix(TIMM_PREFIX)
    return name.replace(".", "_").isidentifier()


def check_integer(name: str, value: Any, low: int, high: int, unit: str = "") -> None:
    """Raises a ValueError that names the bounds and the value, unless it is an integer between them."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}{unit and ' ' + unit}, found {value!r}.")


SpectrogramCNNConfig.register_for_auto_class()
