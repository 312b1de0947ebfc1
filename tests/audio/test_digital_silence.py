import numpy as np
import pytest
import torch

from hfaudio.audio import SILENT_RANGE, SilenceWatch, is_silent
from hfaudio.model import waveforms_spectrogram_cnn as shipped

STEP = 2.0**-15  # of 16 bits
TONE = np.sin(np.arange(20_000) / 10)
DITHER = np.random.default_rng(0).integers(-1, 2, 20_000) * STEP

WAVEFORMS = {
    "zeros": (np.zeros(20_000), True),
    "one sample": (np.ones(1), True),
    "a constant offset": (np.full(20_000, -0.3), True),
    "denormals": (1e-40 * TONE, True),
    "one step of dither": (np.maximum(DITHER, 0.0), True),
    "two steps of dither": (DITHER, False),
    "dither on an offset": (DITHER + 0.3, False),
    "just below two steps": (0.999 * STEP * TONE, True),
    "just above two steps": (1.001 * STEP * TONE, False),
    "a click at the end": (np.append(np.zeros(20_000), 0.1), False),
    "a tone": (TONE, False),
}


@pytest.mark.parametrize("name", WAVEFORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_copies_of_the_rule_say_what_is_silent(name: str, dtype: type) -> None:
    samples, silent = WAVEFORMS[name]
    samples = samples.astype(dtype)
    assert is_silent(samples) is silent
    assert shipped.is_silent(samples) is silent
    assert shipped.is_silent(torch.from_numpy(samples)) is silent


def test_both_copies_have_the_same_bound() -> None:
    assert SILENT_RANGE == shipped.SILENT_RANGE == 2 * STEP


@pytest.mark.parametrize("name", WAVEFORMS)
@pytest.mark.parametrize("block", [1, 999, 30_000])
def test_blocks_together_are_as_silent_as_the_whole(name: str, block: int) -> None:
    samples, silent = WAVEFORMS[name]
    watch = SilenceWatch()
    assert not watch.silent  # without samples
    for first in range(0, len(samples), block):
        watch.add(samples[first : first + block])
        watch.add(samples[:0])
    assert watch.silent is silent
