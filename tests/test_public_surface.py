"""What a package names in `__all__` can be imported from it and says what it is."""

import importlib
import inspect
import pkgutil
from typing import Any

import pytest

import hfaudio

PACKAGES = ["hfaudio", *(f"hfaudio.{found.name}" for found in pkgutil.iter_modules(hfaudio.__path__) if found.ispkg)]


def public_names() -> list[tuple[str, str]]:
    return [(package, name) for package in PACKAGES for name in importlib.import_module(package).__all__]


@pytest.mark.parametrize(("package", "name"), public_names())
def test_a_public_name_can_be_imported_and_is_described(package: str, name: str) -> None:
    found: Any = getattr(importlib.import_module(package), name)
    if inspect.isclass(found) or inspect.isfunction(found):
        own = vars(found).get("__doc__") if inspect.isclass(found) else found.__doc__  # none that is inherited
        first = (own or "").split("\n")[0]
        assert first.endswith("."), first
        assert not first.startswith(f"{name}("), "dataclasses describe themselves by their arguments"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_public_name_stands_there_once(package: str) -> None:
    names = importlib.import_module(package).__all__
    assert len(names) == len(set(names))
