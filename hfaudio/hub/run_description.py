"""What the settings of a run say, in words and without what is off."""

from pathlib import Path

from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification
from hfaudio.training import AudioTrainingArguments, AugmentationArguments, RunArguments, TrainingRecord

__all__ = ["describe_augmentation", "describe_features", "describe_training"]

FEATURES = {
    "log_mel": "logarithms of {n_mels} mel bands",
    "mfcc": "{n_mfcc} cepstral coefficients of {n_mels} mel bands (MFCC)",
    "mfcc_delta": "{n_mfcc} cepstral coefficients of {n_mels} mel bands (MFCC), with first and second differences",
}
EXTENDED = {"zero": "silence", "repeat": "its own repetition", "reflect": "its own reflection"}
WAVEFORM_CHANGES = {
    "light": "level, polarity, place in time and quiet noise are changed at random",
    "strong": "level, polarity, place in time, noise, tempo, pitch, filters and rooms are changed at random",
}
MIXTURES = {
    "between_class": "mixture of two recordings of different classes, by what is heard of each",
    "mixup": "mixture of any two recordings",
    "mixup_features": "mixture of the features of any two recordings",
}


def describe_features(
    run: RunArguments, model: SpectrogramCNNForAudioClassification, extractor: SpectrogramCNNFeatureExtractor
) -> dict[str, str]:
    """What a recording becomes before the network hears it.

    Args:
        run: All settings.
        model: May score long recordings in windows.
        extractor: As it was trained with; of a model that was trained further it is that of the first training.
    """
    rate, config = extractor.sampling_rate, model.config
    highest = rate / 2 if extractor.f_max is None else extractor.f_max
    step = extractor.hop_length / rate
    fitted_to = "the training part" if run.model.model_name_or_path is None else "what it was first trained on"
    kind, shorter = FEATURES[extractor.features].format(**vars(extractor)), EXTENDED[extractor.pad_mode]
    rows = {
        "waveform": f"mono, {rate:,} Hz",
        "features": f"{kind}, {extractor.f_min:g} to {highest:,g} Hz",
        "spectrogram": f"Fourier transform of {extractor.n_fft:,} samples, Hann window of {extractor.win_length:,}, a "
        f"frame every {extractor.hop_length:,} ({1000 * step:g} ms)",
        "normalization": f"each band by its mean and deviation over {fitted_to}",
        "training crop": f"{extractor.crop_seconds:g} s; a shorter recording is extended by {shorter}",
        "evaluation": f"whole recordings, of longer ones the middle {extractor.max_seconds:g} s",
    }
    if config.eval_window_frames is not None and config.eval_window_hop_frames is not None:
        window, hop = (config.eval_window_frames - 1) * step, config.eval_window_hop_frames * step
        rows["evaluation"] += f"; in windows of {window:g} s every {hop:g} s, whose probabilities are averaged"
    if run.data.trim_silence != "none":
        rows[f"--trim_silence {run.data.trim_silence}"] = "silence is cut out of the recordings beforehand"
    return rows


def describe_augmentation(given: AugmentationArguments) -> dict[str, str]:
    """What is done to training examples; the flag of each thing, and its meaning.

    Args:
        given: The settings.
    """
    rows: dict[str, str] = {}
    if given.mixing != "none":
        often = "" if given.mixing_probability == 1 else f", {given.mixing_probability:.0%} of the time"
        rows[f"--mixing {given.mixing}"] = (
            f"an example is a {MIXTURES[given.mixing]}, in shares from Beta({given.mixup_alpha:g}, "
            f"{given.mixup_alpha:g}){often}"
        )
    if given.style_mixing:
        rows[f"--style_mixing {given.style_mixing:g}"] = (
            f"{given.style_mixing:.0%} of the examples take on the mean and deviation that another has in each band"
        )
    if given.waveform_augmentation != "none":
        name = Path(given.waveform_augmentation).name
        changes = WAVEFORM_CHANGES.get(name, f"the transforms of audiomentations that {name} lists")
        rows[f"--waveform_augmentation {name}"] = changes
    if given.crop_speed != 1:
        speed = f"{given.crop_speed:g}"
        rows[f"--crop_speed {speed}"] = f"crops are played up to {speed} times as fast, or as slowly"
    if given.crop_margin:
        margin = f"{given.crop_margin:g}"
        rows[f"--crop_margin {margin}"] = f"crops may reach {margin} s beyond the ends of a recording"
    if given.progressive_crop is not None:
        first = f"{given.progressive_crop:g}"
        rows[f"--progressive_crop {first}"] = f"crops of {first} s at first, which grow"
    if given.progressive_resolution < 1:
        scale = given.progressive_resolution
        rows[f"--progressive_resolution {scale:g}"] = f"features of {scale:.0%} of their side at first, which grow"
    if given.band_gain_db:
        gain = f"{given.band_gain_db:g}"
        rows[f"--band_gain_db {gain}"] = f"bands are up to {gain} dB louder or softer, as by an equalizer"
    for flag, number, what in (
        ("freq_mask", given.num_freq_masks, "bands"),
        ("time_mask", given.num_time_masks, "frames"),
    ):
        if widest := getattr(given, flag):
            times = "once" if number == 1 else f"{number} times"
            rows[f"--{flag} {widest}"] = f"up to {widest} neighbouring {what} are hidden, {times} (SpecAugment)"
    return rows


def describe_training(given: AudioTrainingArguments, record: TrainingRecord) -> dict[str, str]:
    """How the weights were found.

    Args:
        given: The settings.
        record: What happened.
    """
    batch = given.per_device_train_batch_size * record.processes * given.gradient_accumulation_steps
    schedule = "one cycle" if given.one_cycle else SchedulerType(given.lr_scheduler_type).value
    rows = {
        "loss": f"focal, gamma {given.focal_gamma:g}" if given.loss == "focal" else "cross-entropy",
        "length": f"{record.epochs:,.4g} epochs, {record.steps:,} steps",
        "batch": f"{batch:,} examples a step",
        "optimizer": f"{OptimizerNames(given.optim).value}, weight decay {given.weight_decay:g}",
        "learning rate": f"at most {given.learning_rate:g}, {schedule}",
        "precision": record.precision,
        "seed": str(given.seed),
        "last loss": f"{record.loss:.3f}",
    }
    if given.class_weights != "none":
        rows["loss"] += f"; classes weighted: {Path(given.class_weights).name}"
    if given.label_smoothing_factor:
        rows["loss"] += f"; labels smoothed by {given.label_smoothing_factor:g}"
    if given.batch_growth > 1:
        rows["batch"] += f" at first; {given.batch_growth_times} times {given.batch_growth} times as many"
    if given.layerwise_lr_decay < 1:
        rows["learning rate"] += f"; of each layer {given.layerwise_lr_decay:g} of that of the layer above it"
    if given.ema_decay:
        rows["averaged weights"] = f"a moving average of decay {given.ema_decay:g} is evaluated and saved"
    if given.freeze_backbone_epochs:
        thawing = ", then thawed layer by layer" if given.unfreeze_gradually else ""
        rows["frozen trunk"] = f"for {given.freeze_backbone_epochs:g} epochs{thawing}"
    if given.early_stopping_patience:
        rows["early stopping"] = f"after {given.early_stopping_patience} evaluations without a lower validation loss"
    return rows
