import numpy as np
import pytest

from hfaudio.data import overlaps as module
from hfaudio.data.near_duplicates import FINGERPRINT_SIZE, near_duplicate_groups
from hfaudio.data.overlaps import Overlaps, find_overlaps


@pytest.fixture
def overlaps_of(make_rows, monkeypatch):
    """Finds what rows share, of which those sound alike that have the same number."""

    def find(sounds: list[int], *rows, **columns) -> Overlaps:
        angles = np.array(sounds) * np.pi / (2 * max(sounds) + 2) if max(sounds) > 1 else np.array(sounds) * np.pi / 2
        fingerprints = np.zeros((len(sounds), FINGERPRINT_SIZE), np.float32)
        fingerprints[:, 0], fingerprints[:, 1] = np.cos(angles), np.sin(angles)
        monkeypatch.setattr(module, "fingerprints_of", lambda _: fingerprints)
        monkeypatch.setattr(module, "alike_groups_of", lambda _: near_duplicate_groups(fingerprints, 0.999))
        return find_overlaps(make_rows(*rows, **columns))

    return find


def test_many_alike_are_one_group(overlaps_of, monkeypatch) -> None:
    monkeypatch.setattr(module, "COMPARED_AT_MOST", 3)
    found = overlaps_of([0] * 50 + [1], "a" * 51)
    (own,) = found.near_duplicates
    assert [place.file_name for place in own.recordings] == [f"{index}.wav" for index in range(50)]
    assert (own.similarity, own.labels_differ, own.folds_differ, own.groups_differ) == (1.0, False, False, False)


def test_copies_are_no_near_duplicates_but_count_once_in_a_group(overlaps_of) -> None:
    found = overlaps_of([0, 0, 0, 1, 1], "abbaa", contents="xxyzz")
    assert [len(own.recordings) for own in found.copies] == [2, 2]
    (own,) = found.near_duplicates
    assert [place.file_name for place in own.recordings] == ["0.wav", "2.wav"]
    assert own.labels_differ


def test_folds_share_a_group_that_stands_in_both(overlaps_of) -> None:
    found = overlaps_of([0, 0, 0, 1, 1], "abaab", folds=["1", "2", "1", "3", "3"])
    assert [(pair.one, pair.other, pair.near_duplicates) for pair in found.fold_pairs] == [("1", "2", 1)]
    assert found.folds_share
    assert not found.folds_leak


def test_copies_in_two_folds_are_not_alike_besides(overlaps_of) -> None:
    found = overlaps_of([0, 0, 0], "aab", contents="xxy", folds=["1", "2", "3"])
    pairs = {(pair.one, pair.other): (pair.copies, pair.near_duplicates) for pair in found.fold_pairs}
    assert pairs == {("1", "2"): (1, 0), ("1", "3"): (0, 1), ("2", "3"): (0, 1)}


@pytest.mark.parametrize("kind", ["groups", "copies", "alike"])
def test_of_many_folds_the_pairs_of_those_that_share_most_are_listed(overlaps_of, monkeypatch, kind: str) -> None:
    monkeypatch.setattr(module, "FOLDS_AT_MOST", 3)
    folds = [str(index) for index in range(10)]
    shared = {"groups": {"groups": ["s"] * 11}, "copies": {"contents": ["x"] * 11}, "alike": {}}[kind]
    sounds = [0] * 11 if kind == "alike" else [*range(11)]
    found = overlaps_of(sounds, "ab" * 5 + "a", folds=[*folds, "0"], **shared)
    assert len(found.folds) == 10
    assert len(found.fold_pairs) == 3
    assert found.folds_share
    assert found.folds_leak == (kind != "alike")
