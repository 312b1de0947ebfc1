"""Write a model as one ONNX graph, from the waveform to the scores, and compare it with PyTorch.

The graph goes beside the model as model.onnx, where scripts/predict.py and hfaudio.inference.Predictor find it; they
then need no torch. It takes any number of recordings of any length.

With --int8 there is a second one, model_int8.onnx, with convolutions in 8-bit integers, for predict.py --backend
onnx_int8. Recordings of a data set with the model's classes say which numbers occur, and others what it costs.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hfaudio.command_line import exit_on, run_script

# isort: split
import datasets
import numpy as np
from transformers import EvalPrediction

from hfaudio.data import DataError, PreparedAudio, split_by_file, split_randomly
from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.evaluation import compute_metrics, describe_metrics
from hfaudio.evaluation.prediction_arrays import label_array
from hfaudio.inference import ClassifierSettings, ModelError
from hfaudio.inference.model_folder import find_model
from hfaudio.inference.onnx_backend import ONNX_FILE, OnnxBackend
from hfaudio.inference.onnx_export import export_onnx
from hfaudio.inference.onnx_quantization import quantize_onnx
from hfaudio.inference.torch_backend import TorchBackend
from hfaudio.training.data_arguments import RANDOM_SPLIT, SourceArguments

BATCH = 16
SEED = 0
SPLIT_FILE = "split.csv"  # that a training leaves beside the model
TEST_SIZE = 0.2


@dataclass
class ExportArguments:
    """What to write."""

    model: str = field(default="runs/latest", metadata={"help": "A folder, or owner/name[@revision] on the Hub."})
    output: str | None = field(
        default=None, metadata={"help": "Where the graph goes [model.onnx in the model's folder]."}
    )
    int8: bool = field(default=False, metadata={"help": "Write a quantized graph too, as ..._int8.onnx beside it."})
    split: str | None = field(
        default=None,
        metadata={
            "help": "The split.csv whose held-out part is scored, while the rest gives the ranges, or random [the "
            "model's own; without one random]."
        },
    )
    calibration_recordings: int = field(
        default=200, metadata={"help": "How many recordings give the ranges, at most."}
    )

    def __post_init__(self) -> None:
        if self.calibration_recordings < 1:
            raise ValueError(f"--calibration_recordings must be at least 1, found {self.calibration_recordings}.")
        if self.split is not None and not self.int8:
            raise ValueError("--split needs --int8, found none; add it to have a quantized graph.")


def make_parser() -> CommandLineParser:
    """The flags."""
    return CommandLineParser(
        [ExportArguments, SourceArguments], unnamed="model", prog="export_onnx.py", description=__doc__
    )


def main(argv: list[str]) -> None:
    """Exports, from flags to the graph."""
    arguments, source = make_parser().parse(argv)
    with exit_on(ModelError, DataError, ValueError):
        if source != SourceArguments() and not arguments.int8:
            raise ValueError("The flags of a data set need --int8, found none; add it to have a quantized graph.")
        folder = find_model(arguments.model)
        path = Path(arguments.output or folder / ONNX_FILE)
        if not path.parent.is_dir():
            raise ValueError(f"Expected the folder {path.parent} for --output, found none; make it first.")
        model = TorchBackend(folder, device="cpu")
        difference = export_onnx(model.model, model.extractor, path, folder)
        print(f"graph: {path} ({_megabytes(path)}); the scores differ from PyTorch's by {difference:.1g}")
        if arguments.int8:
            settings = ClassifierSettings.read(folder)
            audio = source.load(settings.sampling_rate)
            _check_classes(audio, settings)
            parts = divide(audio, arguments.split, folder)
            quantize(path, parts, settings, arguments.calibration_recordings)


def divide(audio: PreparedAudio, split: str | None, folder: Path) -> datasets.DatasetDict:
    """Divides recordings into those that give the ranges, `train`, and those that are scored, `test`."""
    own = folder / SPLIT_FILE
    if split == RANDOM_SPLIT or (split is None and not own.is_file()):
        return split_randomly(audio.dataset, TEST_SIZE, SEED)
    return split_by_file(audio.dataset, split or own, audio.left_out)


def quantize(path: Path, parts: datasets.DatasetDict, settings: ClassifierSettings, number: int) -> None:
    """Writes the quantized graph, and prints what it costs and what it saves."""
    quantized = path.with_name(f"{path.stem}_int8{path.suffix}")
    chosen = np.random.default_rng(SEED).permutation(len(parts["train"]))[:number]
    quantize_onnx(path, (row["waveform"] for row in _waveforms(parts["train"].select(chosen))), settings, quantized)
    print(f"int8: {quantized} ({_megabytes(quantized)}), with the ranges of {len(chosen)} recordings")
    labels = label_array(parts["test"]["label"][:], len(settings.class_names))
    predicted = []
    print(f"{len(labels)} other recordings:")
    for name, graph in (("float", path), ("int8", quantized)):
        logits, seconds = score(graph, parts["test"], settings)
        metrics = compute_metrics(EvalPrediction(predictions=logits, label_ids=labels))
        words = describe_metrics({f"eval_{key}": value for key, value in metrics.items()})
        told = ", ".join(f"{metric} {value}" for metric, value in words.items())
        print(f"  {name}: {told}; {1e3 * seconds / len(labels):.1f} ms a recording")
        predicted.append(logits > 0 if settings.multi_label else logits.argmax(axis=1)[:, None])
    agreeing = (predicted[0] == predicted[1]).all(axis=1)
    print(f"  the same labels by both: {agreeing.sum()} ({agreeing.mean():.1%})")


def score(graph: Path, recordings: datasets.Dataset, settings: ClassifierSettings) -> tuple[np.ndarray, float]:
    """The logits `(recordings, num_labels)`, and the seconds that they took."""
    backend = OnnxBackend(graph, settings)
    logits: list[np.ndarray] = []
    seconds = 0.0
    for batch in _waveforms(recordings).iter(BATCH):
        waveforms: Sequence[np.ndarray] = batch["waveform"]
        start = time.perf_counter()
        logits.append(backend.score(waveforms))
        seconds += time.perf_counter() - start
    return np.concatenate(logits), seconds


def _check_classes(audio: PreparedAudio, settings: ClassifierSettings) -> None:
    if tuple(audio.class_names) != settings.class_names or audio.multi_label != settings.multi_label:
        raise ValueError(
            f"Expected a data set with the classes of the model, {', '.join(settings.class_names)}, found "
            f"{', '.join(audio.class_names)}; give the one it was trained on, or one of the same classes."
        )


def _waveforms(recordings: datasets.Dataset) -> datasets.Dataset:
    return recordings.select_columns("waveform").with_format("numpy")


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


if __name__ == "__main__":
    run_script(main, "run it again; no graph was replaced by half of one")
