"""A Hub on this machine for each test, and the real clients that push to it and pull from it.

`hub` is the Hub. `python` and `run_python` run code or a script in a process of its own, as a user would; `hub_here`
lets this very process push and pull, which saves the seconds of importing torch.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import datasets
import pytest
from hub_server import LocalHub, running_hub
from huggingface_hub import constants

ROOT = Path(__file__).parents[2]
FOR_OTHER_HUBS = ("HF_", "HUGGING", "TRANSFORMERS_")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """An empty Hub of this test's own, over real HTTP.

    Look into it with `hub.repositories["models", "owner/name"].files("main")`, and let requests fail with
    `hub.fail("POST", "/commit/")` (the connection breaks off) or `hub.fail("PUT", "/lfs/", status=503, times=2)`.
    The account `owner` may write in its own namespace, `reader` may not write.
    """
    with running_hub() as running:
        yield running


@pytest.fixture
def hub_environment(hub: LocalHub, tmp_path: Path) -> dict[str, str]:
    """The environment in which the clients know this Hub alone, with the token of `owner` and a cache of their own.

    They read it when they are imported, so that it is for other processes. Without `HF_TOKEN` they are nobody.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOR_OTHER_HUBS)}
    return kept | {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(tmp_path / "hf_home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": hub.token,
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def hub_here(hub: LocalHub, hub_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """The Hub, made known to this process too: its clients look up what they read when they were imported."""
    for name, value in hub_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    file, cache = "/{repo_id}/resolve/{revision}/", Path(hub_environment["HF_HOME"])
    changes = {
        constants: {
            "ENDPOINT": hub.endpoint,
            "HF_HUB_CACHE": str(cache / "hub"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_OFFLINE": False,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.endpoint}{file}{{filename}}",
        },
        datasets.config: {
            "HF_DATASETS_CACHE": cache / "datasets",
            "HF_DATASETS_OFFLINE": False,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HUB_OFFLINE": False,
            "SLEEP_TIME_ON_THREADS_SHUTDOWN": 0.05,  # s, after each epoch of a stream, in place of 5
            "HUB_DATASETS_URL": f"{hub.endpoint}/datasets{file}{{path}}",
        },
    }
    for module, values in changes.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)
    return hub


@pytest.fixture
def run_python(hub_environment: dict[str, str], tmp_path: Path) -> Run:
    """Runs Python with the clients of this test's Hub, and gives the finished process.

    The first argument is code or the path of a script of the project such as `scripts/predict.py`, the others are its
    arguments. `environment` changes the environment; a variable that is None is removed.
    """

    def run(
        code: str, *arguments: object, environment: Mapping[str, str | None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        changed = hub_environment | dict(environment or {})
        program = [str(ROOT / code)] if code.endswith(".py") else ["-c", code]
        return subprocess.run(
            [sys.executable, *program, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={name: value for name, value in changed.items() if value is not None},
            timeout=300,
        )

    return run


@pytest.fixture
def python(run_python: Run) -> Callable[..., str]:
    """As `run_python`, for what must succeed: what it printed."""

    def run(code: str, *arguments: object, environment: Mapping[str, str | None] | None = None) -> str:
        done = run_python(code, *arguments, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
