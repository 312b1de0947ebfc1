"""Cutting recordings of any length into windows, while they are read."""

from collections.abc import Iterable, Iterator

import numpy as np

__all__ = ["cut_blocks"]


def cut_blocks(blocks: Iterable[np.ndarray], window: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Cuts a recording that comes in blocks into windows.

    A window starts every `hop` samples until the end is heard; the last one moves back to end there, so that all
    windows of a recording with several are full. A recording no longer than a window has one, as long as itself. This
    is how the model cuts frames (`hfaudio.model.windows_spectrogram_cnn.cut_windows`).

    Args:
        blocks: `(samples,)` each; only about a window and a block of them is held.
        window: Length of a window, in samples.
        hop: Step from window to window, in samples, at most `window`.

    Yields:
        Where a window starts, in samples, and the window. Nothing at all for a recording without samples.
    """
    held = np.empty(0, np.float32)
    held_from = next_start = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while next_start + window <= held_from + len(held):
            yield next_start, held[next_start - held_from :][:window]
            next_start += hop
        # The last window may have to move back, so one is always kept.
        gone = max(0, min(next_start, held_from + len(held) - window) - held_from)
        held, held_from = held[gone:], held_from + gone
    end = held_from + len(held)
    if next_start == 0:
        if end:
            yield 0, held
    elif next_start - hop + window < end:
        yield end - window, held[len(held) - window :]
