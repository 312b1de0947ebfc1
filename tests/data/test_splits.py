import datasets
import pytest

from hfaudio.data import DataError, split_by_folds, split_by_groups, split_randomly


def rows(labels: str, folds: str | None = None, groups: str | None = None) -> datasets.Dataset:
    """One row a letter: its class, fold and group."""
    features = datasets.Features(
        {
            "file_name": datasets.Value("string"),
            "label": datasets.ClassLabel(names=sorted(set(labels))),
            "fold": datasets.Value("string"),
            "group": datasets.Value("string"),
        }
    )
    count = len(labels)
    columns = {"file_name": [str(i) for i in range(count)], "label": list(labels)}
    return datasets.Dataset.from_dict(
        {**columns, "fold": list(folds or [None] * count), "group": list(groups or [None] * count)}, features
    )


def names(split: datasets.DatasetDict, part: str) -> set[str]:
    return set(split[part]["file_name"])


def test_given_folds_are_held_out() -> None:
    split = split_by_folds(rows("ababab", folds="112233"), ["2", "3"])
    assert names(split, "test") == {"2", "3", "4", "5"}
    assert names(split, "train") == {"0", "1"}


@pytest.mark.parametrize(
    ("eval_folds", "sentence"),
    [
        (["4"], "Expected --eval_folds among 1, 2, found 4."),
        (["1", "2"], "Expected every class in the part to train on, found no a, b;"),
        (["2"], "Expected every class in the part to train on, found no b;"),
    ],
)
def test_impossible_folds_are_named(eval_folds, sentence) -> None:
    with pytest.raises(DataError) as error:
        split_by_folds(rows("aaab", folds="1122"), eval_folds)
    assert sentence in str(error.value)


def test_a_random_split_keeps_the_proportions_and_follows_its_seed() -> None:
    dataset = rows("a" * 40 + "b" * 10)
    split = split_randomly(dataset, 0.2, seed=0)
    assert [split["test"]["label"].count(label) for label in (0, 1)] == [8, 2]
    assert names(split, "train") | names(split, "test") == set(dataset["file_name"])
    assert not names(split, "train") & names(split, "test")
    assert names(split, "test") == names(split_randomly(dataset, 0.2, seed=0), "test")
    assert names(split, "test") != names(split_randomly(dataset, 0.2, seed=1), "test")


@pytest.mark.parametrize("labels", ["aabbccdd", "a" * 100 + "bbccdd"])
def test_a_random_split_holds_out_one_of_each_class_at_least(labels: str) -> None:
    split = split_randomly(rows(labels), 0.1, seed=0)
    assert set(split["test"]["label"]) == set(split["train"]["label"]) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (
            "aab",
            "Expected at least two recordings of every class, one to train and one to evaluate on, found one of b;",
        ),
        ("aabbc", "found one of c;"),
    ],
)
def test_too_few_recordings_are_named(labels, sentence) -> None:
    with pytest.raises(DataError) as error:
        split_randomly(rows(labels), 0.2, seed=0)
    assert sentence in str(error.value)


@pytest.mark.parametrize("seed", range(5))
def test_no_group_stands_on_both_sides(seed: int) -> None:
    dataset = rows("aaaabbbb" * 5, groups="".join(chr(65 + i // 2) for i in range(40)))
    split = split_by_groups(dataset, 0.2, seed)
    assert not set(split["train"]["group"]) & set(split["test"]["group"])
    assert 4 <= len(split["test"]) <= 12
    assert set(split["test"]["label"]) == {0, 1}


def test_the_share_of_groups_is_met() -> None:
    dataset = rows("ab" * 50, groups="".join(chr(65 + i // 2) for i in range(100)))
    assert len(split_by_groups(dataset, 0.4, seed=0)["test"]) == 40
    assert len(split_by_groups(dataset, 0.3, seed=0)["test"]) == 30


@pytest.mark.parametrize("dataset", [rows("abab", groups="xxyy"), rows("aaaabbbb", groups="stuvwxyz")])
def test_too_few_groups_are_named(dataset: datasets.Dataset) -> None:
    with pytest.raises(DataError, match="Expected at least 5 groups, and 5 recordings of some class, to hold out 1/5"):
        split_by_groups(dataset, 0.2, seed=0)
