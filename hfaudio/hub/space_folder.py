"""The folder of a Space: a page on the Hub where a model can be tried."""

import json
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

import soundfile
from huggingface_hub import SpaceCard, SpaceCardData

from hfaudio.data import SYNTHETIC_CLASSES, synthesize_clip
from hfaudio.hub.pushed_files import PushError

__all__ = ["find_examples", "write_space"]

PAGE = Path(__file__).with_name("space")
CARD = Path(__file__).with_name("space_card.md")
GRADIO = "6.31.0"
TIMM = ("timm>=1.0.20,<2", "torchvision>=0.26,<0.30,!=0.28.*")

SOUNDS = (".flac", ".mp3", ".ogg", ".wav")
MOST_EXAMPLES = 8
LARGEST_EXAMPLE = 5_000_000  # bytes


def write_space(
    folder: str | os.PathLike[str],
    model_folder: str | os.PathLike[str],
    repo_id: str,
    revision: str,
    examples: Sequence[Path] = (),
) -> Path:
    """Writes the page of a model: its code, its requirements, its card, which revision it uses, and example clips.

    Args:
        folder: Where it goes; it must be empty or not there.
        model_folder: Of the model as it was pushed.
        repo_id: `owner/name` of the model on the Hub.
        revision: The commit whose weights and code the page uses.
        examples: Recordings to try, as `find_examples` gives them; none takes built-in sounds, those of the model's
            own classes where it has any.

    Returns:
        The folder.

    Raises:
        PushError: The folder is not empty.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise PushError(f"Expected an empty folder for the Space at {folder}, found files; choose another.")
    config = json.loads((Path(model_folder) / "config.json").read_text(encoding="utf-8"))
    shutil.copytree(PAGE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    settings = json.dumps({"model": repo_id, "revision": revision}, indent=2)
    (folder / "settings.json").write_text(f"{settings}\n", encoding="utf-8")
    if config.get("backbone") is not None:
        with open(folder / "requirements.txt", "a", encoding="utf-8") as file:
            file.writelines(f"{requirement}\n" for requirement in TIMM)
    title = repo_id.rpartition("/")[2]
    card_data = SpaceCardData(
        title=title,
        emoji="👂",
        colorFrom="purple",
        colorTo="red",
        sdk="gradio",
        sdk_version=GRADIO,
        python_version="3.11",
        app_file="app.py",
        models=[repo_id],
        license="apache-2.0",
        short_description="Names the sounds of a recording",
    )
    card = SpaceCard.from_template(card_data, template_path=str(CARD), title=title, model=repo_id, revision=revision)
    (folder / "README.md").write_text(card.content, encoding="utf-8")
    clips = folder / "examples"
    clips.mkdir()
    for example in examples:
        shutil.copy(example, clips / example.name)
    if not examples:
        _synthesize_examples(clips, set(config["id2label"].values()))
    return folder


def find_examples(folder: str | os.PathLike[str]) -> list[Path]:
    """The recordings of a folder that a page offers to try, and thereby makes public.

    Args:
        folder: With WAV, FLAC, Ogg or MP3 files.

    Raises:
        PushError: There are none, too many, or too large ones, or one is a link or no recording.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.glob("[!.]*") if path.suffix.lower() in SOUNDS)
    if not 1 <= len(paths) <= MOST_EXAMPLES:
        raise PushError(
            f"Expected 1 to {MOST_EXAMPLES} WAV, FLAC, Ogg or MP3 files in {folder}, found {len(paths)}; choose those "
            "that visitors should try."
        )
    for path in paths:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise PushError(
                f"Expected recordings in {folder}, found {path.name}, which is a link or no regular file; put the "
                "file itself there."
            )
        if path.stat().st_size > LARGEST_EXAMPLE:
            raise PushError(
                f"Expected examples of at most {LARGEST_EXAMPLE / 1e6:g} MB, found {path.stat().st_size / 1e6:.1f} MB "
                f"in {path}; cut it."
            )
        try:
            soundfile.info(path)
        except soundfile.SoundFileError as error:
            raise PushError(
                f"Expected a recording in {path}, found none that can be read; choose one that visitors can try."
            ) from error
    return paths


def _synthesize_examples(folder: Path, class_names: set[str]) -> None:
    own = [name for name in SYNTHETIC_CLASSES if name in class_names]
    for name in (own or SYNTHETIC_CLASSES)[:MOST_EXAMPLES]:
        samples, rate = synthesize_clip(name, seed=0, index=0)
        soundfile.write(folder / f"synthetic_{name}.wav", samples.T, rate)
