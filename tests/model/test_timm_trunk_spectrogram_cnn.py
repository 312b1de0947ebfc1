"""Trunks of the package timm; all but one test need it: pip install 'hfaudio[timm]'."""

import subprocess
import sys

import pytest
import torch
from torch.nn.functional import pad
from transformers import AutoModel, AutoModelForAudioClassification

from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNForAudioClassification
from hfaudio.model.timm_trunk_spectrogram_cnn import check_backbone

SMALL = ["timm/test_efficientnet", "timm/test_convnext", "timm/test_resnet"]
BUFFERED = "timm/resnetblur18"  # keeps its blur in buffers that timm does not save

OUTSIDER = """
import sys
sys.modules["hfaudio"] = None  # importing it fails
import torch
from transformers import AutoModelForAudioClassification
folder, inputs, outputs = sys.argv[1:]
model = AutoModelForAudioClassification.from_pretrained(folder, trust_remote_code=True)
assert type(model).__module__.startswith("transformers_modules")
torch.save(model(torch.load(inputs)).logits, outputs)
"""


def build(backbone: str, num_channels: int = 1) -> SpectrogramCNNForAudioClassification:
    pytest.importorskip("timm")
    torch.manual_seed(0)
    config = SpectrogramCNNConfig(num_channels=num_channels, backbone=backbone, num_labels=3)
    model = SpectrogramCNNForAudioClassification(config)
    with torch.no_grad():
        for weight in model.parameters():  # biases that are zero would hide what padded frames leave behind
            weight += 0.1 * torch.randn(weight.shape)
        model.classifier.weight.normal_()
    return model.eval()


def test_a_missing_timm_says_what_to_install(monkeypatch) -> None:
    check_backbone.cache_clear()
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"timm/test_resnet needs the package timm, .* pip install 'hfaudio\[timm\]'"):
        SpectrogramCNNForAudioClassification(SpectrogramCNNConfig(backbone="timm/test_resnet"))


@pytest.mark.parametrize("backbone", SMALL)
def test_maps_come_out_at_the_width_that_the_classifier_takes(backbone: str) -> None:
    model = build(backbone, num_channels=3)
    outputs = model.spectrogram_cnn(torch.randn(2, 3, 64, 101))
    assert outputs.last_hidden_state.shape == (2, model.spectrogram_cnn.num_features, 2, 4)
    assert model(torch.randn(2, 3, 64, 101)).logits.shape == (2, 3)


@pytest.mark.parametrize("backbone", SMALL)
@pytest.mark.parametrize("padding", [1, 27, 60, 200])
def test_padding_is_hidden_and_changes_little(backbone: str, padding: int) -> None:
    model = build(backbone)
    features = torch.randn(2, 1, 40, 101)
    mask = (torch.arange(101 + padding) < 101).long().expand(2, -1)
    zeros, noise = pad(features, (0, padding)), pad(features, (0, padding), value=7.0)
    hidden = model(noise, attention_mask=mask).logits
    assert torch.equal(model(zeros, attention_mask=mask).logits, hidden)
    alone = model(features).logits
    assert (hidden - alone).abs().max() < 0.25 * (model(noise).logits - alone).abs().max()


@pytest.mark.parametrize("backbone", SMALL)
@pytest.mark.parametrize("shape", [(8, 1), (13, 40), (80, 33)])
def test_all_of_a_small_input_is_heard(backbone: str, shape: tuple[int, int]) -> None:
    model = build(backbone)
    features = torch.randn(1, 1, *shape)
    changed = features.clone()
    changed[..., -1, -1] += 20.0
    assert (model(features).logits - model(changed).logits).abs().max() > 1e-4


def test_windows_are_averaged_over_timm_trunks_too() -> None:
    model = build("timm/test_efficientnet")
    features = torch.randn(1, 1, 32, 96)
    model.config.eval_window_frames, model.config.eval_window_hop_frames = 64, 32
    halves = [model(features[..., start : start + 64]).logits.softmax(-1) for start in (0, 32)]
    torch.testing.assert_close(model(features).logits.exp(), sum(halves) / 2, rtol=0, atol=1e-5)


@pytest.mark.parametrize("backbone", [*SMALL, BUFFERED])
def test_save_and_load_give_the_same_logits(backbone: str, tmp_path) -> None:
    model = build(backbone)
    features = torch.randn(2, 1, 32, 50)
    model.save_pretrained(tmp_path)
    loaded, report = AutoModelForAudioClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] | report["unexpected_keys"]
    assert torch.equal(loaded(features).logits, model(features).logits)
    trunk = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(trunk(features).pooler_output, model.spectrogram_cnn(features).pooler_output)


def test_outsiders_load_it_without_hfaudio(tmp_path) -> None:
    model = build(BUFFERED)
    features = torch.randn(2, 1, 32, 50)
    model.save_pretrained(tmp_path / "model")
    torch.save(features, tmp_path / "in.pt")
    arguments = [str(tmp_path / name) for name in ("model", "in.pt", "out.pt")]
    done = subprocess.run([sys.executable, "-c", OUTSIDER, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    torch.testing.assert_close(torch.load(tmp_path / "out.pt"), model(features).logits, rtol=0, atol=1e-6)


def test_a_new_trunk_keeps_the_weights_that_timm_gave_it() -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = SpectrogramCNNForAudioClassification(SpectrogramCNNConfig(backbone="timm/test_convnext"))
    torch.manual_seed(0)
    expected = timm.create_model("test_convnext", in_chans=1, num_classes=0, global_pool="").state_dict()
    for name, weight in model.spectrogram_cnn.timm_trunk.timm_model.state_dict().items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize("backbone", SMALL)
def test_every_parameter_learns(backbone: str) -> None:
    model = build(backbone).train()
    model(torch.randn(4, 1, 32, 64), labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize(
    ("backbone", "sentence"),
    [
        ("timm/no_such_net", "a name that timm .* knows, found 'timm/no_such_net'; timm.list_models"),
        ("timm/test_vit", r"any number of bands and frames; timm/test_vit is not, found the output \(1, 257, 64\)"),
        ("timm/vit_tiny_patch16_224", "timm/vit_tiny_patch16_224 is not, found: Input height"),
        ("timm/efficientvit_b0", "timm/efficientvit_b0 is not, found: Cannot disable pooling"),
    ],
)
def test_what_cannot_be_a_trunk_is_refused(backbone: str, sentence: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=sentence):
        SpectrogramCNNForAudioClassification(SpectrogramCNNConfig(backbone=backbone))
