import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.special

from hfaudio.evaluation import (
    Calibration,
    calibration,
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
    logits *= 3.0
    logits[:100] *= 1.2
    parts = np.repeat(["a", "b", "c"], 100)
    found = Calibration.cross_fitted(logits, labels, parts)
    assert found.refusal is None
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


def test_parts_keep_groups_whole() -> None:
    labels, groups = np.arange(60) % 3, np.arange(60) // 4
    parts = calibration_parts(labels, 0, groups)
    assert len(set(parts)) == 5
    assert all(len(set(parts[groups == group])) == 1 for group in groups)
    assert len(set(calibration_parts(labels, 0, groups // 5))) == 3  # as many parts as sources
    assert set(calibration_parts(labels, 0, np.zeros(60, int))) == {0}


def settle(logits, labels) -> Calibration:
    found = Calibration.cross_fitted(logits, labels, calibration_parts(np.asarray(labels), seed=0))
    assert (found.refusal is None) == (found.temperature != 1.0)
    if found.refusal is not None:
        assert np.array_equal(found.before, found.after)
    assert found.error_after <= found.error_before
    return found


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("temperature", [0.3, 0.6, 2.0, 6.0])
def test_a_temperature_that_helps_is_kept(rng, multi_label: bool, temperature: float) -> None:
    logits, labels = drawn(rng, 300, multi_label)
    assert settle(temperature * logits, labels).temperature == pytest.approx(temperature, rel=0.35)


@pytest.mark.parametrize("multi_label", [False, True])
def test_scores_that_are_calibrated_stay_so(multi_label: bool) -> None:
    kept = []
    for seed in range(40):
        logits, labels = drawn(np.random.default_rng(seed), 100, multi_label)
        kept.append(settle(logits, labels).refusal is None)
    assert sum(kept) <= 4


def test_few_recordings_never_settle_a_temperature(rng) -> None:
    logits, labels = drawn(rng, calibration.FEWEST_TO_CALIBRATE, multi_label=False)
    assert settle(4 * logits, labels).refusal is None
    few = calibration.FEWEST_TO_CALIBRATE - 1
    for number in (1, 5, few):
        refusal = settle(4 * logits[:number], labels[:number]).refusal
        assert refusal == f"it needs at least 50 recordings that were not trained on, found {number}"


def test_what_says_nothing_is_given_no_temperature(rng) -> None:
    labels = np.arange(200) % 4
    right, wrong = 20.0 * np.eye(4)[labels], 20.0 * np.eye(4)[(labels + 1) % 4]
    scores = {"no mistake": right, "no hit": wrong, "constant": np.zeros((200, 4))}
    refusals = {name: settle(logits, labels).refusal for name, logits in scores.items()}
    assert "does not make the labels more likely beyond chance" in refusals["no mistake"]
    assert "lies outside of 0.1 to 10" in refusals["no hit"]
    assert "lies outside of 0.1 to 10" in refusals["constant"]
    assert "outside of 0.1 to 10" in settle(rng.normal(scale=5.0, size=(400, 4)), rng.integers(4, size=400)).refusal
    none = np.zeros((200, 4), bool)
    for same in (np.zeros(200, int), none, ~none):
        assert "needs recordings of several classes" in settle(right, same).refusal


def test_a_right_model_that_is_unsure_is_made_surer() -> None:
    labels = np.arange(200) % 4
    found = settle(2.0 * np.eye(4)[labels], labels)
    assert 0.1 < found.temperature < 0.5
    assert found.error_after < 0.05 < found.error_before


def test_one_source_cannot_judge_itself(rng) -> None:
    logits, labels = drawn(rng, 100, multi_label=False)
    found = Calibration.cross_fitted(4 * logits, labels, ["a"] * 100)
    assert (found.temperature, found.error_after) == (1.0, found.error_before)
    assert "found one fold or source" in found.refusal


def test_a_temperature_that_fits_one_source_alone_is_not_kept(rng) -> None:
    logits, labels = drawn(rng, 200, multi_label=False)
    logits[:100] *= 8.0
    found = Calibration.cross_fitted(logits, labels, np.repeat([0, 1], 100))
    assert "beyond chance" in found.refusal or "calibration error" in found.refusal
    assert fit_temperature(logits, labels) > 1.5


def test_the_reference_models_temperature_would_be_kept() -> None:
    """Right and wrong with the certainty that its 400 out-of-fold predictions have, before the temperature."""
    path = Path(__file__).parents[2] / "model_card" / "esc10"
    stored = json.loads((path / "config.json").read_text())["logit_temperature"]
    with (path / "eval" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["label"] for row in rows})
    labels = np.array([names.index(row["label"]) for row in rows])
    logits = np.zeros((len(rows), len(names)))
    for own, row in zip(logits, rows, strict=True):
        score, predicted = float(row["score"]), names.index(row["predicted"])
        own[:] = np.log((1.0 - score + 1e-6) / (len(names) - 1))
        own[predicted] = np.log(score)
        if row["predicted"] != row["label"]:  # of the rest the true class has most
            own[names.index(row["label"])] = np.log(0.6 * (1.0 - score) + 1e-6)
    found = settle(stored * logits, labels)
    assert found.temperature == pytest.approx(stored, rel=0.2)
    assert found.error_before > 0.08
    assert found.error_after < 0.05


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
