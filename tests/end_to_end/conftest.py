"""Running scripts/train.py, in this process or, as its users do, in another."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = ["--hidden_sizes", "4", "8", "--depths", "1", "1", "--n_mels", "16", "--crop_seconds", "0.5", "--use_cpu"]
TINY += ["--cpu_threads", "1"]

ACCELERATE = ("accelerate.commands.launch", "--cpu")

Train = Callable[..., None]
MainOf = Callable[[str], Callable[[list[str]], int | None]]


def with_tiny(flags: Sequence[object]) -> list[str]:
    """The flags, with those of a tiny model that are not among them."""
    given = {str(flag) for flag in flags}
    starts = [index for index, one in enumerate(TINY) if one.startswith("--")]
    groups = [TINY[start:end] for start, end in zip(starts, [*starts[1:], len(TINY)], strict=True)]
    return [one for group in groups if group[0] not in given for one in group] + list(map(str, flags))


@pytest.fixture(scope="session")
def train(main_of: MainOf) -> Train:
    """Calls the script's main with a tiny model and the given flags."""
    main = main_of("train")
    return lambda *flags: main(with_tiny(flags))


@pytest.fixture(scope="session")
def train_further(main_of: MainOf) -> Train:
    """Calls the script's main with the given flags alone."""
    main = main_of("train")
    return lambda *flags: main(["--use_cpu", "--cpu_threads", "1", *map(str, flags)])


@pytest.fixture(scope="session")
def cross_validate(main_of: MainOf) -> Train:
    """Calls the script's main with a tiny model and the given flags."""
    main = main_of("cross_validate")
    return lambda *flags: main(with_tiny(flags))


@pytest.fixture(scope="session")
def launch() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `accelerate launch`, or another launcher, with a tiny model and the given flags."""

    def run(*flags: object, module: tuple[str, ...] = ACCELERATE) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *module, str(ROOT / "scripts" / "train.py")]
        return subprocess.run([*command, *with_tiny(flags)], capture_output=True, text=True, cwd=ROOT, timeout=300)

    return run


@pytest.fixture
def predict(main_of: MainOf, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
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
def calibrate_main(main_of: MainOf) -> Train:
    """Calls the script's main with the given flags."""
    main = main_of("calibrate")
    return lambda *flags: main(list(map(str, flags)))


@pytest.fixture(scope="session")
def export_onnx(main_of: MainOf) -> Train:
    """Calls the script's main with the given flags."""
    main = main_of("export_onnx")
    return lambda *flags: main(list(map(str, flags)))
