from collections import Counter

import datasets
import numpy as np
import pytest

from hfaudio.data import (
    DataError,
    given_test_parts,
    make_folds,
    split_by_folds,
    split_by_groups,
    split_randomly,
    take_validation_part,
)


def names(split: datasets.DatasetDict, part: str) -> set[str]:
    return {name.removesuffix(".wav") for name in split[part]["file_name"]}


def held_out_of_each_class(split: datasets.DatasetDict) -> list[int]:
    counts = Counter(split["test"]["label"])
    return [counts[label] for label in range(len(split["test"].features["label"].names))]


def test_given_folds_are_held_out(make_rows) -> None:
    split = split_by_folds(make_rows("ababab", folds="112233"), ["2", "3"])
    assert names(split, "test") == {"2", "3", "4", "5"}
    assert names(split, "train") == {"0", "1"}


def test_recordings_without_a_fold_are_trained_on(make_rows) -> None:
    split = split_by_folds(make_rows("abab", folds=[None, None, "1", "1"]), ["1"])
    assert names(split, "train") == {"0", "1"}


@pytest.mark.parametrize(
    ("eval_folds", "sentence"),
    [
        (["4"], "Expected --eval_folds among 1, 2, found 4."),
        (["1", "x", "y"], "Expected --eval_folds among 1, 2, found x, y."),
        (["1", "2"], "Expected every class in the part to train on, found no a, b; hold out less or add recordings."),
        (["2"], "Expected every class in the part to train on, found no b; hold out less or add recordings."),
    ],
)
def test_impossible_folds_are_named(make_rows, eval_folds, sentence) -> None:
    with pytest.raises(DataError) as error:
        split_by_folds(make_rows("aaab", folds="1122"), eval_folds)
    assert str(error.value) == sentence


def test_where_no_folds_are_known_the_flags_are_named(make_rows) -> None:
    with pytest.raises(DataError) as error:
        split_by_folds(make_rows("abab"), ["1"])
    assert str(error.value) == (
        "Expected recordings with a given fold, found none; name its column with --fold_column, or make folds with "
        "--num_folds."
    )


def test_folds_that_divide_copies_or_groups_are_refused(make_rows) -> None:
    with pytest.raises(DataError, match=r"found 1 on both sides: 1\.wav and 2\.wav; remove the copies"):
        split_by_folds(make_rows("abab", folds="1122", contents="wxxz"), ["2"])
    with pytest.raises(DataError, match=r"found 1 sources on both sides .* 1\.wav and 2\.wav; change the folds"):
        split_by_folds(make_rows("abab", folds="1122", groups="sttu"), ["2"])


@pytest.mark.parametrize(
    ("folds", "parts"),
    [
        (["train", "test"], ["test"]),
        (["train", "validation", "test"], ["test"]),
        (["Training", "dev", "TEST", "eval"], ["TEST", "eval"]),
        (["train", "validation"], ["validation"]),
        (["train", "dev", "val"], ["dev", "val"]),
        ([None, "test"], ["test"]),
        (["train"], []),
        (["test"], []),
        (["test", "evaluation"], []),
        (["validation"], []),
        (["train", "fold-2"], []),
        (["1", "2"], []),
        ([None], []),
    ],
)
def test_parts_that_are_named_as_such_are_found(make_rows, folds, parts) -> None:
    assert given_test_parts(make_rows("ab" * len(folds), folds=folds * 2)) == parts


def test_a_random_split_keeps_the_proportions_and_follows_its_seed(make_rows) -> None:
    dataset = make_rows("a" * 40 + "b" * 10)
    split = split_randomly(dataset, 0.2, seed=0)
    assert held_out_of_each_class(split) == [8, 2]
    assert len(names(split, "train") | names(split, "test")) == 50
    assert not names(split, "train") & names(split, "test")
    assert names(split, "test") == names(split_randomly(dataset, 0.2, seed=0), "test")
    assert names(split, "test") != names(split_randomly(dataset, 0.2, seed=1), "test")


@pytest.mark.parametrize("labels", ["aabbccdd", "a" * 100 + "bbccdd"])
def test_a_random_split_holds_out_one_of_each_class_at_least(make_rows, labels: str) -> None:
    split = split_randomly(make_rows(labels), 0.1, seed=0)
    assert set(split["test"]["label"]) == set(split["train"]["label"]) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (
            "aab",
            "Expected at least two recordings of every class, one to train and one to evaluate on, found one of b; "
            "add recordings or remove the class.",
        ),
        ("aabbcd", "found one of c, d;"),
    ],
)
def test_too_few_recordings_are_named(make_rows, labels, sentence) -> None:
    with pytest.raises(DataError) as error:
        split_randomly(make_rows(labels), 0.2, seed=0)
    assert sentence in str(error.value)


@pytest.mark.parametrize("seed", range(5))
def test_copies_stay_together_in_a_random_split(make_rows, seed: int) -> None:
    contents = [str(index // 3) for index in range(60)]
    split = split_randomly(make_rows("ab" * 30, contents=contents), 0.2, seed)
    assert not set(split["train"]["content_hash"]) & set(split["test"]["content_hash"])
    assert len(split["test"]) == pytest.approx(12, abs=2)


def test_a_random_split_warns_of_known_sources_on_both_sides(make_rows, caplog) -> None:
    split_randomly(make_rows("ab" * 10), 0.2, seed=0)
    assert caplog.text == ""
    split = split_randomly(make_rows("ab" * 10, groups=[None, None, *"stuvwxyz", *"s" * 10]), 0.3, seed=0)
    shared = set(split["train"]["group"]) & set(split["test"]["group"])
    held_out = split["test"]["group"][:].count("s")
    assert shared == {"s"}
    assert 1 <= held_out < 6
    assert f"found 1 sources on both sides of the split, with {held_out} of 6 held-out recordings" in caplog.text


@pytest.mark.parametrize("seed", range(5))
def test_no_group_stands_on_both_sides(make_rows, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [f"s{index}" for index in rng.integers(0, 40, 300)]
    labels = rng.choice(list("aaaabbc"), 300).tolist()
    split = split_by_groups(make_rows(labels, groups=groups), 0.2, seed)
    assert not set(split["train"]["group"]) & set(split["test"]["group"])
    assert len(split["test"]) == pytest.approx(60, abs=9)
    shares = np.array(held_out_of_each_class(split)) / [labels.count(label) for label in "abc"]
    assert shares == pytest.approx(0.2, abs=0.08)


def test_the_share_of_groups_is_met(make_rows) -> None:
    dataset = make_rows("ab" * 50, groups="".join(chr(65 + i // 2) for i in range(100)))
    assert len(split_by_groups(dataset, 0.4, seed=0)["test"]) == 40
    assert len(split_by_groups(dataset, 0.3, seed=0)["test"]) == 30


@pytest.mark.parametrize("seed", range(5))
def test_groups_that_a_copy_joins_stay_together(make_rows, seed: int) -> None:
    groups = [f"s{index // 4}" for index in range(48)]
    contents = [*map(str, range(48))]
    for last in range(3, 47, 8):  # the last of every other group and the first of the next are copies
        contents[last] = contents[last + 1] = f"copy-{last}"
    split = split_by_groups(make_rows("ab" * 24, groups=groups, contents=contents), 0.3, seed)
    joined = {frozenset((f"s{index}", f"s{index + 1}")) for index in range(0, 12, 2)}
    held_out = set(split["test"]["group"])
    assert all(pair <= held_out or not pair & held_out for pair in joined)
    assert len(split["test"]) == 16


@pytest.mark.parametrize("seed", range(5))
def test_a_class_of_a_single_source_is_trained_on_with_a_warning(make_rows, caplog, seed: int) -> None:
    dataset = make_rows("a" * 20 + "bbb", groups=[*map(str, range(20)), "s", "s", "s"])
    split = split_by_groups(dataset, 0.5, seed)
    assert held_out_of_each_class(split) == [10, 0]
    assert "No recording of b is held out: they will not be evaluated." in caplog.text


@pytest.mark.parametrize(
    ("labels", "groups", "multi_label"),
    [
        ("adgfff", "uuxrvs", False),
        (["c", "df", "ac", "cd", "af", "c", "af", "df", "af", "aef"], "wrrvwsswts", True),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_source_that_alone_has_a_class_is_trained_on_for_whatever_else_it_has(
    make_rows, labels, groups: str, multi_label: bool, seed: int
) -> None:
    split = split_by_groups(make_rows(labels, groups=groups, multi_label=multi_label), 0.5, seed)
    trained = split["train"]["label"][:]
    names = split["train"].features["label"].feature.names if multi_label else sorted(set(labels))
    assert {label for own in trained for label in (own if multi_label else [own])} == set(range(len(names)))
    assert len(split["test"]) >= 2


def test_a_single_source_cannot_be_divided(make_rows) -> None:
    with pytest.raises(DataError) as error:
        split_by_groups(make_rows("aabb", groups="ssss"), 0.5, seed=0)
    assert str(error.value) == (
        "Expected recordings to evaluate on, found none: they may all be of one source; hold out more or add "
        "recordings."
    )


def test_made_folds_have_every_class_and_whole_groups(make_rows) -> None:
    rng = np.random.default_rng(0)
    groups = [f"s{index}" for index in rng.integers(0, 80, 500)]
    dataset = make_rows(rng.choice(list("aaaabbc"), 500).tolist(), groups=groups)
    folds = make_folds(dataset, 5, seed=0)
    assert set(folds) == {"1", "2", "3", "4", "5"}
    assert max(Counter(folds).values()) - min(Counter(folds).values()) < 10
    assert len(set(zip(groups, folds, strict=True))) == len(set(groups))
    assert len(set(zip(dataset["label"], folds, strict=True))) == 15
    assert folds == make_folds(dataset, 5, seed=0)
    assert folds != make_folds(dataset, 5, seed=1)


def test_made_folds_win_over_given_ones(make_rows) -> None:
    dataset = make_rows("ab" * 10, folds="1" * 20)
    folds = make_folds(dataset, 4, seed=0)
    split = split_by_folds(dataset, ["3"], folds)
    assert names(split, "test") == {str(index) for index, fold in enumerate(folds) if fold == "3"}
    assert held_out_of_each_class(split) in ([2, 3], [3, 2])


def test_folds_are_made_of_a_selection_without_writing_it_anew(make_rows, monkeypatch) -> None:
    selection = make_rows("ab" * 10).select(range(8))
    monkeypatch.setattr(datasets.Dataset, "flatten_indices", None)
    split = split_by_folds(selection, ["1"], make_folds(selection, 4, seed=0))
    assert held_out_of_each_class(split) == [1, 1]


@pytest.mark.parametrize("num_folds", [1, 5])
def test_a_number_of_folds_that_the_sources_do_not_allow_is_named(make_rows, num_folds: int) -> None:
    dataset = make_rows("aabbaabb", groups="rrssttuu")
    assert set(make_folds(dataset, 4, seed=0)) == {"1", "2", "3", "4"}
    with pytest.raises(DataError) as error:
        make_folds(dataset, num_folds, seed=0)
    assert str(error.value) == (
        f"Expected from 2 folds to as many as there are sources, 4, found {num_folds}; change --num_folds."
    )


def test_recordings_that_sound_alike_on_both_sides_are_warned_of(make_rows, caplog) -> None:
    dataset = make_rows("abab", folds="1122")
    split_by_folds(dataset, ["2"])  # recordings that are yet to be streamed have no waveform
    assert caplog.text == ""
    noises = [np.random.default_rng(seed).standard_normal(16_000).astype(np.float32) for seed in (0, 1, 2, 0)]
    noises[3] *= 0.5
    for name, column in {"waveform": noises, "samples": [16_000] * 4, "sampling_rate": [16_000] * 4}.items():
        dataset = dataset.add_column(name, column)
    split_by_folds(dataset, ["2"])
    assert "1 of 2 held-out recordings sound like one that is trained on: 0.wav and 3.wav" in caplog.text


@pytest.fixture
def several_classes(make_rows) -> datasets.Dataset:
    """Of 300 recordings `a` is in most, `d` in eight, and 30 have no class at all."""
    rng = np.random.default_rng(0)
    table = rng.random((300, 3)) < [0.7, 0.4, 0.2]
    labels = ["".join(np.array(list("abc"))[row]) for row in table]
    labels[:30] = [""] * 30
    labels[30:38] = [own + "d" for own in labels[30:38]]
    return make_rows(labels, groups=[f"s{index // 2}" for index in range(300)], multi_label=True)


@pytest.mark.parametrize("split_by", [split_randomly, split_by_groups])
@pytest.mark.parametrize("seed", range(3))
def test_several_classes_a_recording_are_in_proportion(several_classes, split_by, seed: int) -> None:
    split = split_by(several_classes, 0.25, seed)
    totals, held_out = (
        Counter(label for own in rows["label"] for label in own or [-1]) for rows in (several_classes, split["test"])
    )
    assert [held_out[label] / totals[label] for label in (0, 1, 2, -1)] == pytest.approx([0.25] * 4, abs=0.05)
    assert 1 <= held_out[3] <= 4


def test_a_class_of_several_that_cannot_be_trained_on_is_named(make_rows) -> None:
    with pytest.raises(DataError, match="found no c; hold out less"):
        split_by_folds(make_rows(["ab", "a", "", "bc"], folds="1122", multi_label=True), ["2"])
    with pytest.raises(DataError, match="found one of c; add recordings"):
        split_randomly(make_rows(["ab", "a", "", "bc"], multi_label=True), 0.25, seed=0)


def test_a_validation_part_is_taken_from_what_is_trained_on(make_rows) -> None:
    # Sources of two recordings each, of which two are copies of others.
    groups = [f"s{index // 2}" for index in range(40)]
    contents = [*map(str, range(38)), "0", "10"]
    dataset = make_rows("ab" * 20, folds="12345" * 8, groups=groups, contents=contents)
    split = split_by_groups(dataset, 0.2, seed=0)
    parts = take_validation_part(split, 0.25, seed=0)
    assert list(parts) == ["train", "validation", "test"]
    assert parts["test"]["file_name"] == split["test"]["file_name"]
    assert sorted([*parts["train"]["file_name"], *parts["validation"]["file_name"]]) == sorted(
        split["train"]["file_name"]
    )
    assert 6 <= len(parts["validation"]) <= 10
    for key in ("group", "content_hash"):
        assert not set(parts["train"][key]) & set(parts["validation"][key])
    again, other = (take_validation_part(split, 0.25, seed)["validation"]["file_name"][:] for seed in (0, 1))
    assert again == parts["validation"]["file_name"][:] != other


def test_a_validation_part_of_a_single_source_is_refused(make_rows) -> None:
    split = split_by_folds(make_rows("abab", folds="1122", groups="sstt"), ["2"])
    with pytest.raises(DataError, match="^Expected recordings for --validation_size 0.5, found too few sources"):
        take_validation_part(split, 0.5, seed=0)
