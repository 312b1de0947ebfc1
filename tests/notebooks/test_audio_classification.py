"""The walk-through: it runs, and what is committed is a whole run of it on real recordings."""

import ast
import base64
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "audio_classification.ipynb"
PUBLIC = ("hfaudio.data", "hfaudio.evaluation", "hfaudio.model", "hfaudio.training")
SECTIONS = ("What", "Why", "Results", "Caveats", "Assumptions", "Future")
LARGEST = 3_000_000  # bytes
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

VARIABLE = re.compile(r"HFAUDIO_NOTEBOOK_\w+")
ABSOLUTE = re.compile(r"(?<![\w.:/<-])/(?:Users|home|mnt|opt|private|root|srv|tmp|usr|var|work)/")

QUICK = {
    "HFAUDIO_NOTEBOOK_CLIPS_PER_CLASS": "5",
    "HFAUDIO_NOTEBOOK_EPOCHS": "1",
    "HFAUDIO_NOTEBOOK_LONG_EPOCHS": "2",
    "HFAUDIO_NOTEBOOK_MODEL_SIZE": "tiny",
}


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def pictures(notebook: Any) -> list[bytes]:
    shown = (output.get("data", {}).get("image/png") for output in outputs(notebook))
    return [base64.b64decode(picture) for picture in shown if picture]


def texts(notebook: Any) -> Iterator[str]:
    """Everything that can be read in the outputs, without the sounds and pictures."""
    for output in outputs(notebook):
        yield output.get("text", "") + "".join(output.get("traceback", []))
        for kind, content in output.get("data", {}).items():
            if kind.startswith("text/"):
                yield re.sub(r"data:\w+/\w+;base64,[\w+/=]+", "", content)


def test_the_notebook_runs_from_top_to_bottom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLE.findall(NOTEBOOK.read_text(encoding="utf-8")):
        monkeypatch.delenv(name, raising=False)
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # the kernel is killed and leaves its scratch folder
    executed = nbformat.read(NOTEBOOK, as_version=4)
    committed = len(pictures(executed))
    for cell in code_cells(executed):
        cell.update(outputs=[], execution_count=None)

    NotebookClient(executed, timeout=1800, resources={"metadata": {"path": str(tmp_path)}}).execute()

    assert [output.ename for output in outputs(executed) if output.output_type == "error"] == []
    drawn = pictures(executed)
    assert len(drawn) == committed
    assert all(picture.startswith(PNG_SIGNATURE) for picture in drawn)
    read = "\n".join(texts(executed))
    assert read.count("<audio") >= 10
    assert "**10 of 10 recordings** have the class that the evaluation found" in read
    assert "The sounds are synthetic." in read
    assert not ABSOLUTE.search(read), ABSOLUTE.findall(read)
    assert (tmp_path / "runs" / "notebook" / "model.safetensors").is_file()


def test_the_committed_outputs_are_of_one_whole_run_on_recordings(notebook: Any) -> None:
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {output.output_type for output in outputs(notebook)} <= {"display_data", "execute_result", "stream"}
    read = "\n".join(texts(notebook))
    assert len(pictures(notebook)) >= 8
    assert read.count("<audio") >= 10
    assert "have the class that the evaluation found" in read
    assert "The sounds are synthetic." not in read
    assert NOTEBOOK.stat().st_size < LARGEST


def test_the_notebook_names_no_place_on_a_machine(notebook: Any) -> None:
    for text in (*(cell.source for cell in notebook.cells), *texts(notebook)):
        assert not ABSOLUTE.search(text), ABSOLUTE.search(text)


def test_the_notebook_has_its_sections(notebook: Any) -> None:
    told = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for section in SECTIONS:
        assert re.search(rf"^(?:#+ {section}$|\*\*{section}\.\*\*)", told, re.MULTILINE), section


def test_every_setting_is_explained(notebook: Any) -> None:
    read = {name for cell in code_cells(notebook) for name in VARIABLE.findall(cell.source)}
    told = {
        name
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for name in re.findall(rf"^\| `({VARIABLE.pattern})` \|", cell.source, re.MULTILINE)
    }
    assert read == told


def test_the_notebook_uses_public_names_only(notebook: Any) -> None:
    used = []
    for node in (node for cell in code_cells(notebook) for node in ast.walk(ast.parse(cell.source))):
        if isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.partition(".")[0] == "hfaudio"]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hfaudio":
            assert node.module in PUBLIC
            used += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), node.attr
    assert used
    hidden = [(module, name) for module, name in used if name not in importlib.import_module(module).__all__]
    assert hidden == []
