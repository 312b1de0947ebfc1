"""What a card says of the settings: all that is on, and nothing that is off."""

from dataclasses import fields, replace

import pytest
from card_example import RECORD, example_run, example_training

from hfaudio.hub.run_description import describe_augmentation, describe_features, describe_training
from hfaudio.training import AugmentationArguments

ON = {
    "crop_speed": 1.5,
    "crop_margin": 0.25,
    "progressive_crop": 0.3,
    "progressive_resolution": 0.5,
    "waveform_augmentation": "strong",
    "mixing": "mixup",
    "band_gain_db": 6.0,
    "style_mixing": 0.25,
    "freq_mask": 8,
    "time_mask": 16,
}
OF_OTHERS = {"mixup_alpha", "mixing_probability", "num_freq_masks", "num_time_masks"}
OFF = AugmentationArguments(
    crop_speed=1, crop_margin=0, waveform_augmentation="none", mixing="none", style_mixing=0
)  # fmt: skip


def test_what_is_off_is_not_told() -> None:
    assert describe_augmentation(OFF) == {}


@pytest.mark.parametrize("flag", sorted({one.name for one in fields(AugmentationArguments)} - OF_OTHERS))
def test_every_flag_is_told(flag: str) -> None:
    ((told, meaning),) = describe_augmentation(replace(OFF, **{flag: ON[flag]})).items()
    assert told == f"--{flag} {ON[flag]:g}" if isinstance(ON[flag], float) else f"--{flag} {ON[flag]}"
    assert meaning


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"mixing": "mixup", "mixup_alpha": 0.4, "mixing_probability": 0.75},
            "shares from Beta(0.4, 0.4), 75% of the",
        ),
        ({"freq_mask": 8, "num_freq_masks": 2}, "up to 8 neighbouring bands are hidden, 2 times (SpecAugment)"),
        ({"time_mask": 16}, "up to 16 neighbouring frames are hidden, once (SpecAugment)"),
    ],
)
def test_what_belongs_to_a_flag_is_told_with_it(changes: dict, said: str) -> None:
    assert said in " ".join(describe_augmentation(replace(OFF, **changes)).values())


def test_a_file_of_transforms_is_told_without_its_place(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("- Gain: {p: 0.5}\n")
    told = describe_augmentation(replace(OFF, waveform_augmentation=str(path)))
    assert told == {"--waveform_augmentation mine.yaml": "the transforms of audiomentations that mine.yaml lists"}


def test_features_and_windows() -> None:
    run, trained = example_run("--trim_silence", "ends"), example_training()
    trained.model.config.eval_window_frames, trained.model.config.eval_window_hop_frames = 101, 50
    trained.feature_extractor.pad_mode = "repeat"
    told = describe_features(run, trained.model, trained.feature_extractor)
    assert told["features"] == "logarithms of 16 mel bands, 0 to 8,000 Hz"
    assert told["training crop"] == "0.5 s; a shorter recording is extended by its own repetition"
    assert told["evaluation"].endswith("; in windows of 2 s every 1 s, whose probabilities are averaged")
    assert told["--trim_silence ends"] == "silence is cut out of the recordings beforehand"
    assert "over the training part" in told["normalization"]


def test_the_training_as_it_was() -> None:
    def told(*flags: object) -> dict[str, str]:
        return describe_training(example_run(*flags).training, replace(RECORD, processes=2))

    plain = told("--gradient_accumulation_steps", 2, "--per_device_train_batch_size", 8)
    assert plain["batch"] == "32 examples a step"
    assert plain["loss"] == "cross-entropy"
    assert plain["length"] == "200 epochs, 1,000 steps"
    assert plain["learning rate"] == "at most 0.003, cosine"
    assert plain["precision"] == "bf16"
    assert not {"frozen trunk", "early stopping"} & set(plain)
    flags = ("--loss", "focal", "--focal_gamma", 2, "--class_weights", "balanced", "--label_smoothing_factor", 0.1)
    flags += ("--one_cycle", "--layerwise_lr_decay", 0.9, "--ema_decay", 0, "--freeze_backbone_epochs", 3)
    flags += ("--unfreeze_gradually", "--early_stopping_patience", 5, "--batch_growth", 4)
    other = told(*flags)
    assert other["loss"] == "focal, gamma 2; classes weighted: balanced; labels smoothed by 0.1"
    assert other["learning rate"] == "at most 0.003, one cycle; of each layer 0.9 of that of the layer above it"
    assert other["frozen trunk"] == "for 3 epochs, then thawed layer by layer"
    assert other["early stopping"] == "after 5 evaluations without a lower validation loss"
    assert other["batch"] == "128 examples a step at first; 2 times 4 times as many"
    assert "averaged weights" not in other
