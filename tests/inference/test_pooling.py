import numpy as np
import pytest
import torch

from hfaudio.inference.pooling import WindowPool, to_probabilities

WINDOWS = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.4, 0.35, 0.25]], np.float32)


@pytest.mark.parametrize("multi_label", [False, True])
def test_probabilities_are_those_of_torch(rng, multi_label: bool) -> None:
    logits = np.float32([[1.0, -2.0, 0.5], [1000.0, -1000.0, 0.0], *rng.normal(0, 5, (4, 3))])
    expected = torch.from_numpy(logits)
    expected = expected.sigmoid() if multi_label else expected.softmax(1)
    found = to_probabilities(logits, multi_label)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "multi_label", "expected"),
    [
        ("mean", False, [0.4, 0.38333, 0.21667]),
        ("max", False, [0.7, 0.6, 0.3]),
        ("vote", False, [2 / 3, 1 / 3, 0.0]),
        ("vote", True, [1 / 3, 1 / 3, 0.0]),
    ],
)
def test_windows_are_pooled(pooling, multi_label: bool, expected: list[float]) -> None:
    pool = WindowPool(pooling, multi_label)
    for window in WINDOWS:
        pool.add(window)
    np.testing.assert_allclose(pool.result(), expected, atol=1e-4)
    assert pool.result().dtype == np.float32
