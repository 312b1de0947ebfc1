import json

import pytest
from transformers import AutoConfig

from hfaudio.model import MODEL_SIZES, SpectrogramCNNConfig, SpectrogramCNNForAudioClassification


@pytest.mark.parametrize(("size", "bound"), [("tiny", 200_000), ("small", 1_500_000), ("base", 5_000_000)])
def test_named_sizes_stay_under_their_parameter_bounds(size: str, bound: int) -> None:
    model = SpectrogramCNNForAudioClassification(SpectrogramCNNConfig.from_size(size, num_labels=50, num_channels=3))
    assert bound / 4 < model.num_parameters() < bound


def test_arguments_win_over_the_size() -> None:
    config = SpectrogramCNNConfig.from_size("tiny", hidden_sizes=[4, 8], depths=[1, 2])
    assert config.hidden_sizes == [4, 8]
    assert MODEL_SIZES["tiny"]["hidden_sizes"] == [16, 24, 48, 64]


def test_round_trips_and_keeps_unknown_keys(tmp_path) -> None:
    config = SpectrogramCNNConfig(num_channels=3, hidden_sizes=[8, 16], depths=[2, 1], dropout=0.1, num_labels=7)
    config.backbone, config.eval_window_frames, config.eval_window_hop_frames = "timm/resnet18.a1_in1k", 90, 45
    config.logit_temperature, config.unknown_threshold = 1.7, 0.4
    config.key_of_the_future = {"a": [1, 2]}
    config.save_pretrained(tmp_path)
    for loaded in (SpectrogramCNNConfig.from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path)):
        assert isinstance(loaded, SpectrogramCNNConfig)
        assert loaded.to_diff_dict() == config.to_diff_dict()
        assert loaded.key_of_the_future == {"a": [1, 2]}
        assert loaded.num_labels == 7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"num_channels": 0}, "num_channels must be an integer from 1 to 64, found 0."),
        ({"num_channels": 1.5}, "num_channels must be an integer from 1 to 64, found 1.5."),
        ({"num_channels": True}, "num_channels must be an integer from 1 to 64, found True."),
        ({"hidden_sizes": [], "depths": []}, "hidden_sizes must name 1 to 8 stages, found 0: []."),
        ({"hidden_sizes": [8, 0], "depths": [1, 1]}, "every entry of hidden_sizes must be an integer from 1 to 4096"),
        ({"hidden_sizes": [8, 8], "depths": [1]}, "one entry for each of the 2 stages in hidden_sizes, found 1: [1]."),
        ({"depths": [1, 1, 1, 65]}, "every entry of depths must be an integer from 1 to 64, found 65."),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, found 1.0."),
        ({"dropout": float("nan")}, "dropout must be at least 0 and below 1, found nan."),
        ({"eval_window_frames": 9}, "must be given together, found 9 and None."),
        ({"eval_window_hop_frames": 9}, "must be given together, found None and 9."),
        (
            {"eval_window_frames": 0, "eval_window_hop_frames": 1},
            "eval_window_frames must be an integer from 1 to 1000000 frames, found 0.",
        ),
        (
            {"eval_window_frames": 9, "eval_window_hop_frames": 10},
            "eval_window_hop_frames must be an integer from 1 to 9 frames (eval_window_frames), found 10.",
        ),
        ({"backbone": "resnet18"}, "backbone must be None or timm/ and a name of timm's, found 'resnet18'."),
        ({"backbone": "timm/hf-hub:somebody/net"}, "name of timm's, found 'timm/hf-hub:somebody/net'."),
        ({"num_labels": 0}, "A model must have at least 1 class, found 0."),
        ({"id2label": {}}, "A model must have at least 1 class, found 0."),
        ({"id2label": ["a", "b"]}, "id2label must be a mapping, such as dict(enumerate(names)), found ['a', 'b']."),
        ({"num_labels": 100_001}, "A model must have at most 100000 classes, found 100001."),
        ({"id2label": dict.fromkeys(range(100_002), "a")}, "A model must have at most 100000 classes, found 100002."),
        ({"logit_temperature": 0.0}, "logit_temperature must be a number above 0, found 0.0."),
        ({"logit_temperature": float("inf")}, "logit_temperature must be a number above 0, found inf."),
        ({"logit_temperature": float("nan")}, "logit_temperature must be a number above 0, found nan."),
        ({"unknown_threshold": 1.0}, "unknown_threshold must be at least 0 and below 1, found 1.0."),
        ({"unknown_threshold": -0.1}, "unknown_threshold must be at least 0 and below 1, found -0.1."),
        (
            {"unknown_threshold": 0.5, "problem_type": "multi_label_classification"},
            "unknown_threshold needs problem_type single_label_classification, found multi_label_classification.",
        ),
        ({"id2label": {1: "a", 2: "b"}}, "The indices of id2label must be 0 to 1, each once, found 1, 2."),
        ({"id2label": {"0": "a", "x": "b"}}, "The indices of id2label must be 0 to 1, each once, found 0, x."),
        ({"label2id": {"a": 0, "b": 0}}, "The indices of label2id must be 0 to 1, each once, found 0, 0."),
        (
            {"id2label": {0: "a", 1: "b"}, "label2id": {"a": 1, "b": 0}},
            "id2label and label2id must say the same, found the index 1 for 'a' in label2id and 'b' in id2label;",
        ),
        (
            {"num_labels": 5, "id2label": {"0": "a", "1": "b", "2": "c"}},
            "num_labels must be the number of classes that are named, 3, found 5; leave it out, or the names.",
        ),
        ({"problem_type": "regression"}, "problem_type must be one of single_label_classification, multi_label"),
    ],
)
def test_values_out_of_bounds_are_named(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        SpectrogramCNNConfig(**arguments)
    assert sentence in str(error.value)


def test_an_unknown_size_is_named() -> None:
    with pytest.raises(ValueError, match="size must be one of tiny, small, base, found 'huge'"):
        SpectrogramCNNConfig.from_size("huge")


@pytest.mark.parametrize(
    "classes",
    [
        {"id2label": {str(index): f"class {index}" for index in range(12)}},
        {"id2label": {index: f"class {index}" for index in reversed(range(12))}, "num_labels": 12},
        {"label2id": {f"class {index}": str(index) for index in range(12)}},
        {
            "label2id": {f"class {index}": str(index) for index in range(12)},
            "id2label": {str(index): f"class {index}" for index in range(12)},
            "num_labels": 12,
        },
    ],
)
def test_classes_may_be_given_in_every_form(tmp_path, classes: dict) -> None:
    names = [f"class {index}" for index in range(12)]
    SpectrogramCNNConfig(num_labels=3).save_pretrained(tmp_path / "other")
    of_other = SpectrogramCNNConfig.from_pretrained(tmp_path / "other", **classes)
    SpectrogramCNNConfig(**classes).save_pretrained(tmp_path / "own")
    for config in (SpectrogramCNNConfig(**classes), of_other, SpectrogramCNNConfig.from_pretrained(tmp_path / "own")):
        assert config.class_names == names
        assert config.id2label == dict(enumerate(names))
        assert config.label2id == {name: index for index, name in enumerate(names)}
        assert config.num_labels == 12


def test_classes_that_are_set_later_keep_the_order_of_their_indices() -> None:
    config = SpectrogramCNNConfig()
    config.id2label = {str(index): f"class {index}" for index in range(12)}
    assert config.class_names == [f"class {index}" for index in range(12)]


def test_what_is_given_when_loading_is_checked(tmp_path) -> None:
    SpectrogramCNNConfig(num_labels=3, logit_temperature=2.0, unknown_threshold=0.5).save_pretrained(tmp_path)
    assert SpectrogramCNNConfig.from_pretrained(tmp_path, num_labels=5).class_names[-1] == "LABEL_4"
    with pytest.raises(ValueError, match="must be given together, found 9 and None"):
        SpectrogramCNNConfig.from_pretrained(tmp_path, eval_window_frames=9)
    several = SpectrogramCNNConfig.from_pretrained(tmp_path, problem_type="multi_label_classification")
    assert (several.logit_temperature, several.unknown_threshold) == (1.0, None)
    assert SpectrogramCNNConfig.from_pretrained(tmp_path, dropout=0.5).logit_temperature == 2.0


def test_a_class_may_be_renamed_in_the_file(tmp_path) -> None:
    SpectrogramCNNConfig(id2label={0: "a", 1: "b"}).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(saved | {"id2label": {"0": "a", "1": "c"}}))
    assert SpectrogramCNNConfig.from_pretrained(tmp_path).label2id == {"a": 0, "c": 1}
