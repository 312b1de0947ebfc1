"""Finding and cutting out silence."""

import numpy as np

__all__ = ["TRIM_MODES", "frame_levels", "trim_silence"]

TRIM_MODES = ("none", "ends", "throughout")
FRAME_SECONDS = 0.02
BELOW_LOUDEST_DB = 40.0  # what stays audible behind the loudest moment of a short recording
KEPT_FRAMES = 3  # on each side of sound, so that onsets and decays are whole
FLOOR_DB = -120.0


def frame_levels(samples: np.ndarray, sampling_rate: int) -> np.ndarray:
    """The level of each frame of 20 ms, in dB below full scale (0 dB is an RMS of 1), no lower than -120.

    Args:
        samples: `(samples,)`, mono.
        sampling_rate: In Hz.

    Returns:
        `(frames,)`; the last frame may be shorter.
    """
    length = max(1, round(FRAME_SECONDS * sampling_rate))
    whole = len(samples) // length
    power = np.einsum("ij,ij->i", *[samples[: whole * length].reshape(whole, length)] * 2) / length
    rest = samples[whole * length :]
    if len(rest):
        power = np.append(power, np.dot(rest, rest) / len(rest))
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DB / 10.0)))


def trim_silence(samples: np.ndarray, sampling_rate: int, mode: str) -> np.ndarray:
    """Cuts out frames that lie 40 dB or more below the loudest one, but for 60 ms on each side of sound.

    Args:
        samples: `(samples,)`, mono.
        sampling_rate: In Hz.
        mode: `none`, `ends` (before the first sound and after the last) or `throughout` (between sounds too).

    Raises:
        ValueError: There is no such mode.
    """
    if mode not in TRIM_MODES:
        raise ValueError(f"trim_silence must be one of {', '.join(TRIM_MODES)}, found {mode!r}.")
    if mode == "none" or len(samples) == 0:
        return samples
    levels = frame_levels(samples, sampling_rate)
    sounding = levels > levels.max() - BELOW_LOUDEST_DB
    kept = np.convolve(sounding, np.ones(2 * KEPT_FRAMES + 1))[KEPT_FRAMES:-KEPT_FRAMES] > 0.5
    if mode == "ends":
        first, last = np.flatnonzero(kept)[[0, -1]]
        kept[first : last + 1] = True
    length = max(1, round(FRAME_SECONDS * sampling_rate))
    return samples[np.repeat(kept, length)[: len(samples)]]
