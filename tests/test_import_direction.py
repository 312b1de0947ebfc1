"""Imports run one way, as docs/architecture.md draws it; the model's files import nothing of ours but siblings."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "available_cores": set(),
    "file_locks": set(),
    "regular_files": set(),
    "audio": {"regular_files"},
    "model": set(),
    "data": {"audio", "available_cores", "file_locks", "regular_files", "spreadsheet_formulas"},
    "training": {"available_cores", "data", "evaluation", "file_locks", "model", "regular_files"},
    "evaluation": {"data", "model", "spreadsheet_formulas"},
    "inference": {"audio", "available_cores", "file_locks", "model", "regular_files", "spreadsheet_formulas"},
    "hub": {"command_line", "data", "evaluation", "inference", "model", "regular_files", "training"},
    "registration": {"model"},
    "command_line": {"regular_files"},
    "spreadsheet_formulas": set(),
    "dataclass_parser": {"command_line"},
    "__init__": {"data", "model", "registration", "training"},
}
SHIPPED = sorted((ROOT / "hfaudio" / "model").glob("[!_]*.py"))
FILES = sorted((ROOT / "hfaudio").rglob("*.py"))


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """The level (number of leading dots) and the module of every import of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    home = path.relative_to(ROOT / "hfaudio").parts[0].removesuffix(".py")
    for level, module in imported_modules(path):
        package, *rest = module.split(".")
        if level == 0 and package == "hfaudio":
            assert rest, "the package root must not be imported"
            assert rest[0] == home or rest[0] in ALLOWED[home], f"{home} must not import {module}"
        assert package != "scripts"
        assert level == 0 or home == "model"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_files_that_ship_import_siblings_only(path: Path) -> None:
    siblings = {sibling.stem for sibling in SHIPPED}
    third_party = {"numpy", "torch", "transformers"}
    standard = {"collections", "copy", "functools", "http", "inspect", "io", "math", "os", "stat", "typing", "urllib"}
    # Outsiders need not install what is imported within a try; see transformers.dynamic_module_utils.get_imports.
    assert set(get_imports(path)) <= third_party | standard
    guarded = {"soundfile", "timm"}
    for level, module in imported_modules(path):
        if level:
            assert level == 1
            assert module in siblings
        else:
            assert module.split(".")[0] in third_party | standard | guarded


def test_every_module_says_what_is_public() -> None:
    for path in FILES:
        names = {
            target.id
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert "__all__" in names, path
