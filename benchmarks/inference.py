"""What it costs to classify two-second clips, from the waveform to the probabilities, beside published models.

python benchmarks/inference.py [--dataset FOLDER] [--cores 1 2] [--batch 1 32]

Weights are random and everybody has the same noise at their own rate. Each measurement has a process of its own, bound
to so many cores. With --dataset recordings are predicted from files, beside decoding and scoring alone; and the time
from the command line to the first answer is taken.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
SECONDS = 2.0
RATE = 16_000
BUDGET = 2.0  # seconds that a measurement lasts, at least one run
STARTS = 5
TURNS = 3
COMPILED = "torch.compile"
SOUNDS = (".flac", ".mp3", ".ogg", ".wav")
CALIBRATION_CLIPS = 20

Stage = Callable[[], object]


def noise(clips: int, rate: int = RATE) -> list[np.ndarray]:
    """Clips of two seconds."""
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(round(SECONDS * rate))).astype(np.float32) for _ in range(clips)]


def own(folder: str, backend: str, clips: int, threads: int) -> Stage:
    """The model of size small, as `Predictor` scores with it."""
    from hfaudio.inference import ClassifierSettings
    from hfaudio.inference.onnx_backend import ONNX_FILE, ONNX_INT8_FILE, OnnxBackend
    from hfaudio.inference.pooling import to_probabilities

    scorer: Any
    if backend in ("onnx", "onnx_int8"):
        file = ONNX_FILE if backend == "onnx" else ONNX_INT8_FILE
        scorer = OnnxBackend(Path(folder, file), ClassifierSettings.read(folder), threads)
    else:
        import torch

        from hfaudio.inference.torch_backend import TorchBackend

        torch.set_num_threads(threads)
        scorer = TorchBackend(folder, "cpu")
        if backend == "compiled":
            scorer.model = torch.compile(scorer.model)
    waveforms = noise(clips)
    return lambda: to_probabilities(scorer.score(waveforms), multi_label=False)


def ast(clips: int, threads: int) -> Stage:
    """The Audio Spectrogram Transformer of transformers, through the stock pipeline, which pads to ten seconds."""
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification, pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.set_num_threads(threads)
    classify: Any = pipeline(
        "audio-classification",
        model=ASTForAudioClassification(ASTConfig(id2label={index: str(index) for index in range(527)})).eval(),
        feature_extractor=ASTFeatureExtractor(),
    )
    waveforms = noise(clips)
    return lambda: classify([samples.copy() for samples in waveforms], batch_size=clips)


def reference(name: str, compiled: bool, clips: int, threads: int) -> Stage:
    """A published CNN in PyTorch."""
    import reference_models
    import torch

    torch.set_num_threads(threads)
    model = getattr(reference_models, name)().eval().to(memory_format=torch.channels_last)
    if compiled:
        model = torch.compile(model)
    waveforms = torch.from_numpy(np.stack(noise(clips, reference_models.REFERENCE_RATE)))

    @torch.inference_mode()
    def stage() -> Any:
        return model(waveforms).numpy()

    return stage


def reference_graph(folder: str, clips: int, threads: int) -> Stage:
    """The MN10 in ONNX Runtime, with the spectrogram that our graphs have."""
    import onnxruntime  # type: ignore[import-untyped]  # it has no py.typed

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(Path(folder, "mn10.onnx"), options, ["CPUExecutionProvider"])
    waveforms = np.stack(noise(clips, 2 * RATE))
    return lambda: session.run(None, {"waveforms": waveforms})


CONTENDERS: dict[str, Callable[[str, int, int], Stage]] = {
    "hfaudio small, PyTorch": lambda folder, clips, threads: own(folder, "torch", clips, threads),
    "hfaudio small, torch.compile": lambda folder, clips, threads: own(folder, "compiled", clips, threads),
    "hfaudio small, ONNX": lambda folder, clips, threads: own(folder, "onnx", clips, threads),
    "hfaudio small, ONNX int8": lambda folder, clips, threads: own(folder, "onnx_int8", clips, threads),
    "mn10, PyTorch": lambda _, clips, threads: reference("MN10", False, clips, threads),
    "mn10, torch.compile": lambda _, clips, threads: reference("MN10", True, clips, threads),
    "mn10, ONNX": reference_graph,
    "CNN14, PyTorch": lambda _, clips, threads: reference("CNN14", False, clips, threads),
    "AST, pipeline": lambda _, clips, threads: ast(clips, threads),
}


def write_models(folder: str) -> None:
    """Saves our model and the graphs of it and of the MN10."""
    import torch
    from reference_models import MN10

    from hfaudio.inference import ClassifierSettings
    from hfaudio.inference.onnx_backend import ONNX_FILE, ONNX_INT8_FILE
    from hfaudio.inference.onnx_export import export_onnx
    from hfaudio.inference.onnx_quantization import quantize_onnx
    from hfaudio.model import (
        SpectrogramCNNConfig,
        SpectrogramCNNFeatureExtractor,
        SpectrogramCNNForAudioClassification,
    )

    model = SpectrogramCNNForAudioClassification(SpectrogramCNNConfig.from_size("small", num_labels=10))
    extractor = SpectrogramCNNFeatureExtractor(mean=[[-5.0] * 64], std=[[4.0] * 64])
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    export_onnx(model, extractor, Path(folder, ONNX_FILE), folder)
    settings = ClassifierSettings.read(folder)
    quantize_onnx(Path(folder, ONNX_FILE), noise(CALIBRATION_CLIPS), settings, Path(folder, ONNX_INT8_FILE))
    torch.onnx.export(
        MN10(matrices=True).eval(),
        (torch.zeros(2, round(SECONDS * 2 * RATE)),),
        Path(folder, "mn10.onnx"),
        input_names=["waveforms"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        verbose=False,
    )


def measure(name: str, folder: str, clips: int, cores: int) -> dict[str, float]:
    """The median time of a contender, in seconds, and the memory at its highest."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    stage = CONTENDERS[name](folder, clips, cores)
    CONTENDERS[name](folder, 1, cores)() if name.startswith("AST") else stage()  # a batch of AST takes minutes
    times: list[float] = []
    while sum(times) < BUDGET:
        start = time.perf_counter()
        stage()
        times.append(time.perf_counter() - start)
    return {"seconds": statistics.median(times), "megabytes": peak_megabytes()}


def peak_megabytes() -> float:
    """Of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def from_files(folder: str, dataset: str) -> dict[str, float]:
    """Recordings in a second, with ONNX: read and resampled alone, scored alone, and predicted on all cores.

    Prediction does both at once, so that each has half of the cores for itself: alone they are measured on half, and
    on all.
    """
    from hfaudio.available_cores import available_cores
    from hfaudio.inference import ClassifierSettings, Predictor
    from hfaudio.inference.audio_files import find_audio
    from hfaudio.inference.onnx_backend import ONNX_FILE, OnnxBackend
    from hfaudio.inference.recording_reader import RecordingReader

    paths = list(find_audio([dataset]))
    settings = ClassifierSettings.read(folder)
    recordings: list[Any] = []

    def read(threads: int) -> None:
        recordings.clear()
        reader = RecordingReader(RATE, settings.max_samples, settings.max_samples, threads)
        for reading in reader.read(paths):
            while (window := reading.windows.get()) is not None:
                recordings.append({"array": window[1], "sampling_rate": RATE})  # type: ignore[index]

    def predictor(threads: int) -> Predictor:
        return Predictor(OnnxBackend(Path(folder, ONNX_FILE), settings, threads), settings, threads=threads)

    every = available_cores()
    half = max(1, every // 2)
    on_half, on_all = predictor(half), predictor(every)
    stages: dict[str, Callable[[], object]] = {
        "decoding alone, half of the cores": lambda: read(half),
        "decoding alone, all cores": lambda: read(every),
        "scoring alone, half of the cores": lambda: list(on_half.stream(recordings)),
        "scoring alone, all cores": lambda: list(on_all.stream(recordings)),
        "prediction": lambda: list(on_all.stream(paths)),
    }
    rates: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(TURNS):
        for name, stage in stages.items():
            start = time.perf_counter()
            stage()
            rates[name].append(len(paths) / (time.perf_counter() - start))
    return {name: statistics.median(own) for name, own in rates.items()}


def first_answer(folder: str, path: str) -> float:
    """Seconds from the command line to the prediction of one recording, with ONNX; the median of some starts."""
    command = [sys.executable, str(ROOT / "scripts" / "predict.py"), path, "--model", folder, "--backend", "onnx"]
    times = []
    for _ in range(STARTS):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def in_a_process(*stage: object) -> dict[str, float]:
    """What one stage of this script measures, or how it failed."""
    command = [sys.executable, __file__, "--stage", *map(str, stage)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    run = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{run.stderr}")
    return {name: float(value) for name, value in json.loads(run.stdout.splitlines()[-1]).items()}


def print_table(folder: str, names: Sequence[str], cores: Sequence[int], batches: Sequence[int]) -> None:
    """One row a contender, batch and number of cores."""
    print("| cores | batch | what | clips/s | ms a clip | times real time | peak memory, MB |")
    print("|---|---|---|---|---|---|---|")
    for number in cores:
        for clips in batches:
            for name in names:
                measured = in_a_process("measure", name, folder, clips, number)
                rate = clips / measured["seconds"]
                print(
                    f"| {number} | {clips} | {name} | {rate:,.1f} | {1e3 / rate:,.2f} | {SECONDS * rate:,.0f} | "
                    f"{measured['megabytes']:,.0f} |",
                    flush=True,
                )


def run_stage(stage: str, *arguments: str) -> object:
    """One of the stages that have a process of their own."""
    if stage == "write_models":
        write_models(*arguments)
        return {}
    if stage == "from_files":
        return from_files(*arguments)
    name, folder, clips, cores = arguments
    return measure(name, folder, int(clips), int(cores))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", help="a folder of recordings to predict")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2], help="[1 2]")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32], help="[1 32]")
    parser.add_argument("--contenders", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS), help="[all]")
    parser.add_argument("--stage", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        print(json.dumps(run_stage(*arguments.stage)))
        return
    contenders = list(arguments.contenders)
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        contenders = [name for name in contenders if not name.endswith(COMPILED)]
        print("No C++ compiler is installed: torch.compile is left out.\n")
    with tempfile.TemporaryDirectory() as folder:
        in_a_process("write_models", folder)
        if contenders:
            print_table(folder, contenders, arguments.cores, arguments.batch)
        if arguments.dataset:
            rates = in_a_process("from_files", folder, arguments.dataset)
            print(f"\nrecordings/s from files: {', '.join(f'{name} {rate:,.0f}' for name, rate in rates.items())}")
            for share in ("half of the cores", "all cores"):
                slower = min(rates[f"{stage} alone, {share}"] for stage in ("decoding", "scoring"))
                print(f"prediction / the slower of the two, {share}: {rates['prediction'] / slower:.2f}")
            recording = next(path for path in sorted(Path(arguments.dataset).rglob("*")) if path.suffix in SOUNDS)
            print(f"from the command line to the first answer: {first_answer(folder, str(recording)):.2f} s")


if __name__ == "__main__":
    main()
