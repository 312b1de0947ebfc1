import math

import numpy as np
import pytest
import scipy.special

from hfaudio.evaluation import (
    Calibration,
    calibration_parts,
    expected_calibration_error,
    fewest_recordings,
    fit_temperature,
    probability_array,
    unknown_threshold,
)
from hfaudio.evaluation.calibration import reliability


def drawn(rng: np.random.Generator, recordings: int, multi_label: bool) -> tuple[np.ndarray, np.ndarray]:
    """Logits of five classes, and labels that are as probable as the logits say."""
    logits = rng.normal(scale=2.0, size=(recordings, 5))
    chances = rng.random((recordings, 5))
    probabilities = probability_array(logits, multi_label)
    if multi_label:
        return logits, chances < probabilities
    return logits, (probabilities.cumsum(axis=1) > chances[:, :1]).argmax(axis=1)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_the_scores_were_given_is_found_again(rng, multi_label: bool, temperature: float) -> None:
    logits, labels = drawn(rng, 4000, multi_label)
    assert fit_temperature(temperature * logits, labels) == pytest.approx(temperature, rel=0.06)


def test_the_likelihood_is_the_highest_there_is(rng) -> None:
    logits, labels = drawn(rng, 2000, multi_label=False)
    found = fit_temperature(3.0 * logits, labels)

    def likelihood(temperature: float) -> float:
        return scipy.special.log_softmax(3.0 * logits / temperature, axis=1)[np.arange(2000), labels].mean()

    assert all(likelihood(found) > likelihood(other * found) for other in (0.9, 1.1))


def test_a_model_without_a_mistake_is_not_given_any_certainty() -> None:
    labels = np.arange(20) % 2
    logits = np.where(labels[:, None] == [0, 1], 1.0, 0.0)
    probabilities = probability_array(logits / fit_temperature(logits, labels), multi_label=False)
    # As though one recording of 21 had been of both classes by halves.
    np.testing.assert_allclose(probabilities.max(axis=1), 20.5 / 21, atol=1e-3)


def test_scores_that_say_nothing_are_made_uncertain(rng) -> None:
    logits = rng.normal(scale=5.0, size=(500, 4))
    labels = rng.integers(4, size=500)
    temperature = fit_temperature(logits, labels)
    assert probability_array(logits / temperature, multi_label=False).max(axis=1).mean() < 0.35


def test_the_calibration_error_by_hand() -> None:
    # In the upper bin 0.9 and 0.7, one right: |0.8 - 0.5|; in the lower one 0.5, which its upper bound is, and wrong.
    probabilities = [[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]]
    assert expected_calibration_error(probabilities, [0, 0, 1], bins=2) == pytest.approx((2 * 0.3 + 0.5) / 3)
    assert reliability(probabilities, [0, 0, 1], bins=2) == [
        (pytest.approx(0.5), 0.0, 1),
        (pytest.approx(0.8), 0.5, 2),
    ]
    assert len(reliability(np.eye(2), [0, 1])) == 1


def test_the_calibration_error_of_several_classes_counts_every_probability() -> None:
    probabilities = [[0.9, 0.1], [0.7, 0.3]]
    # The lower bin has 0.1 and 0.3 and no class, the upper one 0.9 and 0.7 and one.
    assert expected_calibration_error(probabilities, [[0], []], bins=2) == pytest.approx((2 * 0.2 + 2 * 0.3) / 4)


def test_parts_and_bins_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="bins must be at least 1, found 0"):
        expected_calibration_error([[0.5, 0.5]], [0], bins=0)
    with pytest.raises(ValueError, match="labels must be as many as the 1 rows"):
        fit_temperature([[0.5, 0.5]], [0, 1])
    with pytest.raises(ValueError, match="logits must be finite"):
        fit_temperature([[0.5, math.nan]], [0])


@pytest.mark.parametrize(("recordings", "rate", "rank"), [(19, 0.05, 1), (39, 0.05, 2), (99, 0.07, 7), (9, 0.3, 3)])
def test_the_threshold_is_the_kth_lowest_of_the_best(rng, recordings: int, rate: float, rank: int) -> None:
    best = rng.uniform(0.5, 1.0, recordings)
    threshold = unknown_threshold(np.stack([1 - best, best], axis=1), rate)
    assert threshold == np.sort(best)[rank - 1]
    assert (best < threshold).sum() == rank - 1


def test_new_recordings_are_rejected_as_often_as_was_stated(rng) -> None:
    rejected = []
    for _ in range(400):
        best = rng.beta(5, 1, size=(60, 1))
        threshold = unknown_threshold(best[:30], 0.1)
        rejected.append((best[30:] < threshold).mean())
    assert np.mean(rejected) == pytest.approx(3 / 31, abs=0.012)


def test_too_few_recordings_for_a_rate_are_counted() -> None:
    assert [fewest_recordings(rate) for rate in (0.9, 0.5, 0.05, 0.01)] == [1, 1, 19, 99]
    with pytest.raises(ValueError, match=r"rate of 0.05 needs at least 19 recordings .*, found 18"):
        unknown_threshold(np.full((18, 2), 0.5), 0.05)
    for rate in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="false_reject_rate must be above 0 and below 1"):
            fewest_recordings(rate)


def test_a_model_that_is_sure_of_everything_has_a_threshold_below_one() -> None:
    assert 0.999 < unknown_threshold(np.ones((20, 1)), 0.5) < 1.0


def test_each_part_is_judged_by_the_temperature_of_the_others(rng) -> None:
    logits, labels = drawn(rng, 300, multi_label=False)
    logits[:100] *= 4.0
    parts = np.repeat(["a", "b", "c"], 100)
    found = Calibration.cross_fitted(logits, labels, parts)
    assert found.temperature == fit_temperature(logits, labels)
    for part in "abc":
        own = parts == part
        expected = logits[own] / fit_temperature(logits[~own], labels[~own])
        np.testing.assert_allclose(found.after[own], expected)
    assert np.array_equal(found.before, logits)


@pytest.mark.parametrize("multi_label", [False, True])
def test_errors_fall_and_the_order_of_the_classes_stays(rng, multi_label: bool) -> None:
    logits, labels = drawn(rng, 1000, multi_label)
    found = Calibration.cross_fitted(5.0 * logits, labels, calibration_parts(labels, seed=0))
    assert found.multi_label == multi_label
    assert found.error_after < 0.5 * found.error_before
    assert np.array_equal(found.after.argsort(axis=1), logits.argsort(axis=1))
    assert found.error_before == expected_calibration_error(probability_array(5.0 * logits, multi_label), labels)


def test_a_temperature_of_other_recordings_is_judged_as_it_is(rng) -> None:
    logits, labels = drawn(rng, 50, multi_label=False)
    np.testing.assert_allclose(Calibration.of_temperature(2.0, logits, labels).after, logits / 2.0)


def test_parts_have_the_classes_in_proportion() -> None:
    labels = np.arange(100) % 4
    parts = calibration_parts(labels, seed=0)
    assert [np.bincount(labels[parts == part]).tolist() for part in range(5)] == [[5] * 4] * 5
    assert np.array_equal(parts, calibration_parts(labels, seed=0))
    assert not np.array_equal(parts, calibration_parts(labels, seed=1))
    assert sorted(calibration_parts(np.array([[1, 0], [0, 0]]), seed=0)) == [0, 1]


def test_the_picture_has_a_side_for_before_and_after(rng) -> None:
    logits, labels = drawn(rng, 200, multi_label=False)
    found = Calibration.cross_fitted(3.0 * logits, labels, calibration_parts(labels, seed=0))
    titles = [axes.get_title(loc="left") for axes in found.plot().axes]
    assert titles[:2] == [
        f"Before: calibration error {found.error_before:.1%}",
        f"After: calibration error {found.error_after:.1%}",
    ]
    bins = reliability(probability_array(found.after, False), labels)
    _, curve = found.plot().axes[1].lines
    np.testing.assert_allclose(curve.get_xydata(), [bin_[:2] for bin_ in bins])
    unchanged = Calibration.of_temperature(1.0, logits, labels)
    assert len(unchanged.plot().axes) == 2
