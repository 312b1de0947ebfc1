"""Running scripts/train.py, in this process or, as its users do, in another."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = ["--hidden_sizes", "4", "8", "--depths", "1", "1", "--n_mels", "16", "--crop_seconds", "0.5", "--use_cpu"]
TINY += ["--cpu_threads", "1"]

ACCELERATE = ("accelerate.commands.launch", "--cpu")

Train = Callable[..., None]


def main_of(script: str) -> Callable[[list[str]], None]:
    spec = importlib.util.spec_from_file_location(script, ROOT / "scripts" / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="session")
def train() -> Train:
    """Calls the script's main with a tiny model and the given flags."""
    main = main_of("train")
    return lambda *flags: main([*TINY, *map(str, flags)])


@pytest.fixture(scope="session")
def train_further() -> Train:
    """Calls the script's main with the given flags alone."""
    main = main_of("train")
    return lambda *flags: main(["--use_cpu", "--cpu_threads", "1", *map(str, flags)])


@pytest.fixture(scope="session")
def cross_validate() -> Train:
    """Calls the script's main with a tiny model and the given flags."""
    main = main_of("cross_validate")
    return lambda *flags: main([*TINY, *map(str, flags)])


@pytest.fixture(scope="session")
def launch() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `accelerate launch`, or another launcher, with a tiny model and the given flags."""

    def run(*flags: object, module: tuple[str, ...] = ACCELERATE) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *module, str(ROOT / "scripts" / "train.py")]
        return subprocess.run(
            [*command, *TINY, *map(str, flags)], capture_output=True, text=True, cwd=ROOT, timeout=300
        )

    return run


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Calls the script's main, and gives its exit code and what it printed."""
    main = main_of("predict")

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as ending:
            code = ending.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def calibrate_main() -> Train:
    """Calls the script's main with the given flags."""
    main = main_of("calibrate")
    return lambda *flags: main(list(map(str, flags)))


@pytest.fixture(scope="session")
def export_onnx() -> Train:
    """Calls the script's main with the given flags."""
    main = main_of("export_onnx")
    return lambda *flags: main(list(map(str, flags)))
