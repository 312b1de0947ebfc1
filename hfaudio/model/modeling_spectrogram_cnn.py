"""A CNN over spectrograms, with pooling over the frames that hold sound."""

import copy
import os
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndNoAttention, SequenceClassifierOutput

from .configuration_spectrogram_cnn import UNCALIBRATED, SpectrogramCNNConfig
from .timm_trunk_spectrogram_cnn import TimmTrunk
from .windows_spectrogram_cnn import average_windows, cut_windows

NO_CLASS_LOGIT = -30.0  # of each class of a silent clip that may have several; of one class all logits are 0

__all__ = ["SpectrogramCNNForAudioClassification", "SpectrogramCNNModel", "SpectrogramCNNPreTrainedModel"]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016, arXiv:1512.03385, fig. 2).

    Every convolution sees zeros past the last valid frame, as it does past the last column of an unpadded clip:
    this is what makes the logits independent of the padding.

    Args:
        in_channels: Feature maps that come in.
        out_channels: Feature maps that go out.
        stride: Step over bands and frames; a length of L becomes ceil(L / stride).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, hidden_states: Tensor, frame_mask: Tensor | None) -> Tensor:
        """Maps `(batch, in_channels, bands, frames)` to `(batch, out_channels, bands, frames)`.

        Args:
            hidden_states: The input, zero on frames that the mask hides.
            frame_mask: `(batch, 1, 1, frames)` at the block's output resolution, 1 for frames that hold sound.
        """
        residual = self.shortcut(hidden_states)
        hidden_states = self.norm1(self.conv1(hidden_states)).relu()
        hidden_states = self.norm2(self.conv2(_hide(hidden_states, frame_mask)))
        return _hide((hidden_states + residual).relu(), frame_mask)


class SpectrogramCNNPreTrainedModel(PreTrainedModel):
    """Weight initialisation and loading, shared by the trunk and the classifier."""

    config: SpectrogramCNNConfig
    config_class = SpectrogramCNNConfig
    base_model_prefix = "spectrogram_cnn"
    main_input_name = "input_features"
    _no_split_modules = ["ResidualBlock"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            if module.bias is not None:  # as some of timm's
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
            if module.running_mean is not None and module.running_var is not None:
                nn.init.zeros_(module.running_mean)
                nn.init.ones_(module.running_var)


class SpectrogramCNNModel(SpectrogramCNNPreTrainedModel):
    """The trunk, a strided stem and stages of residual blocks or a network of timm's, and masked pooling.

    Args:
        config: The sizes.

    Attributes:
        num_features: Width of the pooled vector.

    Raises:
        ValueError: `config.backbone` cannot be built; see `TimmTrunk`.
    """

    def __init__(self, config: SpectrogramCNNConfig) -> None:
        super().__init__(config)
        if config.backbone is None:
            self._build_stages(config)
            self.num_features = config.hidden_sizes[-1]
        else:
            self.timm_trunk = TimmTrunk(config.backbone, config.num_channels)
            self.num_features = self.timm_trunk.num_features
        self.post_init()

    def _build_stages(self, config: SpectrogramCNNConfig) -> None:
        width = config.hidden_sizes[0]
        self.stem = nn.Conv2d(config.num_channels, width, 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList()
        for stage, (out_width, depth) in enumerate(zip(config.hidden_sizes, config.depths, strict=True)):
            for block in range(depth):
                self.blocks.append(ResidualBlock(width, out_width, stride=2 if stage > 0 and block == 0 else 1))
                width = out_width

    def forward(
        self, input_features: Tensor, attention_mask: Tensor | None = None, return_dict: bool | None = None
    ) -> BaseModelOutputWithPoolingAndNoAttention | tuple[Tensor, ...]:
        """Turns features into one vector a clip.

        Args:
            input_features: `(batch, num_channels, bands, frames)`.
            attention_mask: `(batch, frames)`, 0 for padding, else 1 (or 2); None means that there is none.
            return_dict: False returns a tuple.

        Returns:
            `last_hidden_state (batch, num_features, bands', frames')` and `pooler_output
            (batch, num_features)`: the mean over bands, then the sum of mean and maximum over the valid frames.

        Raises:
            ValueError: The features have the wrong number of dimensions or channels, or the mask another shape.
        """
        _check_inputs(input_features, attention_mask, self.config.num_channels)
        mask = None
        if attention_mask is not None:
            mask = (attention_mask != 0)[:, None, None, :].to(input_features.dtype)
        hidden_states = _hide(input_features, mask).contiguous(memory_format=torch.channels_last)
        if self.config.backbone is None:
            hidden_states, mask = self._run_stages(hidden_states, mask)
        else:
            hidden_states, mask = self.timm_trunk(hidden_states, mask)
            hidden_states = _hide(hidden_states, mask)
        pooled = pool_frames(hidden_states, mask)
        if return_dict is False:
            return hidden_states, pooled
        return BaseModelOutputWithPoolingAndNoAttention(last_hidden_state=hidden_states, pooler_output=pooled)

    def _run_stages(self, hidden_states: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        hidden_states = self.stem(hidden_states)
        mask = _halve(mask)
        hidden_states = _hide(self.stem_norm(hidden_states).relu(), mask)
        for block in self.blocks:
            mask = _halve(mask) if block.stride == 2 else mask
            hidden_states = block(hidden_states, mask)
        return hidden_states, mask


class SpectrogramCNNForAudioClassification(SpectrogramCNNPreTrainedModel):
    """The trunk with a linear classifier on top.

    Outside training, recordings of more than `config.eval_window_frames` frames are scored in windows, whose
    probabilities are averaged, so that a model trained on crops is judged on what it has learned to hear. The logits
    of the recording are then divided by `config.logit_temperature`: the order of the classes stays. A clip without a
    frame that holds sound has logits that name no class: all equal, or of several classes a recording, all very low.

    Args:
        config: The sizes, and through `id2label` the number of classes.

    Example:
        >>> model = SpectrogramCNNForAudioClassification(SpectrogramCNNConfig.from_size("tiny", num_labels=10))
        >>> model(torch.zeros(2, 1, 64, 101)).logits.shape
        torch.Size([2, 10])
    """

    def __init__(self, config: SpectrogramCNNConfig) -> None:
        super().__init__(config)
        self.spectrogram_cnn = SpectrogramCNNModel(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(self.spectrogram_cnn.num_features, len(config.class_names))
        self.post_init()

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """Loads as `PreTrainedModel` does; a classifier that is new has neither temperature nor unknown threshold.

        It is new where the checkpoint has none, or with `ignore_mismatched_sizes=True` one of other classes.

        Args:
            *args: Of `PreTrainedModel.from_pretrained`.
            output_loading_info: Whether to return what was missing too.
            **kwargs: Of `PreTrainedModel.from_pretrained`.
        """
        loaded: Any = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        model, report = loaded
        if report["missing_keys"] or report["mismatched_keys"]:
            model.config.update(UNCALIBRATED)
        return (model, report) if output_loading_info else model

    @classmethod
    def _from_config(cls, config: SpectrogramCNNConfig, **kwargs: Any) -> Any:
        # By which AutoModelForAudioClassification.from_config makes new weights, for those of a saved configuration.
        config = copy.deepcopy(config)
        config.update(UNCALIBRATED)
        return super()._from_config(config, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Saves as `PreTrainedModel` does, and names the pipeline, whose code goes along, in the configuration.

        Args:
            save_directory: The folder.
            *args: Of `PreTrainedModel.save_pretrained`.
            **kwargs: Of `PreTrainedModel.save_pretrained`.
        """
        # Only saving needs it; and what is imported so, here too, transformers copies into the folder.
        from .pipeline_spectrogram_cnn import SpectrogramCNNPipeline

        self.config.custom_pipelines = SpectrogramCNNPipeline.custom_pipelines()
        super().save_pretrained(save_directory, *args, **kwargs)

    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
    ) -> SequenceClassifierOutput | tuple[Tensor, ...]:
        """Scores each clip for each class.

        Args:
            input_features: `(batch, num_channels, bands, frames)`.
            attention_mask: `(batch, frames)`, 0 for padding, 1 for frames that hold sound, and 2 for those that hear
                digital silence, of which windows of `config.eval_window_frames` have no say; None means that all
                hold sound.
            labels: For one label a clip `(batch,)` class indices or `(batch, num_labels)` probabilities; for several
                `(batch, num_labels)` of 0 and 1. With labels the output has a loss (cross-entropy or binary
                cross-entropy, by `config.problem_type`).
            return_dict: False returns a tuple.

        Returns:
            `loss` (if labels were given) and `logits (batch, num_labels)`. Of a recording in several windows the
            logits are the logarithm of the mean probabilities, for several labels the logit of the mean probability;
            either is divided by the temperature.
        """
        logits = self._score(input_features, attention_mask)
        if not self.training:
            logits = self._silence(logits / self.config.logit_temperature, attention_mask)
        loss = None
        if labels is not None and self._multi_label:
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), labels.float())
        elif labels is not None:
            loss = nn.functional.cross_entropy(logits.float(), labels)
        if return_dict is False:
            return (logits,) if loss is None else (loss, logits)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def _silence(self, logits: Tensor, attention_mask: Tensor | None) -> Tensor:
        if attention_mask is None:
            return logits
        silent = (attention_mask == 0).all(dim=1, keepdim=True)
        return logits.masked_fill(silent, NO_CLASS_LOGIT if self._multi_label else 0.0)

    @property
    def _multi_label(self) -> bool:
        return bool(self.config.problem_type == "multi_label_classification")

    def _score(self, input_features: Tensor, attention_mask: Tensor | None) -> Tensor:
        """The logits `(batch, num_labels)`, of windows where the configuration asks for them."""
        window, hop = self.config.eval_window_frames, self.config.eval_window_hop_frames
        counted = None
        # What is exported always cuts: a comparison would fix on which side of a window's length the inputs lie.
        if window is not None and hop is not None and not self.training:
            _check_inputs(input_features, attention_mask, self.config.num_channels)
            if torch.compiler.is_exporting() or input_features.shape[3] > window:
                input_features, attention_mask, counted = cut_windows(input_features, attention_mask, window, hop)
        outputs = self.spectrogram_cnn(input_features, attention_mask, return_dict=True)
        logits = self.classifier(self.dropout(outputs.pooler_output))
        if counted is None:
            return logits
        return average_windows(logits, counted, self._multi_label)


def pool_frames(hidden_states: Tensor, frame_mask: Tensor | None) -> Tensor:
    """Pools `(batch, channels, bands, frames)` into `(batch, channels)`.

    The mean over bands, then mean plus maximum over the valid frames, as in PANNs (Kong et al. 2020,
    arXiv:1912.10211, section II): the mean carries steady sounds, the maximum short ones.

    Args:
        hidden_states: Feature maps, zero on hidden frames.
        frame_mask: `(batch, 1, 1, frames)` or None.
    """
    bands_averaged = hidden_states.mean(dim=2)
    if frame_mask is None:
        return bands_averaged.mean(dim=2) + bands_averaged.amax(dim=2)
    valid_frames = frame_mask.sum(dim=(2, 3)).clamp(min=1.0)
    # The maps of timm's trunks can be negative, and then the zeros of hidden frames would be the largest.
    valid = frame_mask[:, 0] > 0
    loudest = bands_averaged.where(valid | ~valid.any(dim=2, keepdim=True), -torch.inf).amax(dim=2)
    return bands_averaged.sum(dim=2) / valid_frames + loudest


def _hide(hidden_states: Tensor, frame_mask: Tensor | None) -> Tensor:
    return hidden_states if frame_mask is None else hidden_states * frame_mask.to(hidden_states.dtype)


def _halve(frame_mask: Tensor | None) -> Tensor | None:
    """The mask after a 3x3 convolution of stride 2 and padding 1, which is centred on every other frame."""
    if frame_mask is None:
        return None
    # Written as convolutions have their length: torch.export does not see that a slice [::2] is as long.
    frames = (frame_mask.shape[3] - 1) // 2 + 1
    return frame_mask[..., 2 * torch.arange(frames, device=frame_mask.device)]


def _check_inputs(input_features: Tensor, attention_mask: Tensor | None, num_channels: int) -> None:
    if input_features.ndim != 4 or input_features.shape[1] != num_channels:
        raise ValueError(
            f"input_features must have the shape (batch, {num_channels}, bands, frames), "
            f"found {tuple(input_features.shape)}."
        )
    expected = (input_features.shape[0], input_features.shape[3])
    if attention_mask is not None and tuple(attention_mask.shape) != expected:
        raise ValueError(
            f"attention_mask must have the shape (batch, frames) = {expected}, found {tuple(attention_mask.shape)}."
        )


SpectrogramCNNForAudioClassification.register_for_auto_class("AutoModelForAudioClassification")
SpectrogramCNNModel.register_for_auto_class("AutoModel")
