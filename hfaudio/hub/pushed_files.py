"""Which files of a model's folder go to the Hub, and what must not stand in them."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import get_token
from transformers.dynamic_module_utils import get_relative_import_files
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

__all__ = ["PushError", "PushedFiles", "files_to_push", "without_paths"]

REQUIRED = ("README.md", "config.json", "model.safetensors", "preprocessor_config.json")
TEXT = (".csv", ".html", ".json", ".md", ".py", ".svg", ".txt", ".yaml", ".yml")
BINARY = (".flac", ".jpeg", ".jpg", ".mp3", ".ogg", ".onnx", ".png", ".safetensors", ".wav", ".webp")
"""The endings that are pushed. None is of a pickle, which can run code: what is not known is left out."""

WITH_PLACES = "emissions.csv"  # codecarbon writes into it where on earth it was run

TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}")
ABSOLUTE_PATH = re.compile(
    r"(?<![\w+/=.:<~$}-])"  # neither in a URL, a relative path, a closing tag nor in base64
    r"(?:/|[A-Za-z]:\\{1,2})(?:[\w.@+-]+(?:/|\\{1,2}))+[\w.@+-]+"
)
STACK_TRACE = re.compile(rb'File "(?:/|[A-Za-z]:\\)')


class PushError(ValueError):
    """Something cannot be pushed: one sentence says what was expected, what was found and what to do."""


@dataclass(frozen=True)
class PushedFiles:
    """What goes to the Hub.

    Attributes:
        contents: For each path in the repository its file, or what is pushed in place of the file's content.
        left_out: Files and folders that stay here.
        shortened: Files in which absolute paths became their last names.
    """

    contents: dict[str, Path | bytes]
    left_out: list[str]
    shortened: list[str]


def files_to_push(folder: str | os.PathLike[str]) -> PushedFiles:
    """Chooses the files of a saved model that go to the Hub; the folder stays as it is.

    These are the weights as safetensors, the configurations with the code that they name, the card, tables, pictures,
    sounds and the graph. Pickles, checkpoints, caches, hidden files and other code stay. An absolute path in a text
    says how a machine is laid out: its last name alone is pushed.

    Args:
        folder: Of the model.

    Raises:
        PushError: A file is missing, or one holds an access token or a stack trace.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise PushError(f"Expected the folder of a model at {folder}, found none; check --model.")
    for name in REQUIRED:
        if not (folder / name).is_file():
            raise PushError(
                f"Expected a complete model in {folder}, found no {name}; push the folder that scripts/train.py wrote."
            )
    code, token = _code_files(folder), get_token()
    files = PushedFiles({}, [], [])
    for path in _files(folder, files.left_out):
        name = path.relative_to(folder).as_posix()
        ending = path.suffix.lower()
        if ending not in TEXT + BINARY or path.name == WITH_PLACES or (ending == ".py" and path not in code):
            files.left_out.append(name)
        elif ending in TEXT:
            files.contents[name] = _checked_text(path, name, token, files.shortened)
        else:
            if ending == ".onnx" and STACK_TRACE.search(path.read_bytes()):
                raise PushError(
                    f"Expected a graph without traces of this machine, found paths of its files in {name}; write it "
                    "anew with scripts/export_onnx.py."
                )
            files.contents[name] = path
    return files


def without_paths(text: str) -> str:
    """A text in which absolute paths are their last names."""
    return ABSOLUTE_PATH.sub(lambda found: re.split(r"[\\/]", found[0])[-1], text)


def _files(folder: Path, left_out: list[str]) -> Iterator[Path]:
    """All files but those of checkpoints and caches, and hidden ones."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts):
            continue
        if any(part.startswith(f"{PREFIX_CHECKPOINT_DIR}-") for part in parts):
            if len(parts) == 1:
                left_out.append(f"{parts[0]}/")
        elif path.is_file():
            yield path


def _code_files(folder: Path) -> set[Path]:
    """The code that the configurations name, and what it imports from beside it."""
    config, extractor = (_read_json(folder / name) for name in ("config.json", "preprocessor_config.json"))
    classes = config.get("auto_map", {}) | extractor.get("auto_map", {})
    for wanted in ("AutoConfig", "AutoModelForAudioClassification", "AutoFeatureExtractor"):
        if wanted not in classes:
            raise PushError(
                f"Expected the code of the model in {folder}, found no {wanted} in the auto_map of its configuration; "
                "save the model with hfaudio."
            )
    pipelines = [pipeline["impl"] for pipeline in config.get("custom_pipelines", {}).values()]
    code = set()
    for name in [*classes.values(), *pipelines]:
        if "--" in name:
            raise PushError(
                f"Expected the code of the model in {folder}, found the name of another repository's, {name}; save "
                "the model with hfaudio."
            )
        path = folder / f"{name.rpartition('.')[0]}.py"
        try:
            code |= {path, *map(Path, get_relative_import_files(path))}
        except OSError as error:
            raise PushError(
                f"Expected the code of {name} in {folder}, found no {Path(error.filename).name}; save the model anew."
            ) from error
    return code


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PushError(f"Expected JSON in {path}, found something else ({error}); save the model anew.") from error
    return content


def _checked_text(path: Path, name: str, token: str | None, shortened: list[str]) -> Path | bytes:
    """The file, or its text with shorter paths."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PushError(f"Expected UTF-8 text in {name}, found other bytes; remove the file.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if TOKEN.search(line) or (token is not None and token in line):
            raise PushError(
                f"Expected no access token in what is pushed, found one in line {number} of {name}; remove it from "
                "the file, and revoke it where it may have been seen."
            )
    if path.suffix == ".py":
        return path
    changed = without_paths(text)
    if changed == text:
        return path
    shortened.append(name)
    return changed.encode()
