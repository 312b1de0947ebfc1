import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForAudioClassification

from hfaudio.model import (
    SpectrogramCNNConfig,
    SpectrogramCNNFeatureExtractor,
    SpectrogramCNNForAudioClassification,
    SpectrogramCNNModel,
)


@pytest.mark.parametrize("frames", [1, 2, 7, 50])
@pytest.mark.parametrize("padding", [1, 3, 40])
def test_padding_changes_no_logit(tiny_model, frames: int, padding: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 1, 16, frames)
    alone = tiny_model(features).logits
    padded = torch.nn.functional.pad(features, (0, padding), value=5.0)
    mask = torch.zeros(2, frames + padding, dtype=torch.long)
    mask[:, :frames] = 1
    torch.testing.assert_close(tiny_model(padded, attention_mask=mask).logits, alone, rtol=0, atol=1e-5)
    assert (tiny_model(padded).logits - alone).abs().max() > 1e-2


def test_a_clip_scores_the_same_alone_and_in_a_batch_of_other_lengths(tiny_model, extractor, rng) -> None:
    clips = [0.1 * rng.standard_normal(length) for length in (900, 8_000, 20_011)]
    together = tiny_model(**extractor(clips, sampling_rate=16_000)).logits
    for clip, logits in zip(clips, together, strict=True):
        alone = tiny_model(**extractor(clip, sampling_rate=16_000)).logits[0]
        torch.testing.assert_close(logits, alone, rtol=0, atol=1e-4)


def test_output_shapes_and_tuples(tiny_config) -> None:
    model = SpectrogramCNNModel(tiny_config).eval()
    features = torch.randn(2, 1, 16, 21)
    outputs = model(features)
    assert outputs.last_hidden_state.shape == (2, 8, 4, 6)
    assert outputs.pooler_output.shape == (2, 8)
    hidden, pooled = model(features, return_dict=False)
    assert torch.equal(hidden, outputs.last_hidden_state)
    assert torch.equal(pooled, outputs.pooler_output)
    classifier = SpectrogramCNNForAudioClassification(tiny_config).eval()
    loss, logits = classifier(features, labels=torch.tensor([0, 2]), return_dict=False)
    assert loss.ndim == 0
    assert logits.shape == (2, 3)
    assert classifier(features).loss is None
    assert len(classifier(features, return_dict=False)) == 1


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_the_stem_takes_any_number_of_channels(channels: int) -> None:
    config = SpectrogramCNNConfig(num_channels=channels, hidden_sizes=[4], depths=[1], num_labels=2)
    assert SpectrogramCNNForAudioClassification(config)(torch.randn(1, channels, 8, 8)).logits.shape == (1, 2)


def test_losses_follow_the_problem_type(tiny_config) -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 1, 16, 21)
    model = SpectrogramCNNForAudioClassification(tiny_config).eval()
    outputs = model(features, labels=torch.tensor([0, 2]))
    torch.testing.assert_close(outputs.loss, torch.nn.functional.cross_entropy(outputs.logits, torch.tensor([0, 2])))
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(
        model(features, labels=soft).loss, torch.nn.functional.cross_entropy(outputs.logits, soft)
    )
    model.config.problem_type = "multi_label_classification"
    several = torch.tensor([[1, 1, 0], [0, 0, 0]])
    torch.testing.assert_close(
        model(features, labels=several).loss,
        torch.nn.functional.binary_cross_entropy_with_logits(outputs.logits, several.float()),
    )


def test_dropout_acts_in_training_only() -> None:
    config = SpectrogramCNNConfig(hidden_sizes=[16], depths=[1], dropout=0.5, num_labels=2)
    model = SpectrogramCNNForAudioClassification(config)
    features = torch.randn(4, 1, 8, 8)
    model.eval()
    assert torch.equal(model(features).logits, model(features).logits)
    model.dropout.train()
    assert not torch.equal(model(features).logits, model(features).logits)


def test_training_knows_no_temperature(tiny_model) -> None:
    features = torch.randn(4, 1, 16, 21)
    tiny_model.dropout.p = 0.0
    before = tiny_model.train()(features).logits
    tiny_model.config.logit_temperature = 2.5
    assert torch.equal(tiny_model(features).logits, before)


def test_save_and_load_give_the_same_logits(tiny_model, tmp_path) -> None:
    tiny_model.save_pretrained(tmp_path)
    features = torch.randn(2, 1, 16, 21)
    loaded = AutoModelForAudioClassification.from_pretrained(tmp_path)
    assert isinstance(loaded, SpectrogramCNNForAudioClassification)
    assert torch.equal(loaded(features).logits, tiny_model(features).logits)
    trunk = AutoModel.from_pretrained(tmp_path)
    assert isinstance(trunk, SpectrogramCNNModel)
    assert torch.equal(trunk(features).pooler_output, tiny_model.spectrogram_cnn(features).pooler_output)


def test_every_parameter_learns(tiny_config) -> None:
    model = SpectrogramCNNForAudioClassification(tiny_config)
    model(torch.randn(4, 1, 16, 21), labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_channels_last_changes_nothing_but_speed(tiny_model) -> None:
    features = torch.randn(2, 1, 16, 21)
    other = copy.deepcopy(tiny_model).to(memory_format=torch.channels_last)
    torch.testing.assert_close(other(features).logits, tiny_model(features).logits, rtol=0, atol=1e-5)


def test_golden_logits(tiny_config) -> None:
    model = SpectrogramCNNForAudioClassification(tiny_config).eval()
    for index, weight in enumerate(model.parameters()):
        ramp = torch.arange(weight.numel(), dtype=torch.float32) + index
        weight.data = torch.sin(ramp).reshape(weight.shape) * (0.5 if weight.ndim > 1 else 1.0)
    features = torch.sin(torch.arange(16 * 21, dtype=torch.float32)).reshape(1, 1, 16, 21)
    mask = (torch.arange(21) < 15).long()[None]
    torch.testing.assert_close(model(features, mask).logits[0], torch.tensor(GOLDEN_LOGITS), rtol=1e-4, atol=1e-4)


GOLDEN_LOGITS = [0.3203383, 2.1242647, 0.3137005]


def test_wrong_shapes_are_refused(tiny_model) -> None:
    with pytest.raises(ValueError, match=r"shape \(batch, 1, bands, frames\), found \(2, 3, 16, 21\)"):
        tiny_model(torch.zeros(2, 3, 16, 21))
    with pytest.raises(ValueError, match=r"attention_mask must have the shape .* = \(2, 21\), found \(2, 20\)"):
        tiny_model(torch.zeros(2, 1, 16, 21), attention_mask=torch.ones(2, 20))


def test_example_with_the_default_extractor() -> None:
    model = SpectrogramCNNForAudioClassification(SpectrogramCNNConfig.from_size("tiny", num_labels=10))
    batch = SpectrogramCNNFeatureExtractor()([[0.0] * 100, [0.1] * 40_000], sampling_rate=16_000)
    assert model(**batch).logits.shape == (2, 10)


CALIBRATED = {"logit_temperature": 0.5, "unknown_threshold": 0.6}


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of three classes with a temperature and a threshold, and its trunk alone in `trunk`."""
    folder = tmp_path_factory.mktemp("calibrated")
    names = {0: "a", 1: "b", 2: "c"}
    model = SpectrogramCNNForAudioClassification(
        SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], id2label=names, **CALIBRATED)
    )
    model.save_pretrained(folder)
    model.spectrogram_cnn.save_pretrained(folder / "trunk")
    return folder


@pytest.mark.parametrize(
    ("part", "settings", "names"),
    [
        ("", {"num_labels": 5}, [f"LABEL_{index}" for index in range(5)]),
        ("", {"id2label": {"0": "x", "1": "y"}, "label2id": {"x": "0", "y": "1"}}, ["x", "y"]),
        ("", {"num_labels": 2, "id2label": {"0": "x", "1": "y"}}, ["x", "y"]),
        ("trunk", {}, ["a", "b", "c"]),
        ("trunk", {"num_labels": 4}, [f"LABEL_{index}" for index in range(4)]),
        ("", {"problem_type": "multi_label_classification"}, ["a", "b", "c"]),
    ],
)
def test_a_new_classifier_is_not_calibrated(calibrated, tmp_path, part, settings, names) -> None:
    model = AutoModelForAudioClassification.from_pretrained(
        calibrated / part, ignore_mismatched_sizes=True, **settings
    )
    model.save_pretrained(tmp_path)
    for one in (model, SpectrogramCNNForAudioClassification.from_pretrained(tmp_path)):
        assert (one.config.logit_temperature, one.config.unknown_threshold) == (1.0, None)
        assert one.config.class_names == names
        assert one.classifier.out_features == len(names)


def test_new_weights_of_a_saved_configuration_are_not_calibrated(calibrated) -> None:
    config = SpectrogramCNNConfig.from_pretrained(calibrated)
    model = AutoModelForAudioClassification.from_config(config)
    assert (model.config.logit_temperature, model.config.unknown_threshold) == (1.0, None)
    assert config.logit_temperature == 0.5


@pytest.mark.parametrize("settings", [{}, {"id2label": {0: "x", 1: "y", 2: "z"}}, {"num_labels": 3}])
def test_a_classifier_that_is_loaded_stays_calibrated(calibrated, settings) -> None:
    model, report = SpectrogramCNNForAudioClassification.from_pretrained(
        calibrated, ignore_mismatched_sizes=True, output_loading_info=True, **settings
    )
    assert not report["missing_keys"]
    assert (model.config.logit_temperature, model.config.unknown_threshold) == tuple(CALIBRATED.values())
    assert model.config.class_names == list(settings.get("id2label", {0: "a", 1: "b", 2: "c"}).values())


@pytest.mark.parametrize("settings", [{}, {"problem_type": "multi_label_classification"}])
def test_silence_has_logits_that_name_no_class_but_in_training(tiny_config, extractor, rng, settings) -> None:
    config = SpectrogramCNNConfig(**{**tiny_config.to_dict(), **settings, "logit_temperature": 0.5})
    model = SpectrogramCNNForAudioClassification(config).eval()
    torch.nn.init.normal_(model.classifier.weight)
    noise = (0.1 * rng.standard_normal(9_000)).astype(np.float32)
    inputs = extractor([np.zeros(20_000, np.float32), noise], sampling_rate=16_000)
    logits = model(**inputs).logits
    assert (logits[0] == (-30.0 if settings else 0.0)).all()
    torch.testing.assert_close(logits[1], model(**extractor(noise, sampling_rate=16_000)).logits[0])
    assert logits[1].abs().max() > 0
    model.train()
    model.dropout.p = 0.0
    trained = model(**extractor([np.zeros(20_000), noise], sampling_rate=16_000, mark_silence=False)).logits
    assert trained[0].unique().numel() > 1
