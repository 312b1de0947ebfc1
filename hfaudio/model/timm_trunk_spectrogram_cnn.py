"""Convolutional networks of the package timm as the trunk, in place of our own stages."""

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from .configuration_spectrogram_cnn import TIMM_PREFIX

__all__ = ["TimmTrunk", "check_backbone"]

PROBE_SIZE = 256  # bands and frames of the input on which a trunk is measured; most halve it five times


class TimmTrunk(nn.Module):
    """A network of timm's without its pooling and classifier, never with downloaded weights.

    timm's convolutions see what padded frames leave behind in the maps, so that a clip's scores depend a little on
    the padding of its batch, other than those of our own stages. The input is zero there, which keeps that small.

    Args:
        backbone: `timm/` and a name of timm's.
        num_channels: Channels of the input features.

    Attributes:
        timm_model: The network.
        num_features: Channels of the maps that come out.
        reduction: Frames of the input for each frame of the maps.

    Raises:
        ValueError: timm is missing, does not know the name, or the network does not turn maps of any size into maps.
    """

    def __init__(self, backbone: str, num_channels: int) -> None:
        super().__init__()
        self.num_features, self.reduction = check_backbone(backbone, num_channels)
        self.timm_model = _create(backbone, num_channels)
        for module in self.timm_model.modules():
            # from_pretrained makes the model without storage and fills in what was saved: a buffer that is not saved
            # would come back as garbage.
            module._non_persistent_buffers_set.clear()
            # timm has initialised it; without storage it has not, and what a checkpoint lacks must be.
            module._is_hf_initialized = not any(weight.is_meta for weight in module.parameters())

    def forward(self, hidden_states: Tensor, frame_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Maps `(batch, num_channels, bands, frames)` to `(batch, num_features, bands', frames')`.

        Args:
            hidden_states: The features, zero on frames that the mask hides.
            frame_mask: `(batch, 1, 1, frames)`, 1 for frames that hold sound.

        Returns:
            The maps and their mask `(batch, 1, 1, frames')`; a frame holds sound if any frame it stands for does.
        """
        bands, frames = hidden_states.shape[2:]
        # Networks that round down would not hear the frames that are left over, unless padding follows them.
        missing = [(size + self.reduction - 1) // self.reduction * self.reduction - size for size in (frames, bands)]
        hidden_states = nn.functional.pad(hidden_states, (0, missing[0], 0, missing[1]))
        maps = self.timm_model(hidden_states)
        if frame_mask is None:
            return maps, None
        positions = torch.arange(frames, device=maps.device)
        valid_frames = ((positions + 1) * (frame_mask[:, 0, 0] != 0)).amax(dim=1)
        valid_steps = ((valid_frames + self.reduction - 1) // self.reduction).clamp(min=1)
        steps = torch.arange(maps.shape[3], device=maps.device)
        return maps, (steps < valid_steps[:, None])[:, None, None].to(frame_mask.dtype)


@lru_cache
def check_backbone(backbone: str, num_channels: int) -> tuple[int, int]:
    """Measures a trunk without making its weights.

    Args:
        backbone: `timm/` and a name of timm's.
        num_channels: Channels of the input features.

    Returns:
        The channels of its maps, and how many frames of the input each frame of theirs stands for.

    Raises:
        ValueError: timm is missing, does not know the name, or the network does not turn maps of any size into maps.
    """
    try:
        with torch.device("meta"), torch.no_grad():
            trunk = _create(backbone, num_channels).eval()
            shapes = [
                tuple(trunk(torch.zeros(1, num_channels, PROBE_SIZE, frames)).shape)
                for frames in (PROBE_SIZE, 2 * PROBE_SIZE)
            ]
    # Each network that wants one size of input, or its own pooling, says so in its own way.
    except (AssertionError, AttributeError, RuntimeError, TypeError) as error:
        raise ValueError(f"{_expected(backbone)}, found: {error}") from error
    short, long = shapes
    if len(short) != 4 or min(short[2:]) < 1 or short[1] != long[1] or not short[3] < long[3]:
        raise ValueError(f"{_expected(backbone)}, found the output {short} for {PROBE_SIZE} bands and frames.")
    return short[1], math.ceil(PROBE_SIZE / short[3])


def _expected(backbone: str) -> str:
    return f"backbone must be a convolutional network that takes any number of bands and frames; {backbone} is not"


def _create(backbone: str, num_channels: int) -> Any:
    """The network with timm's initial weights, or a ValueError that says what is missing."""
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not match torch
        raise ValueError(
            f"The backbone {backbone} needs the package timm, which cannot be imported ({error}); "
            "install it with pip install 'hfaudio[timm]'."
        ) from error
    name = backbone.removeprefix(TIMM_PREFIX)
    if not timm.is_model(name):
        raise ValueError(
            f"backbone must be {TIMM_PREFIX} and a name that timm {timm.__version__} knows, found {backbone!r}"
            "; timm.list_models() lists them."
        )
    return timm.create_model(name, pretrained=False, in_chans=num_channels, num_classes=0, global_pool="")
