"""Writing a folder beside its place and moving it there when it is complete."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["staged_folder"]

WEIGHTS = "model.safetensors"
GRAPHS = ("model.onnx", "model_int8.onnx")  # that scripts/export_onnx.py leaves beside them


@contextmanager
def staged_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives an empty folder to write into; when the block ends well, its files replace those of `folder` one by one.

    If the block fails, `folder` is as it was. What else lies in `folder` stays, but for graphs of former weights.

    Args:
        folder: Where the files belong; it is made if it is not there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as staging:
        yield Path(staging)
        if (Path(staging) / WEIGHTS).is_file():
            for graph in GRAPHS:
                (folder / graph).unlink(missing_ok=True)
        for source in sorted(path for path in Path(staging).rglob("*") if path.is_file()):
            destination = folder / source.relative_to(staging)
            destination.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, destination)
