import numpy as np
import pytest
import torch
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndNoAttention

from hfaudio.evaluation import class_evidence, evidence_over_time
from hfaudio.model import SpectrogramCNNFeatureExtractor
from hfaudio.model.modeling_spectrogram_cnn import pool_frames

RATE = 16_000


class LoudnessTrunk(torch.nn.Module):
    """Halves the frames and has one map, which is the level above silence."""

    def forward(self, input_features, attention_mask=None, return_dict=None):
        mask = attention_mask[:, None, None, ::2].float()
        maps = (input_features[..., ::2] - input_features.min()) * mask
        return BaseModelOutputWithPoolingAndNoAttention(last_hidden_state=maps, pooler_output=pool_frames(maps, mask))


@pytest.fixture
def loudness_model(tiny_model):
    """Its first class is loud, the others are nothing."""
    tiny_model.spectrogram_cnn = LoudnessTrunk()
    tiny_model.classifier = torch.nn.Linear(1, 3)
    torch.nn.init.zeros_(tiny_model.classifier.weight)
    torch.nn.init.ones_(tiny_model.classifier.weight[:1])
    return tiny_model


def burst(seconds: float, at: float) -> np.ndarray:
    samples = np.random.default_rng(0).normal(0, 1e-3, round(seconds * RATE)).astype(np.float32)
    samples[round((at - 0.1) * RATE) : round((at + 0.1) * RATE)] *= 500
    return samples


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_the_cells_add_up_to_the_score(tiny_model, problem_type: str, frozen: bool) -> None:
    tiny_model.requires_grad_(not frozen)
    tiny_model.config.problem_type = problem_type
    features = torch.randn(2, 1, 16, 40, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 40)
    mask[1, 25:] = 0
    with torch.no_grad():
        logits = tiny_model(features, mask).logits - tiny_model.classifier.bias
    scores = logits if problem_type.startswith("multi") else logits - logits.mean(dim=1, keepdim=True)
    for label in range(3):
        cells = class_evidence(tiny_model, features, mask, label)
        assert cells.shape == (2, 4, 10)
        torch.testing.assert_close(cells.sum(dim=(1, 2)), scores[:, label], rtol=1e-4, atol=1e-5)
    assert (cells[1, :, 7:] == 0).all()  # no sound is there
    assert all(parameter.grad is None for parameter in tiny_model.parameters())


@pytest.mark.parametrize("window", [None, 40])
@pytest.mark.parametrize("at", [0.5, 1.7, 2.6])
def test_a_class_is_found_when_it_sounds(loudness_model, extractor, at: float, window: int | None) -> None:
    loudness_model.config.eval_window_frames = window
    loudness_model.config.eval_window_hop_frames = window and window // 2
    samples = burst(3.0, at)
    found = evidence_over_time(loudness_model.train(), extractor, samples, 0)
    assert found.shape == (1 + len(samples) // extractor.hop_length,)
    assert found.argmax() * extractor.hop_length / RATE == pytest.approx(at, abs=0.12)
    assert (evidence_over_time(loudness_model, extractor, samples, 1) <= 0).all()


def test_what_the_model_does_not_hear_speaks_for_nothing(loudness_model) -> None:
    extractor = SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.5, max_seconds=2.0)
    samples = burst(6.0, 3.5)
    found = evidence_over_time(loudness_model, extractor, samples, 0)
    per_second = RATE / extractor.hop_length
    assert np.flatnonzero(found).min() >= 1.95 * per_second
    assert np.flatnonzero(found).max() <= 4.05 * per_second
    assert found.argmax() / per_second == pytest.approx(3.5, abs=0.12)


@pytest.mark.parametrize("seconds", [0.001, 0.3])
def test_a_short_recording_keeps_its_length(loudness_model, extractor, seconds: float) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    found = evidence_over_time(loudness_model, extractor, samples, 0)
    assert found.shape == (1 + len(samples) // extractor.hop_length,)
    assert np.isfinite(found).all()


def test_digital_silence_before_a_sound_moves_nothing(loudness_model, extractor) -> None:
    loudness_model.config.eval_window_frames, loudness_model.config.eval_window_hop_frames = 40, 20
    samples = burst(3.0, 2.6)
    samples[: round(2.4 * RATE)] = 0.0
    found = evidence_over_time(loudness_model, extractor, samples, 0)
    assert found.shape == (1 + len(samples) // extractor.hop_length,)
    # The last window moves back, and its place tells whether silent frames are counted once.
    loud = np.flatnonzero(found > 0.5 * found.max())
    assert loud.mean() * extractor.hop_length / RATE == pytest.approx(2.6, abs=0.07)
