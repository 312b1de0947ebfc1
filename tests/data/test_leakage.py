import datasets
import numpy as np
import pytest

from hfaudio.data import DataError
from hfaudio.data.leakage import check_parts, connected_groups, shared_values, warn_of_near_duplicates
from hfaudio.data.near_duplicates import FINGERPRINT_SIZE, near_duplicate_groups


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["xyxz"], [{0, 2}, {1}, {3}]),
        ([[None, None, "x", "x"]], [{0}, {1}, {2, 3}]),
        (["xxyy", "1233"], [{0, 1}, {2, 3}]),
        (["xxyyz", "12234"], [{0, 1, 2, 3}, {4}]),  # 1 of x and 2 of y are copies
        (["xyz", "xyz"], [{0}, {1}, {2}]),
        (["xyz", "yzx"], [{0}, {1}, {2}]),  # a group named like another's hash is not that hash
        ([[None, None], [None, None]], [{0}, {1}]),
    ],
)
def test_what_shares_any_key_is_connected(keys, expected: list[set[int]]) -> None:
    groups = connected_groups(*keys).tolist()
    found = [{row for row, own in enumerate(groups) if own == group} for group in dict.fromkeys(groups)]
    assert found == expected


def test_a_chain_of_keys_is_one_group() -> None:
    sources = [str(row // 2) for row in range(1000)]
    contents = [str((row + 1) // 2) for row in range(1000)]
    assert len(set(connected_groups(sources, contents).tolist())) == 1


def test_nothing_is_shared_where_nothing_is_known() -> None:
    assert shared_values(["x", None], [None, "y", "x"]) == {"x"}


def parts(dataset: datasets.Dataset) -> tuple[datasets.Dataset, datasets.Dataset]:
    half = len(dataset) // 2
    return dataset.select(range(half)), dataset.select(range(half, len(dataset)))


def test_copies_on_both_sides_are_named(make_rows) -> None:
    with pytest.raises(DataError) as error:
        check_parts(*parts(make_rows("aabbab", contents="xyzywx")), groups_may_meet=True)
    assert str(error.value) == (
        "Expected to evaluate on recordings that are not trained on, found 2 on both sides: 1.wav and 3.wav, "
        "0.wav and 5.wav; remove the copies or put them into one fold."
    )


def test_many_copies_are_not_all_named(make_rows) -> None:
    with pytest.raises(DataError, match=r"4\.wav and 11\.wav, and 2 more; remove"):
        check_parts(*parts(make_rows("ab" * 7, contents="abcdefg" * 2)))
    with pytest.raises(DataError, match=r"4\.wav and 9\.wav; remove"):
        check_parts(*parts(make_rows("ab" * 5, contents="abcde" * 2)))


def test_a_group_on_both_sides_is_named(make_rows, caplog) -> None:
    halves = parts(make_rows("aabbab", groups=["s", "t", "u", "t", "v", "t"]))
    with pytest.raises(DataError) as error:
        check_parts(*halves)
    assert str(error.value) == (
        "Expected to evaluate on other sources than are trained on, found 1 sources on both sides of the split, with "
        "2 of 3 held-out recordings: 1.wav and 3.wav; change the folds, or give --group_column none if that column is "
        "no source."
    )
    assert caplog.text == ""
    check_parts(*halves, groups_may_meet=True)
    assert (
        "The score will flatter: found 1 sources on both sides of the split, with 2 of 3 held-out recordings: 1.wav "
        "and 3.wav. Without --split random no source is divided." in caplog.text
    )


def test_parts_that_share_nothing_pass(make_rows, caplog) -> None:
    check_parts(*parts(make_rows("abab", groups=["s", None, "t", None], contents=["1", None, "2", None])))
    assert caplog.text == ""


DISTINCT = np.eye(8, FINGERPRINT_SIZE, dtype=np.float16)


def warn(fingerprints: np.ndarray, held_out: np.ndarray) -> int:
    names = [f"{index}.wav" for index in range(len(fingerprints))]
    return warn_of_near_duplicates(names, fingerprints, near_duplicate_groups(fingerprints), held_out)


def test_recordings_that_sound_alike_are_named_and_counted(caplog) -> None:
    second_half = np.arange(4) >= 2
    assert warn(DISTINCT[[0, 1, 2, 1]], second_half) == 1
    assert (
        "The score may flatter: 1 of 2 held-out recordings sound like one that is trained on: 1.wav and 3.wav"
        in caplog.text
    )
    assert "and more" not in caplog.text
    assert warn(np.tile(DISTINCT, (2, 1)), np.arange(16) >= 8) == 8
    assert caplog.text.rstrip().endswith("4.wav and 12.wav, and more")


def test_of_many_alike_the_most_alike_two_are_named_once(caplog) -> None:
    angles = np.where(np.arange(1000) < 900, np.arange(1000) * 1e-3, 1.2)  # 0.3 between the sides ...
    angles[999] = angles[7]  # ... but for these two
    fingerprints = np.zeros((1000, FINGERPRINT_SIZE), np.float32)
    fingerprints[:, 0], fingerprints[:, 1] = np.cos(angles), np.sin(angles)
    assert warn(fingerprints, np.arange(1000) >= 900) == 100
    assert "100 of 100 held-out recordings" in caplog.text
    assert caplog.text.rstrip().endswith("7.wav and 999.wav, and more")


def test_recordings_that_sound_alike_on_one_side_are_no_leak(caplog) -> None:
    assert warn(DISTINCT[[0, 0, 1, 1]], np.arange(4) >= 2) == 0
    assert caplog.text == ""
