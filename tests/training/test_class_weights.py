import os

import pytest
import torch

from hfaudio.training.class_weights import balanced_class_weights, read_class_weights


def test_balanced_weights_are_inverse_to_the_counts() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    weights = balanced_class_weights(labels, 2)
    torch.testing.assert_close(weights, torch.tensor([4 / 6, 2.0]))
    assert float(weights[labels].mean()) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["dog: 2\ncat: 0.5\n", '{"cat": 0.5, "dog": 2}'])
def test_weights_are_read_in_the_order_of_the_classes(tmp_path, text: str) -> None:
    path = tmp_path / "weights.yaml"
    path.write_text(text)
    assert read_class_weights(str(path), ["cat", "dog"]).tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cat: 1\n", "a weight for every class in {} and for no other, found none for dog."),
        ("cat: 1\ndog: 1\ncow: 2\n", "in {} and for no other, found one for cow, which no recording has."),
        ("cat: 1\ndog: 0\n", "a number above 0 as the weight of dog in {}, found 0."),
        ("cat: 1\ndog: .inf\n", "a number above 0 as the weight of dog in {}, found inf."),
        ("cat: 1\ndog: yes\n", "a number above 0 as the weight of dog in {}, found True."),
        ("- 1\n- 2\n", "one 'class: weight' a line in {}, found list."),
        ("a: [", "a YAML or JSON file of class weights at {}, found none (while parsing"),
    ],
)
def test_files_that_say_something_else_are_named(tmp_path, text: str, found: str) -> None:
    path = tmp_path / "weights.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="^Expected") as error:
        read_class_weights(str(path), ["cat", "dog"])
    assert found.format(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(ValueError, match="Expected a YAML or JSON file of class weights at .*gone.yaml, found none"):
        read_class_weights(str(tmp_path / "gone.yaml"), ["cat", "dog"])
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ValueError, match=r"found none \(is a named pipe \(FIFO\), no file\)"):
        read_class_weights(str(tmp_path / "pipe.yaml"), ["cat", "dog"])
