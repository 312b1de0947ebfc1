"""Finding and cutting out silence."""

import numpy as np

__all__ = ["TRIM_MODES", "frame_powers", "trim_silence"]

TRIM_MODES = ("none", "ends", "throughout")
FRAME_SECONDS = 0.02
BELOW_LOUDEST = 1e-4  # 40 dB in power; what stays audible behind the loudest moment of a short recording
KEPT_FRAMES = 3  # on each side of sound, so that onsets and decays are whole
FLOOR = 1e-12


def frame_powers(samples: np.ndarray, sampling_rate: int) -> np.ndarray:
    """The mean square of each frame of 20 ms, at least 1e-12 (1 is full scale, 1e-12 is -120 dB).

    Args:
        samples: `(samples,)`, mono.
        sampling_rate: In Hz.

    Returns:
        `(frames,)`; the last frame may be shorter.
    """
    length = _frame_length(sampling_rate)
    whole = len(samples) // length
    frames = samples[: whole * length].reshape(whole, length)
    powers = np.vecdot(frames, frames) / length
    rest = samples[whole * length :]
    if len(rest):
        powers = np.append(powers, np.dot(rest, rest) / len(rest))
    return np.maximum(powers, FLOOR)


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
    powers = frame_powers(samples, sampling_rate)
    sounding = powers > powers.max() * BELOW_LOUDEST
    kept = np.convolve(sounding, np.ones(2 * KEPT_FRAMES + 1))[KEPT_FRAMES:-KEPT_FRAMES] > 0.5
    if mode == "ends":
        first, last = np.flatnonzero(kept)[[0, -1]]
        kept[first : last + 1] = True
    return samples[np.repeat(kept, _frame_length(sampling_rate))[: len(samples)]]


def _frame_length(sampling_rate: int) -> int:
    return max(1, round(FRAME_SECONDS * sampling_rate))
