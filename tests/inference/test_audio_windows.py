import numpy as np
import pytest
import torch

from hfaudio.inference.audio_windows import cut_blocks
from hfaudio.model.windows_spectrogram_cnn import cut_windows


@pytest.mark.parametrize("length", [1, 7, 10, 11, 14, 15, 16, 20, 23, 57])
@pytest.mark.parametrize(("window", "hop"), [(10, 5), (10, 10), (10, 3), (7, 1)])
@pytest.mark.parametrize("block", [1, 4, 100])
def test_windows_are_those_of_the_model(length: int, window: int, hop: int, block: int) -> None:
    samples = np.arange(length, dtype=np.float32)
    blocks = np.split(samples, range(block, length, block))
    found = list(cut_blocks(blocks, window, hop))
    if length <= window:
        assert [(start, own.tolist()) for start, own in found] == [(0, samples.tolist())]
        return
    expected, _, _ = cut_windows(torch.from_numpy(samples)[None, None, None], None, window, hop)
    assert [own.tolist() for _, own in found] == expected[:, 0, 0].tolist()
    assert [start for start, _ in found] == [own[0] for _, own in found]


def test_of_nothing_there_are_no_windows() -> None:
    assert list(cut_blocks([], 10, 5)) == list(cut_blocks([np.empty(0, np.float32)] * 2, 10, 5)) == []


def test_windows_are_given_before_all_is_read() -> None:
    def blocks():
        yield np.zeros(10, np.float32)
        pytest.fail("read on")

    assert next(cut_blocks(blocks(), 10, 5))[0] == 0


def test_little_is_held() -> None:
    held = []

    def blocks():
        for _ in range(200):
            block = np.zeros(100, np.float32)
            yield block

    for _, window in cut_blocks(blocks(), 150, 50):
        held.append(len(window.base if window.base is not None else window))
    assert len(held) > 300
    assert max(held) <= 150 + 2 * 100
