"""Where a model lies: a folder, or a repository on the Hub."""

import hashlib
import os
import re
from pathlib import Path

from hfaudio.inference.classifier_settings import CONFIG_FILE, EXTRACTOR_FILE, ModelError

__all__ = ["find_model", "hash_model"]

MODEL_FILES = ["*.json", "*.safetensors", "*.onnx"]
DECISIVE_FILES = (CONFIG_FILE, EXTRACTOR_FILE, "*.safetensors*", "*.onnx")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find_model(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder of a model; one on the Hub is fetched first, without any code that may lie beside it.

    Args:
        name_or_path: A folder, or `owner/name` or `owner/name@revision` on the Hub.

    Raises:
        ModelError: There is none.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    name, _, revision = str(name_or_path).partition("@")
    if not HUB_ID.fullmatch(name):
        raise ModelError(
            f"Expected the folder of a model, or owner/name on the Hub, at {name_or_path}, found nothing; check "
            "--model."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=MODEL_FILES))
    # What a broken connection raises differs with the version of huggingface_hub.
    except Exception as error:
        said = error.server_message if isinstance(error, HfHubHTTPError) else None
        reason = said or next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(
            f"Expected a model at {name_or_path}, found no such folder, and none on the Hub that can be loaded "
            f"({reason.rstrip('.')}); check --model, the network and your access."
        ) from error


def hash_model(folder: Path) -> str:
    """The SHA-256 of the files that decide what a saved model scores: its settings, weights and graphs."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in DECISIVE_FILES for path in folder.glob(pattern)):
        if path.is_file():
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
