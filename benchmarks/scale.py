"""What inspect, train and predict cost for many short files, and train for a few long ones: seconds and memory.

python benchmarks/scale.py [--files 5000 50000] [--hours 20] [--folder FOLDER]

Each command is a process of its own with an empty cache before the first. Memory is the highest sum over it and the
processes that it starts, sampled four times a second: the proportional set size, in which pages that several share
count once, and of it the part that is no file mapped into memory, which the system cannot drop. Seconds of the CPU
are those of all processes: beside other work they say more than the others.
"""

import argparse
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
RATE = 8_000
SECONDS = 0.5
CLASSES = 10
HOUR = 3600
TRAIN = ("scripts/train.py", "--model_size", "tiny", "--max_steps", "5", "--use_cpu", "--cpu_threads", "1")
"""With one thread: several wait for each other where something else runs."""

SAMPLED_EVERY = 0.25  # seconds

Measured = dict[str, float]


def write_short_files(folder: Path, files: int) -> Path:
    """Writes half-second files that all differ, in folders of ten classes."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class-{label}").mkdir(parents=True)
    for index in range(files):
        noise = rng.normal(0.0, 0.1, round(SECONDS * RATE))
        soundfile.write(folder / f"class-{index % CLASSES}" / f"{index:06d}.wav", noise, RATE)
    return folder


def write_long_files(folder: Path, files: int) -> Path:
    """Writes one-hour files of two classes, a minute at a time."""
    rng = np.random.default_rng(0)
    for index in range(files):
        path = folder / f"class-{index % 2}" / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for _ in range(HOUR // 60):
                file.write(rng.normal(0.0, 0.1, 60 * RATE))
    return folder


def measure(command: Sequence[str], cache: Path) -> Measured:
    """Runs a command, and returns its seconds and its highest memory in MB."""
    environment = {**os.environ, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    environment |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    start, used = time.perf_counter(), cpu_seconds()
    highest = anonymous = 0.0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=said, stderr=said)
        while process.poll() is None:
            whole, alone = np.sum([memory(pid) for pid in family(process.pid)], axis=0)
            highest, anonymous = max(highest, whole), max(anonymous, alone)
            time.sleep(SAMPLED_EVERY)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{said.read()[-2000:]}")
    return {
        "seconds": time.perf_counter() - start,
        "CPU seconds": cpu_seconds() - used,
        "memory, MB": highest,
        "not of files, MB": anonymous,
    }


def cpu_seconds() -> float:
    """Seconds of the CPU that ended child processes have taken, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def family(pid: int) -> list[int]:
    """A process and all that it started, directly or through others."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def memory(pid: int) -> tuple[float, float]:
    """Proportional set size and its anonymous part, in MB; zeros where the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0.0, 0.0
    sizes = {name: int(size.split()[0]) / 1024 for name, _, size in (line.partition(":") for line in lines)}
    return sizes["Pss"], sizes["Pss_Anon"] + sizes["Pss_Shmem"]


def short_files(scratch: Path, files: int) -> dict[str, Measured]:
    """Measures the three commands on many short files, the second and third with what the first has cached."""
    sounds = write_short_files(scratch / "sounds", files)
    cache, model = scratch / "cache", scratch / "model"
    commands = {
        "inspect": ["scripts/inspect_dataset.py", sounds, "--output", scratch / "report.html"],
        "train": [*TRAIN, "--dataset", sounds, "--output_dir", model],
        "predict": ["scripts/predict.py", "--model", model, sounds, "--output", scratch / "predictions.csv"],
    }
    measured = {name: measure([*map(str, command)], cache) for name, command in commands.items()}
    for name in ("report.html", "report.json"):
        measured["inspect"][f"{name}, MB"] = (scratch / name).stat().st_size / 2**20
    return measured


def long_files(scratch: Path, files: int) -> dict[str, Measured]:
    """Measures a training on one-hour files."""
    sounds = write_long_files(scratch / "sounds", files)
    command = [*TRAIN, "--dataset", sounds, "--output_dir", scratch / "model"]
    return {"train": measure([*map(str, command)], scratch / "cache")}


def main() -> None:
    """Prints one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="*", default=[5_000, 50_000], help="short files [5000 50000]")
    parser.add_argument("--hours", type=int, default=20, help="one-hour files; 0 for none [20]")
    parser.add_argument(
        "--folder", help="where the files go meanwhile: 50,000 need 3 GB, twenty hours 6 [a temporary one]"
    )
    arguments = parser.parse_args()
    found: dict[int, dict[str, Measured]] = {}
    for kind, count in [*(("short files", files) for files in arguments.files), ("hours", arguments.hours)]:
        if not count:
            continue
        scratch = Path(tempfile.mkdtemp(dir=arguments.folder))
        try:
            measured = (short_files if kind == "short files" else long_files)(scratch, count)
        finally:
            shutil.rmtree(scratch)
        for name, figures in measured.items():
            rounded = {key: round(value, 1) for key, value in figures.items()}
            print(json.dumps({"command": name, kind: count, **rounded}), flush=True)
        if kind == "short files":
            found[count] = measured
    for few, many in itertools.pairwise(found):
        for name, figures in found[many].items():
            ratios = {key: round(value / found[few][name][key], 2) for key, value in figures.items()}
            print(
                json.dumps({"command": name, "short files": f"{many} / {few} = {many / few:g}", **ratios}), flush=True
            )


if __name__ == "__main__":
    main()
