import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, pad
from transformers import AutoModelForAudioClassification

from hfaudio.model import SpectrogramCNNForAudioClassification
from hfaudio.model.windows_spectrogram_cnn import SILENT_FRAME, average_windows, cut_windows

WINDOW, HOP = 20, 8


@pytest.fixture
def windowed_model(tiny_model) -> SpectrogramCNNForAudioClassification:
    tiny_model.config.eval_window_frames = WINDOW
    tiny_model.config.eval_window_hop_frames = HOP
    return tiny_model


def windows_by_hand(frames: int) -> list[slice]:
    starts = [*range(0, frames - WINDOW, HOP), max(frames - WINDOW, 0)]
    return [slice(start, start + WINDOW) for start in starts]


@pytest.mark.parametrize("frames", [21, 28, 29, 60, 77])
@pytest.mark.parametrize("problem", ["single", "multi"])
def test_the_mean_probability_of_the_windows_is_returned(windowed_model, frames: int, problem: str) -> None:
    windowed_model.config.problem_type = f"{problem}_label_classification"
    features = torch.randn(2, 1, 16, frames, generator=torch.Generator().manual_seed(0))
    scores = [windowed_model(features[..., span]).logits for span in windows_by_hand(frames)]
    logits = windowed_model(features).logits
    if problem == "single":
        torch.testing.assert_close(logits.exp(), torch.stack(scores).softmax(-1).mean(0), rtol=0, atol=1e-5)
    else:
        torch.testing.assert_close(logits.sigmoid(), torch.stack(scores).sigmoid().mean(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("problem", ["single", "multi"])
def test_neither_padding_nor_company_changes_a_recording(windowed_model, problem: str) -> None:
    windowed_model.config.problem_type = f"{problem}_label_classification"
    lengths = [1, 9, 19, 20, 21, 28, 29, 50, 77]
    batch = torch.randn(len(lengths), 1, 16, 90, generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(90) < torch.tensor(lengths)[:, None]).long()
    together = windowed_model(batch, attention_mask=mask).logits
    for row, frames in enumerate(lengths):
        alone = windowed_model(batch[row : row + 1, ..., :frames]).logits[0]
        torch.testing.assert_close(together[row], alone, rtol=0, atol=1e-5)
    shorter = windowed_model(pad(batch[:5, ..., :21], (0, 2), value=9.0), attention_mask=mask[:5, :23]).logits
    torch.testing.assert_close(shorter, together[:5], rtol=0, atol=1e-5)


def test_short_recordings_training_and_no_settings_are_as_they_were(windowed_model) -> None:
    whole_model = copy.deepcopy(windowed_model)
    whole_model.config.eval_window_frames = whole_model.config.eval_window_hop_frames = None
    short, long = torch.randn(2, 1, 16, WINDOW), torch.randn(2, 1, 16, 3 * WINDOW)
    assert torch.equal(windowed_model(short).logits, whole_model(short).logits)
    pooled = whole_model.spectrogram_cnn(long).pooler_output
    assert torch.equal(whole_model(long).logits, whole_model.classifier(pooled))
    assert not torch.allclose(windowed_model(long).logits.softmax(-1), whole_model(long).logits.softmax(-1), atol=1e-3)
    for model in (windowed_model.train(), whole_model.train()):
        model.dropout.eval()
    assert torch.equal(windowed_model(long).logits, whole_model(long).logits)


@pytest.mark.parametrize("problem", ["single", "multi"])
@pytest.mark.parametrize("frames", [WINDOW, 3 * WINDOW])
def test_a_recordings_logits_are_divided_by_the_temperature(windowed_model, frames: int, problem: str) -> None:
    windowed_model.config.problem_type = f"{problem}_label_classification"
    features = torch.randn(2, 1, 16, frames, generator=torch.Generator().manual_seed(0))
    before = windowed_model(features).logits
    windowed_model.config.logit_temperature = 2.5
    torch.testing.assert_close(windowed_model(features).logits, before / 2.5)


def test_every_frame_is_heard_and_every_window_is_full() -> None:
    lengths = torch.tensor([7, 10, 11, 23, 30])
    features = torch.arange(30.0).expand(5, 1, 1, 30)
    mask = (torch.arange(30) < lengths[:, None]).long()
    windows, window_mask, counted = cut_windows(features, mask, 10, 6)
    assert windows.shape == (25, 1, 1, 10)
    assert counted.sum(1).tolist() == [1, 1, 2, 4, 5]
    for row, frames in enumerate(lengths.tolist()):
        own = slice(5 * row, 5 * row + int(counted[row].sum()))
        heard = windows[own, 0, 0][window_mask[own] == 1]
        assert set(heard.tolist()) == set(range(frames))
        assert window_mask[own].sum(1).tolist() == [min(frames, 10)] * int(counted[row].sum())


def test_sure_windows_give_finite_logits() -> None:
    counted = torch.tensor([[True, True, False]])
    sure = torch.tensor([[300.0, -300.0], [300.0, -300.0], [torch.inf, torch.nan]])
    for multi_label in (False, True):
        logits = average_windows(sure, counted, multi_label)
        assert logits.isfinite().all()
        assert logits[0, 0] > logits[0, 1] + 299


def test_the_loss_is_that_of_the_averaged_logits(windowed_model) -> None:
    outputs = windowed_model(torch.randn(2, 1, 16, 50), labels=torch.tensor([0, 2]))
    assert outputs.logits.shape == (2, 3)
    torch.testing.assert_close(outputs.loss, cross_entropy(outputs.logits, torch.tensor([0, 2])))


def test_windows_travel_with_the_checkpoint(windowed_model, tmp_path) -> None:
    features = torch.randn(2, 1, 16, 50)
    windowed_model.save_pretrained(tmp_path)
    assert (tmp_path / "windows_spectrogram_cnn.py").is_file()
    loaded = AutoModelForAudioClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded(features).logits, windowed_model(features).logits)


def test_exported_once_it_scores_batches_of_any_length(windowed_model) -> None:
    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = windowed_model

        def forward(self, input_features: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.model(input_features, attention_mask).logits

    def batch(size: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        mask = torch.ones(size, frames, dtype=torch.long)
        mask[-1, frames // 2 + 1 :] = 0
        return torch.randn(size, 1, 16, frames), mask

    clips, frames = torch.export.Dim("clips", min=1, max=64), torch.export.Dim("frames", min=1, max=4_000)
    shapes = ({0: clips, 3: frames}, {0: clips, 1: frames})
    exported = torch.export.export(Logits(), batch(3, 77), dynamic_shapes=shapes).module()
    for size, length in ((3, 77), (1, 1), (2, WINDOW - 1), (2, WINDOW), (1, WINDOW + 1), (4, 300)):
        inputs = batch(size, length)
        torch.testing.assert_close(exported(*inputs), windowed_model(*inputs).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 0.2])
@pytest.mark.parametrize("problem", ["single", "multi"])
def test_silent_windows_have_no_say(windowed_model, extractor, rng, problem: str, offset: float) -> None:
    windowed_model.config.problem_type = f"{problem}_label_classification"
    torch.nn.init.normal_(windowed_model.classifier.weight, std=0.05)
    samples = np.full(60 * HOP * extractor.hop_length, offset, np.float32)
    samples[24_000:34_000] += 0.1 * rng.standard_normal(10_000).astype(np.float32)
    inputs = extractor(samples, sampling_rate=16_000)
    features, mask = inputs["input_features"], inputs["attention_mask"]
    heard = [span for span in windows_by_hand(features.shape[-1]) if (mask[0, span] == 1).any()]
    assert 1 < len(heard) < 10
    scores = torch.cat([windowed_model(features[..., span]).logits for span in heard])
    for logits in (
        windowed_model(**inputs).logits,
        windowed_model(**extractor([samples, np.tile(samples, 2)], sampling_rate=16_000)).logits[:1],
    ):
        if problem == "single":
            torch.testing.assert_close(logits[0].softmax(-1), scores.softmax(-1).mean(0), rtol=0, atol=1e-5)
        else:
            torch.testing.assert_close(logits[0].sigmoid(), scores.sigmoid().mean(0), rtol=0, atol=1e-5)


def test_marked_silence_changes_nothing_without_windows_nor_in_training(tiny_model, extractor, rng) -> None:
    samples = np.zeros(64_000, np.float32)
    samples[:8_000] = 0.1 * rng.standard_normal(8_000)
    marked = extractor(samples, sampling_rate=16_000)
    plain = extractor(samples, sampling_rate=16_000, mark_silence=False)
    assert set(marked["attention_mask"][0].tolist()) == {1, SILENT_FRAME}
    assert set(plain["attention_mask"][0].tolist()) == {1}
    assert torch.equal(tiny_model(**marked).logits, tiny_model(**plain).logits)
    assert torch.equal(tiny_model.spectrogram_cnn(**marked)[1], tiny_model.spectrogram_cnn(**plain)[1])
