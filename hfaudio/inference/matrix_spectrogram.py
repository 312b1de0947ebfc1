"""A mel spectrogram in matrix products: ONNX Runtime's own Fourier transform takes longer than a CNN."""

import torch
from torch import Tensor, nn

__all__ = ["MatrixMelSpectrogram"]


class MatrixMelSpectrogram(nn.Module):
    """The power in each mel band, as `torch.stft` and a product with the filters give it.

    The Fourier transform is done in two steps of short transforms (Cooley and Tukey 1965, Mathematics of Computation
    19, p. 297), each a product with a constant matrix. Its bins come out of order, and the filters are put in the same
    order; the upper half of the bins mirrors the lower, so that half of the first step's rows are enough.

    Args:
        n_fft: Length of the Fourier transform, in samples.
        hop_length: Step between frames, in samples.
        window: `(win_length,)`, at most `n_fft`.
        filters: `(n_mels, n_fft // 2 + 1)`.
    """

    window: Tensor
    first_step: Tensor
    second_step: Tensor
    filters: Tensor

    def __init__(self, n_fft: int, hop_length: int, window: Tensor, filters: Tensor) -> None:
        super().__init__()
        self.hop_length = hop_length
        # torch.stft has the window in the middle of n_fft samples; the power is the same with it at their start.
        self.samples_less = n_fft % 2  # torch.stft puts n_fft // 2 samples before and after the waveform
        self.samples_before = n_fft // 2 - (n_fft - len(window)) // 2
        outer = _outer_length(n_fft)
        self.inner = n_fft // outer
        self.rows = -(-len(window) // self.inner)  # further ones see none of the window
        fading = torch.zeros(self.rows * self.inner, 1)
        fading[: len(window), 0] = window
        frequencies = torch.arange(outer // 2 + 1)
        samples = torch.arange(self.inner)
        bins = frequencies[:, None] + outer * samples  # (frequencies, inner)
        self.register_buffer("window", fading, persistent=False)
        turns = _cos_sin(frequencies[:, None] * torch.arange(self.rows), outer)
        self.register_buffer("first_step", torch.stack(turns, dim=1).flatten(0, 1), persistent=False)
        cos, sin = _cos_sin(bins[:, :, None] * samples, n_fft)
        turn = torch.cat([torch.cat([cos, -sin], dim=2), torch.cat([sin, cos], dim=2)], dim=1)
        self.register_buffer("second_step", turn, persistent=False)
        bins = torch.minimum(bins, n_fft - bins)
        times_computed = torch.bincount(bins.flatten(), minlength=n_fft // 2 + 1)
        own = (filters / times_computed)[:, bins]
        # Once for the squares of the real parts, once for those of the imaginary ones.
        self.register_buffer("filters", torch.cat([own, own], dim=2).flatten(1), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Maps `(batch, samples)` to `(batch, n_mels, frames)`."""
        batch, samples = waveforms.shape
        hop, length = self.hop_length, self.rows * self.inner
        number = 1 + (samples - self.samples_less) // hop
        steps = -(-length // hop)
        padding = (self.samples_before, (number + steps - 1) * hop - self.samples_before - samples)
        blocks = nn.functional.pad(waveforms, padding).reshape(batch, number + steps - 1, hop).transpose(1, 2)
        pieces = [blocks[:, : min(hop, length - step * hop), step : step + number] for step in range(steps)]
        frames = torch.cat(pieces, dim=1) * self.window  # (batch, samples of a frame, frames)
        coarse = self.first_step @ frames.reshape(batch, self.rows, self.inner * number)
        spectrum = self.second_step @ coarse.reshape(batch, len(self.second_step), 2 * self.inner, number)
        return self.filters @ spectrum.square().reshape(batch, -1, number)


def _outer_length(n_fft: int) -> int:
    """The length of the first step's transforms, with which both steps together have the fewest products."""
    lengths = [length for length in range(1, n_fft + 1) if n_fft % length == 0]
    return min(lengths, key=lambda length: (length + 2 * n_fft // length, -length))


def _cos_sin(steps: Tensor, circle: int) -> tuple[Tensor, Tensor]:
    """The real and the imaginary part of exp(-2 pi i steps / circle), in single precision."""
    angles = -2.0 * torch.pi / circle * (steps % circle).double()
    return angles.cos().float(), angles.sin().float()
