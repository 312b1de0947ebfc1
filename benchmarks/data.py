"""What the way from files to crops costs: decoding against bare soundfile, listing, splitting, memory, reading crops.

python benchmarks/data.py [--dataset FOLDER] [--files 100000]

Everything is measured in one run, each in a process of its own; preparation and bare decoding take turns.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import soundfile

if TYPE_CHECKING:
    from hfaudio.data import Recording

REPEATS = 3
TURNS = 21  # each scatters by 0.06 on a machine that is shared
RATE = 16_000
CROP_SECONDS = 2.0


def bare_decoding(paths: list[str], cores: int) -> float:
    """Seconds that soundfile takes to read all files, shared out among processes that are started for it."""
    start = time.perf_counter()
    with ProcessPoolExecutor(cores) as pool:
        for _ in pool.map(_read, paths, chunksize=16):
            pass
    return time.perf_counter() - start


def _read(path: str) -> int:
    return len(soundfile.read(path, dtype="float32")[0])


def preparation(folder: str) -> dict[str, float]:
    """Files decoded in a second by soundfile alone, and by `cached_shards` into an empty cache; medians."""
    from hfaudio.available_cores import available_cores
    from hfaudio.data import Columns, list_recordings

    column = "category" if (Path(folder) / "metadata.csv").is_file() else None
    recordings = list_recordings(folder, Columns(label=column)).recordings
    paths = [str(recording.audio) for recording in recordings]
    cores = available_cores()
    bare, whole = [], []
    for _ in range(TURNS):
        bare.append(bare_decoding(paths, cores))
        whole.append(_preparing(recordings, cores))
    return {
        "files": len(paths),
        "cores": cores,
        "bare soundfile, files/s": len(paths) / statistics.median(bare),
        "preparation, files/s": len(paths) / statistics.median(whole),
        "preparation / bare": statistics.median(one / two for one, two in zip(bare, whole, strict=True)),
    }


def _preparing(recordings: "Sequence[Recording]", cores: int) -> float:
    """Seconds; the processes inherit what is replaced in this one."""
    import datasets

    from hfaudio.data import DecodingSettings
    from hfaudio.data.prepared_cache import cached_shards

    with tempfile.TemporaryDirectory() as cache, mock.patch.object(datasets.config, "HF_DATASETS_CACHE", cache):
        start = time.perf_counter()
        cached_shards(recordings, DecodingSettings(RATE), cores)
        return time.perf_counter() - start


def listing(folder: str) -> dict[str, float]:
    """Seconds to list and to split many short files, and the memory at its highest."""
    from hfaudio.data import list_recordings
    from hfaudio.data.stratification import deal_out

    start = time.perf_counter()
    recordings = list_recordings(folder).recordings
    listed = time.perf_counter()
    classes = {name: index for index, name in enumerate(sorted({r.labels[0] for r in recordings}))}
    labels = [[classes[recording.labels[0]]] for recording in recordings]
    deal_out(labels, np.arange(len(labels)), (0.8, 0.2), seed=0)
    alone = time.perf_counter()
    deal_out(labels, np.arange(len(labels)) // 5, [0.1] * 10, seed=0)
    return {
        "files": len(recordings),
        "listed, s": listed - start,
        "split at random, s": alone - listed,
        "ten grouped folds, s": time.perf_counter() - alone,
        "peak memory, MB": _peak_megabytes(),
    }


def memory(folder: str) -> dict[str, float]:
    """Memory at its highest, in this process and in those that decode, for the recordings of a folder."""
    from hfaudio.data import load_audio_dataset

    audio = load_audio_dataset(folder)
    for first in range(0, len(audio.dataset), 100):
        audio.dataset[first]
    return {
        "recordings": len(audio.dataset),
        "waveforms, MB": sum(audio.dataset["seconds"]) * RATE * 4 / 2**20,
        "peak memory, MB": _peak_megabytes(),
        "peak memory of a decoding process, MB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }


def reading(folder: str) -> dict[str, float]:
    """Two-second crops read in a second from the cache, in random order, on one core."""
    from hfaudio.data import AudioCrops, CropRule, ExampleKey, load_audio_dataset

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    crops = AudioCrops(load_audio_dataset(folder).dataset, CropRule(round(CROP_SECONDS * RATE)))
    rng = np.random.default_rng(0)
    keys = [ExampleKey(index, seed) for seed, index in enumerate(rng.integers(len(crops), size=20_000).tolist())]
    best = 0.0
    for _ in range(REPEATS):
        start = time.perf_counter()
        for key in keys:
            crops[key]["waveform"].sum()  # touches every sample
        best = max(best, len(keys) / (time.perf_counter() - start))
    return {"recordings": len(crops), "crops/s": best}


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_noise(folder: Path, files: int, seconds: float) -> Path:
    """Writes short WAV files, in folders of ten classes."""
    rng = np.random.default_rng(0)
    for label in range(10):
        (folder / f"class-{label}").mkdir(parents=True)
    for index in range(files):
        noise = rng.uniform(-0.5, 0.5, round(seconds * RATE))
        soundfile.write(folder / f"class-{index % 10}" / f"{index:06d}.wav", noise, RATE)
    return folder


STAGES: dict[str, Callable[[str], dict[str, float]]] = {
    "preparation": preparation,
    "listing": listing,
    "memory": memory,
    "reading": reading,
}


def main() -> None:
    """Prints one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", help="recordings to decode [500 of five seconds, written for this]")
    parser.add_argument("--files", type=int, default=100_000, help="short files to list and split [100000]")
    parser.add_argument("--stage", nargs=2, metavar=("NAME", "FOLDER"), help="measure one stage alone")
    arguments = parser.parse_args()
    if arguments.stage:
        name, folder = arguments.stage
        print(json.dumps({"stage": name, **{key: round(value, 3) for key, value in STAGES[name](folder).items()}}))
        return
    with tempfile.TemporaryDirectory() as scratch:
        small = write_noise(Path(scratch, "small"), files=200, seconds=5.0)
        large = write_noise(Path(scratch, "large"), files=2000, seconds=5.0)
        many = write_noise(Path(scratch, "many"), arguments.files, seconds=0.01)
        for name, folder in (
            ("preparation", arguments.dataset or str(large)),
            ("listing", str(many)),
            ("memory", str(small)),
            ("memory", str(large)),
            ("reading", str(large)),
        ):
            environment = {**os.environ, "HF_HOME": str(Path(scratch, "cache")), "HF_HUB_OFFLINE": "1"}
            environment |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
            command = [sys.executable, __file__, "--stage", name, folder]
            subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
