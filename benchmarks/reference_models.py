"""Published audio classifiers at their published sizes, with random weights: what they cost, not what they know.

Written from the papers: width, depth, kernels and features are theirs, details that cost no time are left out.
"""

from itertools import pairwise

import torch
import torchaudio.functional
from torch import Tensor, nn

from hfaudio.inference.matrix_spectrogram import MatrixMelSpectrogram

__all__ = ["CNN14", "MN10", "REFERENCE_RATE", "LogMel"]

REFERENCE_RATE = 32_000
CLASSES = 527  # of AudioSet
N_FFT = 1024
HOP = 320


class LogMel(nn.Module):
    """The logarithm of a mel spectrogram of `(batch, samples)` at 32 kHz, as `(batch, 1, bands, frames)`.

    Args:
        n_mels: Bands.
        win_length: Of the Hann window, in samples.
        f_min: Lowest frequency, in Hz.
        f_max: Highest frequency, in Hz.
        matrices: Whether matrix products take the place of the Fourier transform, for ONNX Runtime.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, n_mels: int, win_length: int, f_min: float, f_max: float, matrices: bool = False) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(win_length))
        filters = torchaudio.functional.melscale_fbanks(N_FFT // 2 + 1, f_min, f_max, n_mels, REFERENCE_RATE)
        self.register_buffer("filters", filters.T.contiguous())
        self.matrices = MatrixMelSpectrogram(N_FFT, HOP, self.window, self.filters) if matrices else None

    def forward(self, waveforms: Tensor) -> Tensor:
        """See the class."""
        if self.matrices is not None:
            mel = self.matrices(waveforms)
        else:
            spectrum = torch.stft(
                waveforms, N_FFT, HOP, len(self.window), self.window, pad_mode="constant", return_complex=True
            )
            mel = self.filters @ (spectrum.real.square() + spectrum.imag.square())
        return (mel + 1e-5).log()[:, None]


class MN10(nn.Module):
    """The MobileNetV3 of EfficientAT (Schmid et al. 2023, arXiv:2211.04772, table 1): 4.88 M parameters.

    It is MobileNetV3-Large (Howard et al. 2019, arXiv:1905.02244, table 1) over 128 bands at 32 kHz.

    Args:
        matrices: See `LogMel`.
    """

    # Kernel, expanded width, width, squeeze and excitation, h-swish (else ReLU), stride.
    BLOCKS = (
        (3, 16, 16, False, False, 1),
        (3, 64, 24, False, False, 2),
        (3, 72, 24, False, False, 1),
        (5, 72, 40, True, False, 2),
        (5, 120, 40, True, False, 1),
        (5, 120, 40, True, False, 1),
        (3, 240, 80, False, True, 2),
        (3, 200, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 480, 112, True, True, 1),
        (3, 672, 112, True, True, 1),
        (5, 672, 160, True, True, 2),
        (5, 960, 160, True, True, 1),
        (5, 960, 160, True, True, 1),
    )

    def __init__(self, matrices: bool = False) -> None:
        super().__init__()
        self.features = LogMel(128, 800, 0.0, 15_000.0, matrices)
        layers: list[nn.Module] = [*_convolution(1, 16, 3, 2), nn.Hardswish()]
        width = 16
        for kernel, expanded, out, squeeze, h_swish, stride in self.BLOCKS:
            layers.append(_InvertedResidual(kernel, width, expanded, out, squeeze, h_swish, stride))
            width = out
        self.trunk = nn.Sequential(*layers, *_convolution(width, 960, 1, 1), nn.Hardswish())
        self.head = nn.Sequential(nn.Linear(960, 1280), nn.Hardswish(), nn.Linear(1280, CLASSES))

    def forward(self, waveforms: Tensor) -> Tensor:
        """The probabilities `(batch, 527)` of `(batch, samples)` at 32 kHz."""
        emphasized = waveforms[:, 1:] - 0.97 * waveforms[:, :-1]
        maps = self.trunk((self.features(emphasized) + 4.5) / 5)
        probabilities: Tensor = self.head(maps.mean(dim=(2, 3))).sigmoid()
        return probabilities


class _InvertedResidual(nn.Module):
    def __init__(
        self, kernel: int, width: int, expanded: int, out: int, squeeze: bool, h_swish: bool, stride: int
    ) -> None:
        super().__init__()
        activation = nn.Hardswish if h_swish else nn.ReLU
        layers: list[nn.Module] = [*_convolution(width, expanded, 1, 1), activation()] if expanded != width else []
        layers += [*_convolution(expanded, expanded, kernel, stride, groups=expanded), activation()]
        if squeeze:
            layers.append(_SqueezeAndExcitation(expanded))
        self.layers = nn.Sequential(*layers, *_convolution(expanded, out, 1, 1))
        self.residual = stride == 1 and width == out

    def forward(self, maps: Tensor) -> Tensor:
        changed: Tensor = self.layers(maps)
        return maps + changed if self.residual else changed


class _SqueezeAndExcitation(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        squeezed = max(8, (width // 4 + 4) // 8 * 8)  # to the nearest multiple of 8
        self.gate = nn.Sequential(
            nn.Conv2d(width, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, width, 1), nn.Hardsigmoid()
        )

    def forward(self, maps: Tensor) -> Tensor:
        gated: Tensor = maps * self.gate(maps.mean(dim=(2, 3), keepdim=True))
        return gated


class CNN14(nn.Module):
    """The CNN14 of PANNs (Kong et al. 2020, arXiv:1912.10211, table I): 80.8 M parameters, 64 bands at 32 kHz."""

    def __init__(self) -> None:
        super().__init__()
        self.features = LogMel(64, 1024, 50.0, 14_000.0)
        layers: list[nn.Module] = [nn.BatchNorm2d(1)]
        widths = (1, 64, 128, 256, 512, 1024, 2048)
        for block, (width, out) in enumerate(pairwise(widths)):
            layers += [*_convolution(width, out, 3, 1), nn.ReLU(), *_convolution(out, out, 3, 1), nn.ReLU()]
            if block < len(widths) - 2:
                layers.append(nn.AvgPool2d(2))
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, CLASSES))

    def forward(self, waveforms: Tensor) -> Tensor:
        """The probabilities `(batch, 527)` of `(batch, samples)` at 32 kHz."""
        maps = self.trunk(self.features(waveforms)).mean(dim=2)
        probabilities: Tensor = self.head(maps.amax(dim=2) + maps.mean(dim=2)).sigmoid()
        return probabilities


def _convolution(width: int, out: int, kernel: int, stride: int, groups: int = 1) -> tuple[nn.Module, nn.Module]:
    """A convolution and its batch normalization."""
    convolution = nn.Conv2d(width, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return convolution, nn.BatchNorm2d(out)
