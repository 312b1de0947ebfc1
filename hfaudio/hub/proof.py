"""Proving a pushed model: a stranger's process pulls it and has to score as the folder here does."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from huggingface_hub import get_token

from hfaudio.hub.pushed_files import PushError
from hfaudio.inference.classifier_settings import ClassifierSettings, ModelError
from hfaudio.inference.onnx_backend import ONNX_FILE, OnnxBackend, graph_inputs
from hfaudio.inference.onnx_export import TOLERANCE as GRAPH_TOLERANCE
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

name, revision, waveform, rate, graphs = *sys.argv[1:3], np.load(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]
classify = pipeline("audio-classification", name, revision=revision, trust_remote_code=True, device="cpu")
classify({"array": waveform, "sampling_rate": rate})
logits = classify.model(**classify.feature_extractor(waveform, sampling_rate=rate)).logits
scores = [logits[0].tolist()]
for graph in graphs:
    import onnxruntime
    from huggingface_hub import hf_hub_download

    session = onnxruntime.InferenceSession(hf_hub_download(name, graph, revision=revision))
    scores.append(session.run(["logits"], dict(np.load("graph_inputs.npz")))[0][0].tolist())
print(json.dumps(scores))
"""


class ProofError(RuntimeError):
    """What was pushed is not what lies here, or cannot be pulled; the revision is named."""


@dataclass(frozen=True)
class Probe:
    """A sound, and how the model of a folder scores it.

    Attributes:
        waveform: `(samples,)` in float32: two tones in noise.
        sampling_rate: In Hz.
        logits: `(num_labels,)`, of the weights.
        graph_inputs: The waveform as the ONNX graphs take it, by the names of their inputs.
        graph_logits: `(num_labels,)` by the name of each graph that is pushed.
    """

    waveform: np.ndarray
    sampling_rate: int
    logits: np.ndarray
    graph_inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    graph_logits: Mapping[str, np.ndarray] = field(default_factory=dict)

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

    def with_graphs(self, folder: str | os.PathLike[str], names: Sequence[str]) -> "Probe":
        """Lets the graphs beside the weights score the sound too.

        Args:
            folder: Of the model.
            names: Of the graphs.

        Raises:
            PushError: A graph does not load, or was made from other weights.
        """
        if not names:
            return self
        scores = {}
        for name in names:
            path = Path(folder) / name
            try:
                settings = ClassifierSettings.read(folder)
                (logits,) = OnnxBackend(path, settings).score([self.waveform])
            except ModelError as error:
                raise PushError(str(error)) from error
            difference = _difference(logits, self.logits)
            # How far 8 bits may be off is for whoever quantizes to judge; of which weights they are is known.
            if name == ONNX_FILE and not difference <= GRAPH_TOLERANCE:
                raise PushError(
                    f"Expected {path} to score as the weights beside it do, within {GRAPH_TOLERANCE:g}, found a "
                    f"difference of {difference:.2g}; write it anew with scripts/export_onnx.py, or remove it."
                )
            scores[name] = logits
        return replace(self, graph_inputs=graph_inputs([self.waveform], settings), graph_logits=scores)

    def compare(self, repo_id: str, revision: str, token: str | None = None) -> float:
        """Pulls a model of our own as a stranger would, with its code and into an empty cache, and scores the sound.

        The process that does so cannot import hfaudio.

        Args:
            repo_id: `owner/name`, whose code is trusted.
            revision: The hash of the commit.
            token: To read a private repository; None takes the one that is logged in.

        Returns:
            The largest difference between the logits, of the weights and of each graph.

        Raises:
            ProofError: The model cannot be pulled or run, or scores otherwise.
        """
        pulled = f"{repo_id} at revision {revision}"
        with TemporaryDirectory(prefix="hfaudio-proof-") as folder:
            np.save(Path(folder) / "probe.npy", self.waveform)
            np.savez(Path(folder) / "graph_inputs.npz", **self.graph_inputs)  # type: ignore[arg-type]  # no flag of its
            environment = {name: value for name, value in os.environ.items() if name not in OF_OTHER_CACHES}
            environment |= {"HF_HOME": folder, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
            token = token or get_token()
            if token is not None:
                environment["HF_TOKEN"] = token
            arguments = [repo_id, revision, "probe.npy", str(self.sampling_rate), *self.graph_logits]
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
        there = json.loads(done.stdout.splitlines()[-1])
        here = {"the local model": self.logits, **self.graph_logits}
        differences = [
            _difference(np.array(pulled_logits), logits)
            for pulled_logits, logits in zip(there, here.values(), strict=True)
        ]
        for name, difference in zip(here, differences, strict=True):
            if not difference <= TOLERANCE:
                raise ProofError(
                    f"Expected {pulled} to score as {name} does, within {TOLERANCE:g}, found a difference of "
                    f"{difference:.2g}; do not use this revision."
                )
        return max(differences)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max()) if one.shape == other.shape else np.inf


def usage(repo_id: str, revision: str) -> str:
    """Five lines that classify a recording with a pinned revision of a model."""
    return f"""from transformers import pipeline
classify = pipeline(
    "audio-classification", "{repo_id}", revision="{revision}", trust_remote_code=True
)
print(classify("recording.wav"))"""
