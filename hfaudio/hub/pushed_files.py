"""Which files of a model's folder go to the Hub, and what must not stand in them."""

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import get_token
from transformers.dynamic_module_utils import get_relative_imports

from hfaudio.hub.name_list import name_list
from hfaudio.inference.onnx_backend import ONNX_FILE, ONNX_INT8_FILE

__all__ = ["GRAPHS", "PushError", "PushedFiles", "files_to_push", "is_known", "size_text", "without_paths"]

CARD, WEIGHTS, INDEX = "README.md", "model.safetensors", "model.safetensors.index.json"
REQUIRED = (CARD, "config.json", WEIGHTS, "preprocessor_config.json")
GRAPHS = (ONNX_FILE, ONNX_INT8_FILE)
NAMING = ("split.csv", "left_out.csv", "eval/predictions.csv", "eval/top_losses.csv")
"""The tables that name recordings."""

TABLES = (*NAMING, "eval/per_class.csv", "eval/most_confused.csv")
PICTURES = ("find_lr.png", "eval/confusion_matrix.png", "eval/calibration.png", "eval/training_curves.png")
RECORDINGS = ("eval/top_losses.html", "eval/top_losses.png")
"""They hold held-out recordings: as sounds, or as spectrograms from which speech can be made again."""

KNOWN = frozenset({*REQUIRED, INDEX, "all_results.json", *GRAPHS, *TABLES, *PICTURES, *RECORDINGS})
"""What training and export write; the code and the parts of large weights come on top."""

SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
OUR_CODE = re.compile(r"[a-z_]+_spectrogram_cnn\.py")
CLASS_NAME = re.compile(r"([A-Za-z]\w*)\.[A-Za-z]\w*")  # of a file beside the configuration
PACKAGE_CODE = Path(os.path.realpath(__file__)).parents[1] / "model"

TEXT = (".csv", ".html", ".json", ".md", ".py")

SECRETS = {
    "access token": re.compile(r"\bhf_[A-Za-z0-9]{30,}|\bAKIA[A-Z0-9]{16}\b"),
    "private key": re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"),
}
ABSOLUTE_PATH = re.compile(
    r"(?<![\w+/=.:<~$}-])"  # neither in a URL, a relative path, a closing tag nor in base64
    r"(?:/|[A-Za-z]:\\{1,2})(?:[\w.@+-]+(?:/|\\{1,2}))+[\w.@+-]+"
)
STACK_TRACE = re.compile(rb'File "(?:/|[A-Za-z]:\\)')
MOST_LISTED = 60  # files of a push, one a line


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
    left_out: list[str] = field(default_factory=list)
    shortened: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many bytes all of them have."""
        return sum(map(_size, self.contents.values()))

    def describe(self) -> list[str]:
        """Lines that name every file that goes, and what stays."""
        names = sorted(self.contents)
        lines = [f"  {name} ({size_text(_size(self.contents[name]))})" for name in names[:MOST_LISTED]]
        if len(names) > MOST_LISTED:
            lines.append(f"  and {len(names) - MOST_LISTED:,} more")
        if self.left_out:
            lines.append(f"left out: {name_list(self.left_out)}")
        if self.shortened:
            lines.append(f"absolute paths shortened in: {name_list(self.shortened)}")
        return lines


def files_to_push(folder: str | os.PathLike[str], recordings: bool = False) -> PushedFiles:
    """Chooses the files of a saved model that go to the Hub; the folder stays as it is.

    They go by their names: the weights as safetensors, the configurations with the code that they name, the card,
    tables, pictures and graphs, as training and export write them. Whatever else lies in the folder stays, and so does
    a link, unless it leads to the code of this package: its name says nothing about what it leads to. An absolute path
    in a text says how a machine is laid out: its last name alone is pushed.

    Args:
        folder: Of the model.
        recordings: Whether the page and the picture of the highest losses go, which hold held-out recordings.

    Raises:
        PushError: A file is missing or a link, or one holds an access token, a private key or a stack trace.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise PushError(f"Expected the folder of a model at {folder}, found none; check --model.")
    weights = _weights(folder)
    for name in [*(set(REQUIRED) - {WEIGHTS} if weights else REQUIRED), *weights]:
        _check_required(folder, name)
    code, token = _code_files(folder), get_token()
    files = PushedFiles({})
    for name, path in _entries(folder):
        wanted = name in KNOWN or name in code or name in weights
        wanted = wanted and (recordings or name not in RECORDINGS) and not (name == INDEX and not weights)
        fault = _why_not_read(path)
        if not wanted or fault is not None:
            # A folder is no surprise; of a link or a pipe it is worth knowing why a known name stays.
            files.left_out.append(f"{name} ({fault})" if wanted else f"{name}/" if _is_folder(path) else name)
        elif path.suffix in TEXT:
            files.contents[name] = _checked_text(path, name, token, files.shortened)
        else:
            if name in GRAPHS and STACK_TRACE.search(path.read_bytes()):
                raise PushError(
                    f"Expected a graph without traces of this machine, found paths of its files in {name}; write it "
                    "anew with scripts/export_onnx.py."
                )
            files.contents[name] = path
    return files


def is_known(name: str) -> bool:
    """Whether a path in a repository is one that a push writes, and that a later one may therefore remove.

    Args:
        name: Relative to the repository.
    """
    return name in KNOWN or SHARD.fullmatch(name) is not None or OUR_CODE.fullmatch(name) is not None


def without_paths(text: str) -> str:
    """A text in which absolute paths are their last names."""
    return ABSOLUTE_PATH.sub(lambda found: re.split(r"[\\/]", found[0])[-1], text)


def size_text(size: int) -> str:
    """A number of bytes for people."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _entries(folder: Path) -> Iterator[tuple[str, Path]]:
    """What lies in the folder and in its `eval`, hidden files last, without following any link."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.name.startswith("."), path.name)):
        if path.name == "eval" and _is_folder(path):
            yield from ((f"eval/{inner.name}", inner) for inner in sorted(path.iterdir()))
        else:
            yield path.name, path


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _why_not_read(path: Path) -> str | None:
    """What keeps a file from being opened; None if nothing does."""
    target = path.lstat()
    if stat.S_ISLNK(target.st_mode):
        real = Path(os.path.realpath(path))  # which, unlike `resolve`, ends where links go round in a circle
        if real.parent != PACKAGE_CODE or {path.suffix, real.suffix} != {".py"} or not real.is_file():
            return "a link"
    elif not stat.S_ISREG(target.st_mode):
        return "no regular file"
    return None


def _check_required(folder: Path, name: str) -> None:
    path = folder / name
    if not os.path.lexists(path):
        raise PushError(
            f"Expected a complete model in {folder}, found no {name}; push the folder that scripts/train.py wrote."
        )
    fault = _why_not_read(path)
    if fault is not None:
        raise PushError(
            f"Expected the file {name} in {folder}, found {fault}; a link is followed to the code of hfaudio alone: "
            "put the file itself there."
        )


def _weights(folder: Path) -> set[str]:
    """The parts of weights that are too large for one file, and their index; none if they are in one."""
    if os.path.lexists(folder / WEIGHTS) or not os.path.lexists(folder / INDEX):
        return set()
    _check_required(folder, INDEX)
    parts = _read_json(folder / INDEX).get("weight_map")
    names = set(parts.values()) if isinstance(parts, dict) else {None}
    if not all(isinstance(name, str) and SHARD.fullmatch(name) for name in names):
        raise PushError(
            f"Expected the names of the parts of the weights in {folder / INDEX}, found others; save anew."
        )
    return {INDEX, *map(str, names)}


def _code_files(folder: Path) -> set[str]:
    """The names of the files with the code that the configurations name, and of what it imports from beside it."""
    config, extractor = (_read_json(folder / name) for name in ("config.json", "preprocessor_config.json"))
    classes: dict[str, Any] = {}
    for settings in (config, extractor):
        named = settings.get("auto_map", {})
        classes |= named if isinstance(named, dict) else {}
    for wanted in ("AutoConfig", "AutoModelForAudioClassification", "AutoFeatureExtractor"):
        if wanted not in classes:
            raise PushError(
                f"Expected the code of the model in {folder}, found no {wanted} in the auto_map of its configuration; "
                "save the model with hfaudio."
            )
    named = config.get("custom_pipelines", {})
    named = list(named.values()) if isinstance(named, dict) else [named]
    pipelines = [pipeline.get("impl") if isinstance(pipeline, dict) else pipeline for pipeline in named]
    waiting = [_file_of_class(folder, name) for name in [*classes.values(), *pipelines]]
    code: set[str] = set()
    while waiting:
        name, named_by = waiting.pop()
        if name in code:
            continue
        path = folder / name
        if not re.fullmatch(r"\w+\.py", name) or not os.path.lexists(path):
            raise PushError(f"Expected the code of {named_by} in {folder}, found no {name}; save the model anew.")
        _check_required(folder, name)
        code.add(name)
        waiting += [(f"{module}.py", named_by) for module in get_relative_imports(path)]
    return code


def _file_of_class(folder: Path, name: Any) -> tuple[str, str]:
    """The file that `module.Class` lies in, and the class."""
    if "--" in str(name):
        raise PushError(
            f"Expected the code of the model in {folder}, found the name of another repository's, {name}; save "
            "the model with hfaudio."
        )
    found = CLASS_NAME.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        raise PushError(
            f"Expected the code of the model in {folder}, found {name!r} where a configuration names a class; save "
            "the model with hfaudio."
        )
    return f"{found[1]}.py", found[0]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PushError(f"Expected JSON in {path}, found something else ({error}); save the model anew.") from error
    if not isinstance(content, dict):
        raise PushError(f"Expected settings in {path}, found {type(content).__name__}; save the model anew.")
    return content


def _checked_text(path: Path, name: str, token: str | None, shortened: list[str]) -> Path | bytes:
    """The file, or its text with shorter paths and, in a table, without what is no text in the names of files."""
    content = path.read_bytes()
    try:
        text = content.decode(errors="replace" if name in TABLES else "strict")
    except UnicodeDecodeError as error:
        raise PushError(f"Expected UTF-8 text in {name}, found other bytes; remove the file.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        for kind, pattern in SECRETS.items():
            if pattern.search(line) or (token is not None and token in line):
                raise PushError(
                    f"Expected no {kind} in what is pushed, found one in line {number} of {name}; remove it from "
                    "the file, and revoke it where it may have been seen."
                )
    if path.suffix == ".py":
        return path
    changed = without_paths(text)
    if changed != text:
        shortened.append(name)
    pushed = changed.encode()
    return path if pushed == content else pushed
