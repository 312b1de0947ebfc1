from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from hfaudio.data.stratification import deal_out


def single(labels: Sequence[int] | np.ndarray) -> list[list[int]]:
    return [[int(label)] for label in labels]


def of_one_class_each(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Classes and groups of recordings cut from 300 sources, as of UrbanSound8K: a few of most, many of some."""
    sizes = np.ceil(rng.lognormal(1.0, 1.0, 300)).astype(int)
    classes = rng.choice(10, 300, p=np.arange(4, 14) / 85)
    return np.repeat(classes, sizes), np.repeat(np.arange(300), sizes)


def of_many_classes_each(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Classes and groups of recordings by 60 speakers, each of whom says some words more than others."""
    groups = np.repeat(np.arange(60), np.ceil(rng.lognormal(3.0, 1.0, 60)).astype(int))
    leanings = rng.dirichlet(np.full(12, 0.5), 60)
    return np.array([rng.choice(12, p=leanings[group]) for group in groups]), groups


def class_shares(labels: np.ndarray, part: np.ndarray, num_parts: int) -> np.ndarray:
    """`(num_parts, num_classes)`, how much of each class each part has."""
    counts = np.stack([np.bincount(labels[part == one], minlength=labels.max() + 1) for one in range(num_parts)])
    return counts / counts.sum(axis=0)


@pytest.mark.parametrize(("make", "tolerance"), [(of_one_class_each, 0.02), (of_many_classes_each, 0.1)])
@pytest.mark.parametrize("seed", range(3))
def test_shares_are_met_with_uneven_groups(make, tolerance: float, seed: int) -> None:
    labels, groups = make(np.random.default_rng(seed))
    part = deal_out(single(labels), groups, (0.8, 0.2), seed)
    assert all(len(set(part[groups == group])) == 1 for group in np.unique(groups))
    assert np.mean(part) == pytest.approx(0.2, abs=0.02)
    assert class_shares(labels, part, 2)[1] == pytest.approx(0.2, abs=tolerance)


@pytest.mark.parametrize("make", [of_one_class_each, of_many_classes_each])
@pytest.mark.parametrize("seed", range(3))
def test_folds_are_as_balanced_as_those_of_scikit_learn(make, seed: int) -> None:
    labels, groups = make(np.random.default_rng(seed))
    theirs = np.empty(len(labels), int)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
        theirs[held_out] = fold
    ours = deal_out(single(labels), groups, [0.2] * 5, seed)
    imbalances = [class_shares(labels, part, 5).std(axis=0).mean() for part in (ours, theirs)]
    assert imbalances[0] <= 1.05 * imbalances[1]
    sizes = [np.bincount(part, minlength=5).std() for part in (ours, theirs)]
    assert sizes[0] <= sizes[1] + 0.01 * len(labels)


def test_shares_may_be_of_any_number_and_size() -> None:
    labels = np.arange(1000) % 4
    part = deal_out(single(labels), np.arange(1000), (0.7, 0.1, 0.2), seed=0)
    np.testing.assert_allclose(class_shares(labels, part, 3).T, np.tile([0.7, 0.1, 0.2], (4, 1)))


def test_several_classes_a_recording_are_all_in_proportion() -> None:
    rng = np.random.default_rng(0)
    table = rng.random((2000, 6)) < [0.5, 0.3, 0.1, 0.05, 0.02, 0.01]
    labels = [np.flatnonzero(row).tolist() for row in table]
    part = deal_out(labels, np.arange(2000), (0.8, 0.2), seed=0)
    assert table[part == 1].sum(axis=0) / table.sum(axis=0) == pytest.approx(0.2, abs=0.05)
    without = ~table.any(axis=1)
    assert np.mean(part[without]) == pytest.approx(0.2, abs=0.01)


def test_each_part_gets_one_of_a_class_that_has_enough_groups() -> None:
    part = deal_out(single([0] * 100 + [1, 1]), np.arange(102), (0.9, 0.1), seed=0)
    assert sorted(part[100:]) == [0, 1]
    part = deal_out(single([0] * 100 + [1, 1]), np.array([*range(100), 100, 100]), (0.9, 0.1), seed=0)
    assert part[100:].tolist() == [0, 0]
    part = deal_out(single([0] * 100 + [1] * 5), np.arange(105), [0.2] * 5, seed=0)
    assert sorted(part[100:]) == [0, 1, 2, 3, 4]


def test_classes_of_a_single_group_go_to_the_largest_part() -> None:
    assert deal_out(single(range(10)), np.arange(10), (0.4, 0.6), seed=0).tolist() == [1] * 10


def test_many_small_classes_do_not_all_end_in_the_first_parts() -> None:
    part = deal_out(single(np.repeat(np.arange(50), 2)), np.arange(100), [0.2] * 5, seed=0)
    assert np.bincount(part).tolist() == [20] * 5


def test_the_order_follows_the_seed_and_groups_may_have_any_numbers() -> None:
    labels, groups = of_one_class_each(np.random.default_rng(0))
    part = deal_out(single(labels), groups, (0.8, 0.2), seed=0)
    assert np.array_equal(part, deal_out(single(labels), 7 * groups + 3, (0.8, 0.2), seed=0))
    assert not np.array_equal(part, deal_out(single(labels), groups, (0.8, 0.2), seed=1))


def test_recordings_without_any_class_are_a_class_of_their_own() -> None:
    labels = [*single([0] * 10), *[[]] * 10]
    part = deal_out(labels, np.array([0] * 10 + [*range(1, 11)]), (0.5, 0.5), seed=0)
    assert np.bincount(part[10:]).tolist() == [5, 5]
    assert np.bincount(deal_out([[]] * 10, np.arange(10), (0.8, 0.2), seed=0)).tolist() == [8, 2]
