import pytest

from hfaudio.data.parts import folds_by_folder, part_kind


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("train", ["train", "Training", "TRAIN", "train_set", "train-data", "trainset", "train split"]),
        ("validation", ["val", "valid", "validation", "dev", "val_set"]),
        ("test", ["test", "testing", "eval", "evaluation", "Test Set"]),
        ("fold", ["fold1", "fold_1", "Fold-10", "fold 2", "split1", "split_03"]),
        (None, ["trains", "cat_train", "train_1", "fold", "tester", "folder1", "1", "", "testing ground", "data"]),
    ],
)
def test_what_a_name_means(kind: str | None, names: list[str]) -> None:
    assert {name: part_kind(name) for name in names} == dict.fromkeys(names, kind)


def test_the_first_folder_of_a_path_counts() -> None:
    assert folds_by_folder(["a/train/test/x.wav", "a/test/x.wav"], [("c",)] * 2) == ["train", "test"]


def test_the_name_of_a_file_says_nothing() -> None:
    assert folds_by_folder(["train", "a/test"], [("c",)] * 2) == [None, None]


def test_nothing_is_divided_without_files() -> None:
    assert folds_by_folder([], []) == []
