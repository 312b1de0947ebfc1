"""The flags of the network, as a dataclass that `HfArgumentParser` reads."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor
from hfaudio.model.timm_trunk_spectrogram_cnn import check_backbone
from hfaudio.training.pretrained import refuse_changes

__all__ = ["ModelArguments"]


@dataclass
class ModelArguments:
    """The network."""

    _argument_group_name = "model"

    model_size: str = field(
        default="small", metadata={"help": "Named width and depth.", "choices": ["tiny", "small", "base"]}
    )
    hidden_sizes: list[int] | None = field(default=None, metadata={"help": "Width of each stage [model_size]."})
    depths: list[int] | None = field(default=None, metadata={"help": "Residual blocks of each stage [model_size]."})
    dropout: float = field(default=0.2, metadata={"help": "Probability of dropping a pooled feature."})
    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "Train this model further, with its features: a folder, or owner/name[@revision] on the Hub. "
            "Where the classes differ, the classifier is new."
        },
    )
    backbone: str | None = field(
        default=None, metadata={"help": "A trunk of timm's in place of ours, such as timm/tf_efficientnet_lite0."}
    )
    backbone_weights: str | None = field(
        default=None,
        metadata={
            "help": "Weights for --backbone: pretrained (downloads them), a file, or an installed package with one."
        },
    )
    eval_window_seconds: float | None = field(
        default=None,
        metadata={
            "help": "Score longer recordings in windows of this length and average the probabilities [as a whole]."
        },
    )
    eval_window_hop_seconds: float | None = field(
        default=None, metadata={"help": "Step from window to window [half a window]."}
    )

    def __post_init__(self) -> None:
        if self.backbone_weights is not None and self.backbone is None:
            raise ValueError(f"--backbone_weights {self.backbone_weights} needs a --backbone, found none.")
        if self.eval_window_hop_seconds is not None and self.eval_window_seconds is None:
            raise ValueError("--eval_window_hop_seconds needs --eval_window_seconds, found none.")
        for name in ("eval_window_seconds", "eval_window_hop_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and not 0.0 < seconds < math.inf:
                raise ValueError(f"--{name} must be above 0 seconds, found {seconds}.")
        if self.eval_window_seconds is not None and (self.eval_window_hop_seconds or 0.0) > self.eval_window_seconds:
            raise ValueError(
                f"--eval_window_hop_seconds must be at most {self.eval_window_seconds} (--eval_window_seconds), found "
                f"{self.eval_window_hop_seconds}."
            )
        if self.model_name_or_path is not None:
            refuse_changes(self, ("model_size", "hidden_sizes", "depths", "dropout", "backbone"))
        if self.backbone is not None:
            for name in ("model_size", "hidden_sizes", "depths"):
                if getattr(self, name) != getattr(type(self), name):
                    raise ValueError(f"--{name} and --backbone {self.backbone} both name the trunk: give one of them.")
            check_backbone(self.backbone, num_channels=1)
        self.build_config(num_channels=1, class_names=("no", "yes"))

    def build_config(
        self, num_channels: int, class_names: Sequence[str], multi_label: bool = False
    ) -> SpectrogramCNNConfig:
        """Makes the model's configuration; flags win over the named size.

        Args:
            num_channels: Channels of the features.
            class_names: In the order of their indices.
            multi_label: Whether a recording can have any number of classes.

        Raises:
            ValueError: A size lies outside its bounds.
        """
        sizes = {"hidden_sizes": self.hidden_sizes, "depths": self.depths}
        return SpectrogramCNNConfig.from_size(
            self.model_size,
            num_channels=num_channels,
            dropout=self.dropout,
            backbone=self.backbone,
            problem_type=("multi" if multi_label else "single") + "_label_classification",
            id2label=dict(enumerate(class_names)),
            label2id={name: index for index, name in enumerate(class_names)},
            **{name: size for name, size in sizes.items() if size is not None},
        )

    def apply_windows(self, config: SpectrogramCNNConfig, extractor: SpectrogramCNNFeatureExtractor) -> None:
        """Writes into a configuration in which windows recordings are scored, if the flags say so.

        Args:
            config: Is changed.
            extractor: What makes the frames.

        Raises:
            ValueError: A window has more frames than a configuration allows.
        """
        if self.eval_window_seconds is None:
            return
        hop_seconds = self.eval_window_hop_seconds or self.eval_window_seconds / 2
        frames_per_second = extractor.sampling_rate / extractor.hop_length
        try:
            # What is set on a configuration is not checked; what one is made of is.
            checked = SpectrogramCNNConfig(
                eval_window_frames=1 + round(self.eval_window_seconds * frames_per_second),
                eval_window_hop_frames=max(1, round(hop_seconds * frames_per_second)),
            )
        except (ValueError, OverflowError) as error:
            raise ValueError(
                f"--eval_window_seconds {self.eval_window_seconds:g} makes windows that no model takes: {error}"
            ) from error
        config.eval_window_frames = checked.eval_window_frames
        config.eval_window_hop_frames = checked.eval_window_hop_frames
