"""Proving a pushed model: a stranger's process pulls it and has to score as the folder here does."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from huggingface_hub import get_token

from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

__all__ = ["Probe", "ProofError", "usage"]

TOLERANCE = 1e-5
PROBE_SECONDS = 3.0
PROBE_TONES = (220.0, 1760.0)  # Hz
OF_OTHER_CACHES = ("HF_HUB_CACHE", "HF_MODULES_CACHE", "HF_TOKEN_PATH", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE")

WITHOUT_HFAUDIO = """
import json, sys

class WithoutHfaudio:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hfaudio":
            raise ModuleNotFoundError("hfaudio is not here")

sys.meta_path.insert(0, WithoutHfaudio())
"""
SCORE_PROBE = """
import numpy as np
from transformers import pipeline

name, revision, waveform, rate = *sys.argv[1:3], np.load(sys.argv[3]), int(sys.argv[4])
classify = pipeline("audio-classification", name, revision=revision, trust_remote_code=True, device="cpu")
classify({"array": waveform, "sampling_rate": rate})
logits = classify.model(**classify.feature_extractor(waveform, sampling_rate=rate)).logits
print(json.dumps(logits[0].tolist()))
"""


class ProofError(RuntimeError):
    """What was pushed is not what lies here, or cannot be pulled; the revision is named."""


@dataclass(frozen=True)
class Probe:
    """A sound, and how the model of a folder scores it.

    Attributes:
        waveform: `(samples,)` in float32: two tones in noise.
        sampling_rate: In Hz.
        logits: `(num_labels,)`.
    """

    waveform: np.ndarray
    sampling_rate: int
    logits: np.ndarray

    @classmethod
    def of(cls, folder: str | os.PathLike[str], seed: int = 0) -> "Probe":
        """Scores a sound by the model of a folder, on the CPU.

        Args:
            folder: Of one of our models.
            seed: Of the noise.

        Raises:
            OSError, RuntimeError, ValueError, safetensors.SafetensorError: The model does not load.
        """
        extractor = SpectrogramCNNFeatureExtractor.from_pretrained(folder)
        model = SpectrogramCNNForAudioClassification.from_pretrained(folder, use_safetensors=True).eval()
        rate = extractor.sampling_rate
        time = np.arange(round(PROBE_SECONDS * rate)) / rate
        waveform = 0.05 * np.random.default_rng(seed).standard_normal(len(time))
        waveform += sum(0.2 * np.sin(2 * np.pi * tone * time) for tone in PROBE_TONES)
        waveform = waveform.astype(np.float32)
        with torch.no_grad():
            logits = model(**extractor(waveform, sampling_rate=rate)).logits[0].numpy()
        return cls(waveform, rate, logits)

    def compare(self, repo_id: str, revision: str, token: str | None = None) -> float:
        """Pulls a model of our own as a stranger would, with its code and into an empty cache, and scores the sound.

        The process that does so cannot import hfaudio.

        Args:
            repo_id: `owner/name`, whose code is trusted.
            revision: The hash of the commit.
            token: To read a private repository; None takes the one that is logged in.

        Returns:
            The largest difference between the logits.

        Raises:
            ProofError: The model cannot be pulled or run, or scores otherwise.
        """
        pulled = f"{repo_id} at revision {revision}"
        with TemporaryDirectory(prefix="hfaudio-proof-") as folder:
            np.save(Path(folder) / "probe.npy", self.waveform)
            environment = {name: value for name, value in os.environ.items() if name not in OF_OTHER_CACHES}
            environment |= {"HF_HOME": folder, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
            token = token or get_token()
            if token is not None:
                environment["HF_TOKEN"] = token
            arguments = [repo_id, revision, "probe.npy", str(self.sampling_rate)]
            done = subprocess.run(
                [sys.executable, "-c", WITHOUT_HFAUDIO + SCORE_PROBE, *arguments],
                capture_output=True,
                text=True,
                cwd=folder,
                env=environment,
            )
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
            raise ProofError(f"Expected {pulled} to load without hfaudio, found: {reason}; do not use this revision.")
        logits = np.array(json.loads(done.stdout.splitlines()[-1]))
        difference = np.abs(logits - self.logits).max() if logits.shape == self.logits.shape else np.inf
        if not difference <= TOLERANCE:
            raise ProofError(
                f"Expected {pulled} to score as the local model does, within {TOLERANCE:g}, found a difference of "
                f"{difference:.2g}; do not use this revision."
            )
        return float(difference)


def usage(repo_id: str, revision: str) -> str:
    """Five lines that classify a recording with a pinned revision of a model."""
    return f"""from transformers import pipeline
classify = pipeline(
    "audio-classification", "{repo_id}", revision="{revision}", trust_remote_code=True
)
print(classify("recording.wav"))"""
