import pytest
import torch
from torch import nn
from transformers import ASTConfig, ASTForAudioClassification, Wav2Vec2Config, Wav2Vec2ForSequenceClassification
from transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer import ASTLayer

from hfaudio.training.layer_order import layers_in_order, parameters_in


def parameters_of(layers) -> list[int]:
    return [id(parameter) for layer in layers for parameter in parameters_in(layer)]


def test_our_model_is_stem_blocks_classifier(toy_model) -> None:
    model = toy_model()
    trunk = model.base_model
    stem, first, second, head = layers_in_order(model)
    assert stem == [trunk.stem, trunk.stem_norm]
    assert (first, second) == ([trunk.blocks[0]], [trunk.blocks[1]])
    assert model.classifier in head


def test_a_trunk_alone_has_no_head(toy_model) -> None:
    assert len(layers_in_order(toy_model().base_model)) == 3


def make_ast() -> ASTForAudioClassification:
    config = ASTConfig(
        hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8, max_length=32, num_mel_bins=16
    )
    return ASTForAudioClassification(config)


def test_a_transformer_is_embeddings_blocks_head() -> None:
    model = make_ast()
    embeddings, *blocks, head = layers_in_order(model)
    assert embeddings == [model.base_model.embeddings]
    assert [type(block[0]) for block in blocks] == [ASTLayer] * 3
    assert blocks[-1][1:] == [model.base_model.layernorm]
    assert head == [model.classifier]


def make_wav2vec2() -> Wav2Vec2ForSequenceClassification:
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, conv_dim=(4, 4),
        conv_stride=(2, 2), conv_kernel=(3, 3), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        classifier_proj_size=8,
    )  # fmt: skip
    return Wav2Vec2ForSequenceClassification(config)


@pytest.mark.parametrize("make", [make_ast, make_wav2vec2])
def test_every_parameter_is_in_one_layer(make) -> None:
    model = make()
    assert sorted(parameters_of(layers_in_order(model))) == sorted(map(id, model.parameters()))


def test_a_parameter_of_no_module_is_in_the_first_layer() -> None:
    model = make_wav2vec2()
    assert any(part is model.base_model.masked_spec_embed for part in layers_in_order(model)[0])


class Norm(nn.BatchNorm2d):
    """Like those of timm, with an activation inside."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU()


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3)
        self.shortcut = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 2, 3), Norm(2)
        self.layer1 = nn.Sequential(Block(), Block())
        self.layer2 = nn.Sequential(Block())


class Wrapper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = Network()


def test_the_network_inside_a_wrapper_is_taken_apart(toy_model) -> None:
    model = toy_model()
    trunk = model.base_model
    for name in [name for name, _ in trunk.named_children()]:
        delattr(trunk, name)
    trunk.wrapper = Wrapper()
    network = trunk.wrapper.network
    stem, *blocks, _ = layers_in_order(model)
    assert stem == [network.conv1, network.bn1]
    assert blocks == [[network.layer1[0]], [network.layer1[1]], [network.layer2[0]]]


def test_a_shared_parameter_is_yielded_once() -> None:
    weight = nn.Parameter(torch.zeros(2))
    assert list(parameters_in([weight, weight])) == [weight]
