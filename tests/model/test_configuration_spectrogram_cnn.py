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
