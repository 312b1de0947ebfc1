"""Waveforms to log-mel, MFCC or MFCC-with-deltas features."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BatchFeature, SequenceFeatureExtractor
from transformers.utils import logging

from .configuration_spectrogram_cnn import check_integer
from .spectral_features_spectrogram_cnn import dct_matrix, deltas, hann_window, mel_filters
from .waveforms_spectrogram_cnn import check_samples, is_silent, silent_frames, split_batch, to_mono
from .windows_spectrogram_cnn import SILENT_FRAME

__all__ = ["FEATURE_PRESETS", "SpectrogramCNNFeatureExtractor"]

logger = logging.get_logger(__name__)

FEATURES = ("log_mel", "mfcc", "mfcc_delta")
PADDINGS = (None, True, "longest", "max_length", False, "do_not_pad")
PAD_MODES = ("zero", "repeat", "reflect")
LOG_OFFSET = 1e-6  # torchaudio.transforms.MFCC(log_mels=True) adds the same

FEATURE_PRESETS: dict[str, dict[str, int]] = {
    "compact": {"n_fft": 1024, "win_length": 800, "hop_length": 320, "n_mels": 64},
    "power_of_two": {"n_fft": 1024, "win_length": 1024, "hop_length": 128, "n_mels": 128},
    "dessa": {"n_fft": 1000, "win_length": 800, "hop_length": 200, "n_mels": 240},
}
"""Named spectrogram settings at 16 kHz. `dessa` is the one of github.com/dessa-oss/fake-voice-detection."""


class SpectrogramCNNFeatureExtractor(SequenceFeatureExtractor):
    """Turns waveforms of any length into normalized spectrogram features and a mask of the frames that hold sound.

    A recording is averaged to mono, cut to the middle `max_seconds`, and extended to `crop_seconds`. Shorter clips of
    a batch are padded with zeros, which the attention mask hides. The STFT is centred and sees zeros outside the
    clip, so that a clip gives the same features alone and in a batch.

    Args:
        features: `log_mel` and `mfcc` give one channel, `mfcc_delta` three: coefficients, first and second difference.
        sampling_rate: Of all waveforms, in Hz.
        n_fft: Length of the Fourier transform, in samples.
        win_length: Length of the Hann window, in samples, at most `n_fft`.
        hop_length: Step between frames, in samples.
        n_mels: Mel bands (HTK scale) from `f_min` to `f_max`.
        n_mfcc: Cepstral coefficients kept, at most `n_mels`.
        f_min: Lowest frequency, in Hz.
        f_max: Highest frequency, in Hz; None means half the sampling rate.
        crop_seconds: Length of a training crop, and the length to which shorter recordings are extended.
        max_seconds: Longer recordings are cut to this length around their middle.
        pad_mode: How a short recording is extended: `zero` (hidden by the mask), `repeat` or `reflect`.
        mean: Per channel and band, subtracted from the features; None leaves them as they are.
        std: Per channel and band, divides the features.
        padding_value: Value of the features on hidden frames.
        **kwargs: Whatever else `SequenceFeatureExtractor` knows; unknown keys are kept.

    Raises:
        ValueError: A value lies outside its bounds; the sentence names the bound and the value.

    Example:
        >>> extractor = SpectrogramCNNFeatureExtractor()
        >>> extractor(np.zeros(16_000, dtype=np.float32), sampling_rate=16_000)["input_features"].shape
        torch.Size([1, 1, 64, 101])
    """

    model_input_names = ["input_features", "attention_mask"]

    def __init__(
        self,
        features: str = "log_mel",
        sampling_rate: int = 16_000,
        n_fft: int = 1024,
        win_length: int = 800,
        hop_length: int = 320,
        n_mels: int = 64,
        n_mfcc: int = 40,
        f_min: float = 0.0,
        f_max: float | None = None,
        crop_seconds: float = 2.0,
        max_seconds: float = 30.0,
        pad_mode: str = "zero",
        mean: Sequence[Sequence[float]] | None = None,
        std: Sequence[Sequence[float]] | None = None,
        padding_value: float = 0.0,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("feature_size", None)  # derived from the other settings, but saved by the base class
        _check_choice("features", features, FEATURES)
        _check_choice("pad_mode", pad_mode, PAD_MODES)
        check_integer("sampling_rate", sampling_rate, 1_000, 384_000, "Hz")
        check_integer("n_fft", n_fft, 16, 65_536, "samples")
        check_integer("win_length", win_length, 16, n_fft, "samples (n_fft)")
        check_integer("hop_length", hop_length, 1, win_length, "samples (win_length)")
        check_integer("n_mels", n_mels, 1, n_fft // 2 + 1, "(the bins of n_fft)")
        if features != "log_mel":
            check_integer("n_mfcc", n_mfcc, 1, n_mels, "(n_mels)")
        nyquist = sampling_rate / 2
        _check_range("f_max", nyquist if f_max is None else f_max, 1.0, nyquist, "Hz (half the sampling rate)")
        _check_range("f_min", f_min, 0.0, (nyquist if f_max is None else f_max) - 1.0, "Hz (below f_max)")
        _check_range("crop_seconds", crop_seconds, win_length / sampling_rate, 3_600.0, "seconds")
        _check_range("max_seconds", max_seconds, crop_seconds, 3_600.0, "seconds (at least crop_seconds)")
        super().__init__(
            feature_size=n_mels if features == "log_mel" else n_mfcc,
            sampling_rate=sampling_rate,
            padding_value=padding_value,
            **kwargs,
        )
        self.features = features
        self.n_fft = n_fft
        self.win_length = win_length
        self.hop_length = hop_length
        self.n_mels = n_mels
        self.n_mfcc = n_mfcc
        self.f_min = f_min
        self.f_max = f_max
        self.crop_seconds = crop_seconds
        self.max_seconds = max_seconds
        self.pad_mode = pad_mode
        self.set_normalization(mean, std)

    @classmethod
    def from_preset(cls, preset: str, **kwargs: Any) -> "SpectrogramCNNFeatureExtractor":
        """Returns an extractor with named spectrogram settings.

        Args:
            preset: `compact`, `power_of_two` or `dessa`.
            **kwargs: Further arguments; they win over the preset's own.

        Raises:
            ValueError: There is no such preset.
        """
        _check_choice("preset", preset, tuple(FEATURE_PRESETS))
        return cls(**{**FEATURE_PRESETS[preset], **kwargs})

    @property
    def num_channels(self) -> int:
        """Channels of the features: 3 with deltas, else 1."""
        return 3 if self.features == "mfcc_delta" else 1

    @property
    def crop_samples(self) -> int:
        """Length of a training crop, in samples."""
        return round(self.crop_seconds * self.sampling_rate)

    def set_normalization(self, mean: Any, std: Any) -> None:
        """Sets what is subtracted from the features and what divides them.

        Args:
            mean: `(num_channels, feature_size)`, or None for no normalization.
            std: The same shape, every value above 0.

        Raises:
            ValueError: The shapes do not fit, a value is not finite, or a standard deviation is not above 0.
        """
        if (mean is None) != (std is None):
            raise ValueError("mean and std must be given together, found only one of them.")
        if mean is not None:
            shape = (self.num_channels, self.feature_size)
            for name, value in (("mean", mean), ("std", std)):
                if np.shape(value) != shape or not np.isfinite(value).all():
                    raise ValueError(f"{name} must be finite, with the shape {shape}, found shape {np.shape(value)}.")
            if np.min(std) <= 0:
                raise ValueError(f"std must be above 0 everywhere, found {np.min(std)}.")
            mean, std = np.asarray(mean, dtype=float).tolist(), np.asarray(std, dtype=float).tolist()
        self.mean = mean
        self.std = std

    def __call__(
        self,
        raw_speech: Any,
        sampling_rate: int | None = None,
        return_tensors: str | None = None,
        padding: bool | str | None = None,
        max_length: int | None = None,
        truncation: bool | None = None,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        do_normalize: bool | None = None,
        device: str | torch.device | None = None,
        mark_silence: bool = True,
        **kwargs: Any,
    ) -> BatchFeature:
        """Computes the features of one recording or a batch of them.

        Args:
            raw_speech: One recording `(samples,)`, or a batch: a list of recordings, each `(samples,)` or
                `(channels, samples)`, or an array `(batch, channels, samples)`. numpy, torch or lists of numbers,
                floating-point in [-1, 1].
            sampling_rate: Of the waveforms, in Hz. Give it: it is compared with the extractor's own.
            return_tensors: `pt` (as without it) or `np`.
            padding: Shorter clips are padded to the longest of the batch (`True`, `longest` or nothing), or to
                `max_length` if they are shorter (`max_length`). `False` refuses clips of several lengths.
            max_length: In samples. What is longer is cut at its end, unless `truncation` is False.
            truncation: Whether `max_length` cuts.
            pad_to_multiple_of: In samples; the padded length is a multiple of it.
            return_attention_mask: False leaves the mask out, and is refused where it hides something.
            do_normalize: True is refused: features have the normalization of the training part.
            device: Where the features go, such as `cuda:0`; they are computed on the CPU.
            mark_silence: Whether a clip of digital silence has no frame that holds sound, by which the model names no
                class for it, and whether silent frames of other clips are marked; False is for training.
            **kwargs: Refused.

        Returns:
            `input_features (batch, num_channels, feature_size, frames)` in float32 and `attention_mask
            (batch, frames)`: 0 where a frame is padding, 1 where it hears sound, and 2 where it hears nothing but
            digital silence. A clip of n samples has 1 + n // hop_length frames.

        Raises:
            TypeError: An argument is unknown.
            ValueError: The sampling rate is another one; a recording is empty, not finite, not floating-point or of
                an impossible shape; or an argument cannot be followed.
        """
        if kwargs:
            raise TypeError(f"The feature extractor knows no {', '.join(sorted(kwargs))}; leave it out.")
        _check_choice("padding", padding, PADDINGS)
        if max_length is not None:
            check_integer("max_length", max_length, 1, round(3_600.0 * self.sampling_rate), "samples")
        elif padding == "max_length":
            raise ValueError(
                "padding='max_length' needs a max_length in samples, found none; give one, or leave it out."
            )
        if pad_to_multiple_of is not None:
            check_integer("pad_to_multiple_of", pad_to_multiple_of, 1, self.crop_samples, "samples (a training crop)")
        if do_normalize:
            raise ValueError(
                "do_normalize=True would change how loud recordings are, by which the model was not trained; leave it "
                "out."
            )
        if sampling_rate is None:
            logger.warning_once("Pass sampling_rate to the feature extractor, so that a wrong one can be refused.")
        elif sampling_rate != self.sampling_rate:
            raise ValueError(
                f"The feature extractor expects waveforms at {self.sampling_rate} Hz, found {sampling_rate!r} Hz; "
                "resample them first."
            )
        longest = None if truncation is False else max_length
        recordings = enumerate(split_batch(raw_speech))
        clips = [
            self._fit_length(to_mono(recording, f"Recording {index}")[:longest], mark_silence)
            for index, recording in recordings
        ]
        lengths = {len(samples) for samples, _ in clips}
        if padding in (False, "do_not_pad") and len(lengths) > 1:
            raise ValueError(
                f"padding={padding!r} needs clips of one length, found {min(lengths)} to {max(lengths)} samples; "
                "leave it out: what is padded is hidden by the mask."
            )
        length = max(*lengths, max_length or 0) if padding == "max_length" else max(lengths)
        multiple = pad_to_multiple_of or 1
        batch = torch.zeros(len(clips), (length + multiple - 1) // multiple * multiple)
        for row, (samples, _) in zip(batch, clips, strict=True):
            row[: len(samples)] = samples
        for index, row in enumerate(batch):
            check_samples(row, f"Recording {index}")
        # Half precision would overflow in the power spectrum and lose the quiet bands.
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            sound_samples = torch.tensor([sounding for _, sounding in clips])
            features, attention_mask = self.features_of(batch, sound_samples, mark_silence)
        extracted = {"input_features": features, "attention_mask": attention_mask}
        if return_attention_mask is False:
            if not attention_mask.all():
                raise ValueError(
                    "return_attention_mask=False needs clips that are not padded, nor silent, found some; leave it "
                    "out, or the model hears padding as sound."
                )
            del extracted["attention_mask"]
        made = BatchFeature(extracted, tensor_type=return_tensors or "pt")
        return made if device is None else made.to(device)

    def pad(
        self,
        processed_features: Any,
        padding: bool | str | None = True,
        max_length: int | None = None,
        truncation: bool | None = None,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Makes a batch of examples that have features already, for `DataCollatorWithPadding` of transformers.

        Args:
            processed_features: Examples, each with `input_features (num_channels, feature_size, frames)`, perhaps
                `attention_mask (frames,)`, and whatever else a batch is to hold; or such lists by their names.
            padding: Shorter ones are always padded to the longest; `max_length` is refused.
            max_length: Refused.
            truncation: True is refused.
            pad_to_multiple_of: In frames; the padded length is a multiple of it.
            return_attention_mask: Without a mask padding would be heard as sound, so there is one.
            return_tensors: `pt` (as without it) or `np`.

        Raises:
            ValueError: There are no features, or the features have a length to be cut to.
        """
        if max_length is not None or truncation or padding == "max_length":
            raise ValueError(
                "Features are padded to the longest of a batch; leave max_length and truncation out, or give them to "
                "the feature extractor with the waveforms."
            )
        if len(processed_features) == 0:
            raise ValueError("Expected at least one example to pad, found none.")
        if not isinstance(processed_features, Mapping):
            names = processed_features[0].keys()
            processed_features = {name: [example[name] for example in processed_features] for name in names}
        batch = dict(processed_features)
        if "input_features" not in batch:
            raise ValueError(f"Expected input_features to pad, found {', '.join(batch)}; extract them first.")
        features = [torch.as_tensor(np.asarray(one), dtype=torch.float32) for one in batch["input_features"]]
        masks = batch.get("attention_mask") or [np.ones(one.shape[-1], np.int64) for one in features]
        multiple = pad_to_multiple_of or 1
        frames = (max(one.shape[-1] for one in features) + multiple - 1) // multiple * multiple
        padded = [frames - one.shape[-1] for one in features]
        batch["input_features"] = torch.stack(
            [
                nn.functional.pad(one, (0, more), value=self.padding_value)
                for one, more in zip(features, padded, strict=True)
            ]
        )
        batch["attention_mask"] = torch.stack(
            [
                nn.functional.pad(torch.as_tensor(np.asarray(mask)), (0, more))
                for mask, more in zip(masks, padded, strict=True)
            ]
        )
        return BatchFeature(batch, tensor_type=return_tensors or "pt")

    def features_of(self, batch: Tensor, sound_samples: Tensor, mark_silence: bool = True) -> tuple[Tensor, Tensor]:
        """Computes the features of waveforms that have their length already; all in operations that can be exported.

        Args:
            batch: `(batch, samples)` in float32, zero after the end of shorter clips.
            sound_samples: `(batch,)`, how many samples from the start hold sound; 0 of digital silence.
            mark_silence: Whether frames that hear digital silence are told from others.

        Returns:
            `input_features` and `attention_mask`, as `__call__` has them.
        """
        sound_frames = (1 + sound_samples // self.hop_length) * (sound_samples > 0)
        features = self._features(batch, sound_frames)
        attention_mask = (torch.arange(features.shape[-1]) < sound_frames[:, None]).long()
        features = features.masked_fill(attention_mask[:, None, None, :] == 0, self.padding_value)
        if mark_silence:
            silent = silent_frames(batch, sound_samples, self.win_length, self.hop_length)
            attention_mask = torch.where(silent, SILENT_FRAME * attention_mask, attention_mask)
        return features, attention_mask

    def _fit_length(self, samples: Tensor, mark_silence: bool = True) -> tuple[Tensor, int]:
        """Cuts or extends `(samples,)`; also returns how many samples from the start hold sound."""
        longest = round(self.max_seconds * self.sampling_rate)
        if len(samples) > longest:
            start = (len(samples) - longest) // 2
            samples = samples[start : start + longest].clone()  # a view would keep hours of the other samples
        sounding = 0 if mark_silence and is_silent(samples) else len(samples)
        missing = self.crop_samples - len(samples)
        if missing <= 0:
            return samples, sounding
        if self.pad_mode == "zero":
            return nn.functional.pad(samples, (0, missing)), sounding
        index = torch.arange(self.crop_samples)
        if self.pad_mode == "repeat":
            index = index % len(samples)
        else:
            period = max(2 * (len(samples) - 1), 1)
            index = index % period
            index = torch.minimum(index, period - index) if len(samples) > 1 else index
        return samples[index], self.crop_samples if sounding else 0

    def _features(self, batch: Tensor, sound_frames: Tensor) -> Tensor:
        """Maps `(batch, samples)` to normalized `(batch, num_channels, feature_size, frames)`."""
        features = torch.log(self._mel_power(batch) + LOG_OFFSET)
        if self.features != "log_mel":
            features = dct_matrix(self.n_mfcc, self.n_mels) @ features
        channels = [features]
        while len(channels) < self.num_channels:
            channels.append(deltas(channels[-1], sound_frames))
        features = torch.stack(channels, dim=1)
        if self.mean is not None:
            features = (features - torch.tensor(self.mean)[..., None]) / torch.tensor(self.std)[..., None]
        return features

    def _mel_power(self, batch: Tensor) -> Tensor:
        """The power in each mel band, `(batch, n_mels, frames)`."""
        spectrum = torch.stft(
            batch,
            self.n_fft,
            self.hop_length,
            self.win_length,
            hann_window(self.win_length),
            pad_mode="constant",
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        filters = mel_filters(self.n_fft, self.n_mels, self.f_min, self.f_max, self.sampling_rate)
        return filters @ power


def _check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, found {value!r}.")


def _check_range(name: str, value: Any, low: float, high: float, unit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g} {unit}, found {value!r}.")


SpectrogramCNNFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")
