import pytest
import torch
from transformers import ASTConfig, ASTForAudioClassification, Trainer

from hfaudio.training.layer_learning_rates import layerwise_groups


def rates(model, groups) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each parameter, by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [(names[id(one)], (group["lr"], group["weight_decay"])) for group in groups for one in group["params"]]
    assert len(found) == len(dict(found)) == len([one for one in model.parameters() if one.requires_grad])
    return dict(found)


def test_each_layer_has_its_share_of_the_rate_above(toy_model) -> None:
    model = toy_model()
    found = rates(model, layerwise_groups(model, 0.1, 0.5, decay=0.5))
    expected = {
        "classifier.weight": (0.1, 0.5),
        "classifier.bias": (0.1, 0.0),
        "spectrogram_cnn.blocks.1.conv1.weight": (0.05, 0.5),
        "spectrogram_cnn.blocks.1.norm1.weight": (0.05, 0.0),
        "spectrogram_cnn.blocks.1.shortcut.1.weight": (0.05, 0.0),
        "spectrogram_cnn.blocks.0.norm2.bias": (0.025, 0.0),
        "spectrogram_cnn.stem.weight": (0.0125, 0.5),
        "spectrogram_cnn.stem_norm.weight": (0.0125, 0.0),
    }
    assert {name: found[name] for name in expected} == expected


def test_a_transformer_decays_what_trainer_decays(toy_trainer) -> None:
    model = ASTForAudioClassification(
        ASTConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, max_length=32)
    )
    found = rates(model, layerwise_groups(model, 0.1, 0.5, decay=1.0))
    decayed = {name for name, (_, weight_decay) in found.items() if weight_decay}
    assert decayed == set(Trainer.get_decay_parameter_names(toy_trainer(), model))
    assert {rate for rate, _ in found.values()} == {0.1}


def test_names_without_decay_can_be_given(toy_model) -> None:
    model = toy_model()
    found = rates(model, layerwise_groups(model, 0.1, 0.5, 0.5, no_decay_names=["classifier.weight"]))
    assert [name for name, (_, weight_decay) in found.items() if not weight_decay] == ["classifier.weight"]


def test_frozen_parameters_are_left_out(toy_model) -> None:
    model = toy_model()
    model.base_model.stem.weight.requires_grad_(False)
    assert "spectrogram_cnn.stem.weight" not in rates(model, layerwise_groups(model, 0.1, 0.5, 0.5))


def test_a_shared_parameter_is_in_one_group(toy_model) -> None:
    model = toy_model()
    model.classifier.bias = model.base_model.blocks[0].norm1.bias
    torch.optim.AdamW(layerwise_groups(model, 0.1, 0.5, 0.5))


@pytest.mark.parametrize("decay", [0.0, 1.1])
def test_a_decay_out_of_bounds_is_refused(toy_model, decay: float) -> None:
    with pytest.raises(ValueError, match=f"decay must be above 0 and at most 1, found {decay}"):
        layerwise_groups(toy_model(), 0.1, 0.5, decay)
