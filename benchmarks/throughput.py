"""What each stage of training costs for a two-second clip, in one run, beside the model's forward pass.

python benchmarks/throughput.py [--threads 2]
"""

import argparse
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch

from hfaudio.data import AudioCrops, CropRule, ExampleKey, load_audio_dataset, write_synthetic_dataset
from hfaudio.model import (
    MODEL_SIZES,
    SpectrogramCNNConfig,
    SpectrogramCNNFeatureExtractor,
    SpectrogramCNNForAudioClassification,
)
from hfaudio.training import FeatureChanges, MixedCrops, Mixing, SpecAugmentCollator, WaveformAugmentation

BATCH = 32
RATE = 16_000


def milliseconds_per_clip(stage: Callable[[], object], repeats: int = 7) -> float:
    """The median time of a stage over a batch, after a warm-up, divided by the batch's size."""
    stage()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        stage()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times)) / BATCH


def stages() -> dict[str, Callable[[], object]]:
    """Every stage, as a function over one batch."""
    with tempfile.TemporaryDirectory() as folder:
        audio = load_audio_dataset(write_synthetic_dataset(folder, clips_per_class=5), num_proc=1)
    crops = AudioCrops(audio.dataset, CropRule(2 * RATE))
    played = AudioCrops(audio.dataset, CropRule(2 * RATE, speed=1.25, margin=RATE // 2))
    mixed = MixedCrops(played, Mixing(), len(audio.class_names), RATE)
    rng = np.random.default_rng(0)
    waveforms = [(0.1 * rng.standard_normal(2 * RATE)).astype(np.float32) for _ in range(BATCH)]
    table: dict[str, Callable[[], object]] = {
        "reading crops": lambda: [crops[ExampleKey(seed, seed)] for seed in range(BATCH)],
        "reading crops, other speeds": lambda: [played[ExampleKey(seed, seed)] for seed in range(BATCH)],
        "the same, mixed between classes": lambda: [mixed[ExampleKey(seed, seed)] for seed in range(BATCH)],
    }
    for strength in ("light", "strong"):
        augmentation = WaveformAugmentation(strength, RATE)
        table[f"augmentation, {strength}"] = lambda augment=augmentation: [  # type: ignore[misc]
            augment(samples, seed) for seed, samples in enumerate(waveforms)
        ]
    for features in ("log_mel", "mfcc_delta"):
        extractor = SpectrogramCNNFeatureExtractor(features)
        table[f"features, {features}"] = lambda extract=extractor: extract(waveforms, RATE)  # type: ignore[misc]
    collator = SpecAugmentCollator(SpectrogramCNNFeatureExtractor())
    changes = FeatureChanges(band_gain_db=6.0, style_mixing=0.5)
    changing = SpecAugmentCollator(SpectrogramCNNFeatureExtractor(), changes)
    examples = [{"waveform": samples, "labels": 0, "seed": seed} for seed, samples in enumerate(waveforms)]
    table["features and SpecAugment"] = lambda: collator(examples)
    table["features, SpecAugment, gains and styles"] = lambda: changing(examples)
    batch = collator(examples)
    for size in MODEL_SIZES:
        model = SpectrogramCNNForAudioClassification(SpectrogramCNNConfig.from_size(size, num_labels=10))
        model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]  # a decorator there hides self
        for precision, half in (("fp32", False), ("bf16", True)):
            table[f"{size}, forward, {precision}"] = forward(model, batch, half)
            table[f"{size}, forward and backward, {precision}"] = forward_and_backward(model, batch, half)
    return table


def forward(model: torch.nn.Module, batch: dict[str, torch.Tensor], half: bool) -> Callable[[], object]:
    """Inference."""

    def stage() -> None:
        model.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            model(batch["input_features"], batch["attention_mask"])

    return stage


def forward_and_backward(model: torch.nn.Module, batch: dict[str, torch.Tensor], half: bool) -> Callable[[], object]:
    """A training step without the optimizer."""

    def stage() -> None:
        model.train()
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = model(**batch).loss
        loss.backward()

    return stage


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    torch.set_num_threads(parser.parse_args().threads)
    costs = {name: milliseconds_per_clip(stage) for name, stage in stages().items()}
    reference = costs["small, forward, fp32"]
    print(f"| stage ({torch.get_num_threads()} threads) | ms a clip | clips a second | of small's forward |")
    print("|---|---|---|---|")
    for name, cost in costs.items():
        print(f"| {name} | {cost:.3f} | {1e3 / cost:,.0f} | {cost / reference:.2f} |")


if __name__ == "__main__":
    main()
