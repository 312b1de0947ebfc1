import pytest

from hfaudio.model import SpectrogramCNNConfig
from hfaudio.training import FeatureArguments, ModelArguments


def test_model_flags_win_over_the_size() -> None:
    config = ModelArguments(model_size="tiny", hidden_sizes=[4, 8], depths=[1, 1], dropout=0.4).build_config(
        3, ("a", "b")
    )
    assert (config.num_channels, config.hidden_sizes, config.depths, config.dropout) == (3, [4, 8], [1, 1], 0.4)
    assert config.id2label == {0: "a", 1: "b"}
    assert config.label2id == {"a": 0, "b": 1}
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1, found 1.5"):
        ModelArguments(dropout=1.5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model_size": "base"}, "--model_size and --backbone timm/x both name the trunk: give one of them."),
        ({"hidden_sizes": [4]}, "--hidden_sizes and --backbone timm/x both name the trunk: give one of them."),
        ({"depths": [1]}, "--depths and --backbone timm/x both name the trunk: give one of them."),
    ],
)
def test_sizes_beside_a_trunk_of_timms_are_refused(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ModelArguments(backbone="timm/x", **arguments)


def test_windows_are_written_in_frames() -> None:
    config, extractor = SpectrogramCNNConfig(), FeatureArguments(hop_length=320).build_extractor()
    ModelArguments().apply_windows(config, extractor)
    assert config.eval_window_frames is None
    ModelArguments(eval_window_seconds=2.0, eval_window_hop_seconds=0.5).apply_windows(config, extractor)
    assert (config.eval_window_frames, config.eval_window_hop_frames) == (101, 25)


@pytest.mark.parametrize("seconds", [1e6, 1e308])
def test_windows_that_the_configuration_would_not_load_are_refused(seconds: float) -> None:
    config, extractor = SpectrogramCNNConfig(), FeatureArguments().build_extractor()
    with pytest.raises(ValueError, match=r"^--eval_window_seconds 1e\+\d+ makes windows that no model takes: "):
        ModelArguments(eval_window_seconds=seconds).apply_windows(config, extractor)
    assert config.eval_window_frames is None


def test_a_step_longer_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="--eval_window_hop_seconds must be at most 1.0 .*, found 2.0."):
        ModelArguments(eval_window_seconds=1.0, eval_window_hop_seconds=2.0)
