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
from hfaudio.training import MixedCrops, Mixing, SpecAugmentCollator, WaveformAugmentation
from hfaudio.training.augmentation import Reverberation
from hfaudio.training.feature_augmentation import change_band_gains, mix_styles, shrink
from hfaudio.training.specaugment import apply_masks, draw_masks

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
    rng = np.random.default_rng(0)
    waveforms = [(0.1 * rng.standard_normal(2 * RATE)).astype(np.float32) for _ in range(BATCH)]
    table: dict[str, Callable[[], object]] = {
        "reading crops": lambda: [crops[ExampleKey(seed, seed)] for seed in range(BATCH)],
        "reading crops, other speeds": lambda: [played[ExampleKey(seed, seed)] for seed in range(BATCH)],
    }
    for kind, words in (("between_class", "between classes"), ("mixup", "by mixup"), ("mixup_features", "later")):
        mixed = MixedCrops(played, Mixing(kind), len(audio.class_names), RATE)
        table[f"two of the same, mixed {words}"] = lambda mixed=mixed: [  # type: ignore[misc]
            mixed[ExampleKey(seed, seed)] for seed in range(BATCH)
        ]
    augmentations = {name: WaveformAugmentation(name, RATE) for name in ("light", "strong")}
    room = Reverberation(p=1.0)
    table["augmentation, a room alone"] = lambda: [room(samples, RATE) for samples in waveforms]
    for name, augmentation in augmentations.items():
        table[f"augmentation, {name}"] = lambda augment=augmentation: [  # type: ignore[misc]
            augment(samples, seed) for seed, samples in enumerate(waveforms)
        ]
    for features in ("log_mel", "mfcc_delta"):
        extractor = SpectrogramCNNFeatureExtractor(features)
        table[f"features, {features}"] = lambda extract=extractor: extract(waveforms, RATE)  # type: ignore[misc]
    collator = SpecAugmentCollator(SpectrogramCNNFeatureExtractor())
    batch = collator([{"waveform": samples, "labels": 0} for samples in waveforms])
    table.update(feature_changes(batch["input_features"], batch["attention_mask"]))
    for size in MODEL_SIZES:
        model = SpectrogramCNNForAudioClassification(SpectrogramCNNConfig.from_size(size, num_labels=10))
        model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]  # a decorator there hides self
        for precision, half in (("fp32", False), ("bf16", True)):
            table[f"{size}, forward, {precision}"] = forward(model, batch, half)
            table[f"{size}, forward and backward, {precision}"] = forward_and_backward(model, batch, half)
    return table


def feature_changes(features: torch.Tensor, mask: torch.Tensor) -> dict[str, Callable[[], object]]:
    """What is done to the features of a training batch, each alone."""
    extractor = SpectrogramCNNFeatureExtractor()

    def masks() -> None:
        drawn = [draw_masks(np.random.default_rng(seed), features.shape[3], 16, 1) for seed in range(BATCH)]
        starts, widths = map(np.stack, zip(*drawn, strict=True))
        apply_masks(features, starts, widths, dim=3)

    def gains() -> None:
        change_band_gains(features, extractor, 6.0, [np.random.default_rng(seed) for seed in range(BATCH)])

    return {
        "a SpecAugment mask over frames": masks,
        "gains of bands": gains,
        "colours of others": lambda: mix_styles(features, mask, 0.5, np.random.default_rng(0)),
        "half the resolution": lambda: shrink(features, mask, 0.5),
    }


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
