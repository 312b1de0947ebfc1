import pytest

from hfaudio.training import ModelArguments


def test_model_flags_win_over_the_size() -> None:
    config = ModelArguments(model_size="tiny", hidden_sizes=[4, 8], depths=[1, 1], dropout=0.4).build_config(
        3, ("a", "b")
    )
    assert (config.num_channels, config.hidden_sizes, config.depths, config.dropout) == (3, [4, 8], [1, 1], 0.4)
    assert config.id2label == {0: "a", 1: "b"}
    assert config.label2id == {"a": 0, "b": 1}
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1, found 1.5"):
        ModelArguments(dropout=1.5)
