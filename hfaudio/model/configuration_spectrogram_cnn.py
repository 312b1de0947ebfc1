"""Configuration of the spectrogram CNN."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from transformers import PretrainedConfig

__all__ = ["MODEL_SIZES", "SpectrogramCNNConfig", "check_integer"]

ProblemType = Literal["single_label_classification", "multi_label_classification"]

MODEL_SIZES: dict[str, dict[str, list[int]]] = {
    "tiny": {"hidden_sizes": [16, 24, 48, 64], "depths": [1, 1, 1, 1]},
    "small": {"hidden_sizes": [32, 64, 128, 256], "depths": [1, 1, 1, 1]},
    "base": {"hidden_sizes": [48, 96, 192, 384], "depths": [1, 2, 2, 1]},
}
"""Widths and depths of the named sizes: under 0.2, 1.5 and 5 million parameters."""

PROBLEM_TYPES: tuple[ProblemType, ...] = get_args(ProblemType)


class SpectrogramCNNConfig(PretrainedConfig):
    """The sizes of a residual CNN that classifies spectrograms.

    Args:
        num_channels: Channels of the input features: 1 for log-mel or MFCC, 3 for MFCC with deltas.
        hidden_sizes: Width (feature maps) of each stage. Every stage after the first halves bands and frames.
        depths: Number of residual blocks in each stage; as many entries as `hidden_sizes`.
        dropout: Probability of dropping a pooled feature before the classifier, in [0, 1).
        problem_type: `single_label_classification` or `multi_label_classification`.
        **kwargs: Whatever else `PretrainedConfig` knows (`id2label`, `num_labels`, ...); unknown keys are kept.

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
        self.num_channels = num_channels
        self.hidden_sizes = list(hidden_sizes)
        self.depths = list(depths)
        self.dropout = dropout
        super().__init__(problem_type=problem_type, **kwargs)

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of their indices."""
        return [str(name) for _, name in sorted((self.id2label or {}).items())]

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


def check_integer(name: str, value: Any, low: int, high: int, unit: str = "") -> None:
    """Raises a ValueError that names the bounds and the value, unless it is an integer between them."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}{unit and ' ' + unit}, found {value!r}.")


SpectrogramCNNConfig.register_for_auto_class()
