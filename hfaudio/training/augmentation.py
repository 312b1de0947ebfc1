"""Changing the waveform of a training example, with audiomentations."""

import inspect
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import audiomentations
import numpy as np
import scipy.signal
import yaml
from audiomentations.core.transforms_interface import BaseWaveformTransform
from numpy.typing import NDArray

from hfaudio.regular_files import only_regular

__all__ = ["WAVEFORM_AUGMENTATIONS", "Reverberation", "WaveformAugmentation"]

WAVEFORM_AUGMENTATIONS = ("none", "light", "strong")

LIGHT: list[tuple[str, dict[str, Any]]] = [
    ("Gain", {"min_gain_db": -6.0, "max_gain_db": 6.0, "p": 0.5}),
    ("PolarityInversion", {"p": 0.5}),
    ("Shift", {"min_shift": -0.5, "max_shift": 0.5, "rollover": True, "p": 0.5}),
    ("AddGaussianSNR", {"min_snr_db": 15.0, "max_snr_db": 50.0, "p": 0.25}),
]
STRONG: list[tuple[str, dict[str, Any]]] = [
    *LIGHT,
    ("TimeStretch", {"min_rate": 0.8, "max_rate": 1.25, "leave_length_unchanged": True, "p": 0.3}),
    ("PitchShift", {"min_semitones": -3.0, "max_semitones": 3.0, "p": 0.3}),
    ("HighPassFilter", {"min_cutoff_freq": 20.0, "max_cutoff_freq": 400.0, "p": 0.2}),
    ("LowPassFilter", {"min_cutoff_freq": 2000.0, "max_cutoff_freq": 7500.0, "p": 0.2}),
    ("Reverberation", {"p": 0.2}),
]


class Reverberation(BaseWaveformTransform):
    """Puts a sound into a room: convolves it with noise that decays exponentially.

    Args:
        min_seconds: Shortest time in which the echo falls by 60 dB.
        max_seconds: Longest.
        min_wet: Least energy of the echo, as a share of the whole.
        max_wet: Most.
        p: Probability of being applied.
    """

    def __init__(
        self,
        min_seconds: float = 0.1,
        max_seconds: float = 0.8,
        min_wet: float = 0.05,
        max_wet: float = 0.4,
        p: float = 0.5,
    ) -> None:
        super().__init__(p)
        self.min_seconds = min_seconds
        self.max_seconds = max_seconds
        self.min_wet = min_wet
        self.max_wet = max_wet

    def randomize_parameters(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        """Draws the room."""
        super().randomize_parameters(samples, sample_rate)
        self.parameters["seconds"] = random.uniform(self.min_seconds, self.max_seconds)
        self.parameters["wet"] = random.uniform(self.min_wet, self.max_wet)
        self.parameters["seed"] = random.getrandbits(32)

    def apply(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """Adds the echo of the room that was drawn; length and level stay."""
        times = np.arange(1, max(2, round(self.parameters["seconds"] * sample_rate))) / sample_rate
        noise = np.random.default_rng(self.parameters["seed"]).standard_normal(len(times))
        response = (noise * 10.0 ** (-3.0 * times / self.parameters["seconds"])).astype(np.float32)
        response[0] = 0.0  # the sound itself comes first
        response *= np.sqrt(self.parameters["wet"] / np.square(response).sum())
        echo = scipy.signal.oaconvolve(samples, response, mode="full")[: len(samples)]
        wet: NDArray[np.float32] = np.float32(np.sqrt(1.0 - self.parameters["wet"])) * samples + echo
        return wet.astype(np.float32, copy=False)


class WaveformAugmentation:
    """A chain of audiomentations transforms that draws from a seed.

    `light` changes level, polarity and place (a roll) and adds quiet noise. `strong` adds changes of tempo and pitch,
    filters and rooms, which costs more than ten times as much (`benchmarks/throughput.py`). A YAML file lists other
    transforms, such as `- Gain: {min_gain_db: -12, max_gain_db: 12, p: 0.5}`, by their names in audiomentations or in
    this module.

    Args:
        name: `light`, `strong` or the path of a YAML file.
        sampling_rate: Of the waveforms, in Hz.

    Raises:
        ValueError: There is no such strength or file, or it does not describe transforms.
    """

    def __init__(self, name: str, sampling_rate: int) -> None:
        self.sampling_rate = sampling_rate
        presets = {"light": LIGHT, "strong": STRONG}
        described = presets[name] if name in presets else _read_transforms(name)
        self._chain = audiomentations.Compose([_build(transform, settings) for transform, settings in described])

    def __call__(self, samples: np.ndarray, seed: int) -> np.ndarray:
        """Changes a float32 waveform `(samples,)`; the same seed makes the same change."""
        with _global_seed(seed):
            changed: np.ndarray = self._chain(np.array(samples), sample_rate=self.sampling_rate)
        return changed.astype(np.float32, copy=False)


def _read_transforms(path: str) -> list[tuple[str, dict[str, Any]]]:
    if not path.endswith((".yaml", ".yml")):
        raise ValueError(
            f"waveform_augmentation must be one of {', '.join(WAVEFORM_AUGMENTATIONS)} or the path of a YAML file, "
            f"found {path!r}."
        )
    try:
        with open(path, encoding="utf-8", opener=only_regular) as file:
            listed = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"Expected a YAML file of transforms at {path}, found none ({error}).") from error
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"Expected a list of transforms in {path}, found {type(listed).__name__}.")
    described = []
    for entry in listed:
        named = {entry: {}} if isinstance(entry, str) else entry
        if not isinstance(named, dict) or len(named) != 1:
            raise ValueError(
                f"Expected one transform an entry in {path}, such as '- Gain: {{p: 0.5}}', found {entry!r}."
            )
        ((name, settings),) = named.items()
        if not isinstance(settings, dict | None):
            raise ValueError(
                f"Expected settings with names for {name} in {path}, such as '- Gain: {{p: 0.5}}', found {settings!r}."
            )
        described.append((str(name), settings or {}))
    return described


def _build(name: str, settings: dict[str, Any]) -> BaseWaveformTransform:
    found = Reverberation if name == "Reverberation" else getattr(audiomentations, name, None)
    if not inspect.isclass(found) or not issubclass(found, BaseWaveformTransform):
        raise ValueError(f"Expected the name of a waveform transform of audiomentations, found {name!r}.")
    try:
        return found(**settings)
    except (TypeError, ValueError, AssertionError) as error:
        reason = f": {error}" if str(error) else ""
        raise ValueError(f"Expected settings that {name} takes, found {settings}{reason}.") from error


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Audiomentations draws from the global generators: seeds them for a while, then puts their states back."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
