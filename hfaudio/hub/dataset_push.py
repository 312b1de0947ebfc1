"""Pushing a data set to the Hub.

`datasets.DatasetDict.push_to_hub` is not used: it sends more than fifty files in several commits, which a broken
connection leaves half done, and it needs the recordings in an Arrow file before it copies them into Parquet.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import datasets
from huggingface_hub import HfApi

from hfaudio.data import Columns, DataError, Listing, PreparedAudio, Recording
from hfaudio.data.number_formats import as_counted
from hfaudio.data.ready_datasets import list_hub_dataset
from hfaudio.data.table_cells import name_of_span
from hfaudio.evaluation.csv_file import write_csv
from hfaudio.hub.dataset_card import dataset_card
from hfaudio.hub.dataset_files import DatasetFiles, encoded_bytes, public_name, row_content, write_dataset_files
from hfaudio.hub.name_list import name_list
from hfaudio.hub.proof import ProofError
from hfaudio.hub.push import HubTarget, PushedCommit, commit_files, hub_sentences, open_repository
from hfaudio.hub.pushed_files import PushedFiles, size_text, without_paths

__all__ = ["PushedDataset", "push_dataset"]

SHARD = re.compile(r"data/[a-z]+-\d{5}-of-\d{5}\.parquet")
AGAIN = "; nothing there is half done, and what is decoded is kept: run the same command again"


@dataclass(frozen=True)
class PushedDataset:
    """A data set on the Hub that came back as it was.

    Attributes:
        repo_id: `owner/name`.
        commit: What was changed there.
        files: What was pushed, with the size of each file.
        parts: How many recordings each part has.
        columns: Of the table.
        left_out: How many there were that nothing can be learned from.
        elsewhere: The names of the recordings that lie outside of the data set's folder, to which a link leads.
        spans: How many recordings are a part of their file, which was pushed whole.
        tag: The name of the revision, if it has one.
    """

    repo_id: str
    commit: PushedCommit
    files: dict[str, int]
    parts: dict[str, int]
    columns: Sequence[str]
    left_out: int
    elsewhere: Sequence[str] = ()
    spans: int = 0
    tag: str | None = None

    @property
    def revision(self) -> str:
        """The hash of the commit."""
        return self.commit.revision

    @property
    def url(self) -> str:
        """Of the commit, or of the pull request."""
        return self.commit.url

    def describe(self) -> str:
        """What happened, and how to use the data set."""
        parts = ", ".join(f"{count} {part}" for part, count in self.parts.items())
        lines = [f"pushed: {self.repo_id} at {self.revision}, {parts} ({self.url})"]
        lines.append(f"files: {name_list([f'{name} ({size_text(size)})' for name, size in self.files.items()])}")
        lines.append(f"of every recording: {', '.join(self.columns)}; its file as it is, with the tags written in it")
        if self.elsewhere:
            number = as_counted(len(self.elsewhere), "recording")
            lines.append(f"{number} outside of the folder, by links or paths, went too: {name_list(self.elsewhere)}")
        if self.spans:
            lines.append(f"{as_counted(self.spans, 'recording')} cut from longer files: the whole files went")
        lines += self.commit.describe()
        if self.tag is not None:
            lines.append(f"tag: {self.tag}")
        if self.left_out:
            lines.append(f"left out: {self.left_out}; left_out.csv names them")
        return "\n".join(
            [
                *lines,
                "proved: read back from there, every recording has its bytes, class, fold and group",
                f"to train: accelerate launch scripts/train.py --dataset {self.repo_id}@{self.revision}",
                "to load:",
                "",
                "from datasets import load_dataset",
                f'dataset = load_dataset("{self.repo_id}", revision="{self.revision}")',
                "print(dataset)",
            ]
        )


def push_dataset(
    listing: Listing, audio: PreparedAudio, target: HubTarget, license: str | None = None
) -> PushedDataset:
    """Pushes recordings as Parquet in one commit, with a card, reads that commit back and compares.

    The Parquet files of an earlier push are removed, other files of the repository stay. What is read back stays in
    the Hub's cache, where a training finds it.

    Args:
        listing: The recordings.
        audio: What `hfaudio.data.prepare_listing` made of it: which of them can be learned from.
        target: Where they go.
        license: An identifier of the Hub, such as `cc-by-4.0`.

    Raises:
        PushError: They cannot be written, or the Hub does not take them.
        ProofError: They are on the Hub, but came back otherwise; the revision gets no tag.
    """
    target = open_repository(replace(target, repo_type="dataset"))
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="hfaudio-push-", dir=cache) as name:
        folder = Path(name)
        files = write_dataset_files(listing, audio, folder)
        card = dataset_card(target.repo_id, audio, files, license)
        left_out = [
            {"file_name": public_name(one.file_name), "reason": without_paths(one.reason)} for one in audio.left_out
        ]
        contents: dict[str, Path | bytes] = {
            "README.md": card.encode(),
            "left_out.csv": write_csv(folder / "left_out.csv", ("file_name", "reason"), left_out),
            **files.paths,
        }
        with hub_sentences(target.repo_id, AGAIN):
            commit = commit_files(target, PushedFiles(contents), "Push a data set", _is_shard)
        sizes = {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in contents.items()
        }
    _prove(files, target.repo_id, commit.revision, target.token)
    if target.tag is not None:
        with hub_sentences(target.repo_id, AGAIN):
            HfApi(token=target.token).create_tag(
                target.repo_id, tag=target.tag, revision=commit.revision, repo_type=target.repo_type
            )
    parts = {part: len(rows) for part, rows in files.parts.items()}
    names = set(audio.dataset["file_name"])
    recordings = [recording for recording in listing.recordings if recording.file_name in names]
    return PushedDataset(
        target.repo_id,
        commit,
        sizes,
        parts,
        list(files.features),
        len(audio.left_out),
        [public_name(recording.file_name) for recording in recordings if _lies_elsewhere(recording)],
        sum(recording.start is not None or recording.end is not None for recording in recordings),
        target.tag,
    )


def _is_shard(name: str) -> bool:
    return SHARD.fullmatch(name) is not None


def _lies_elsewhere(recording: Recording) -> bool:
    """Whether a file lies outside of the folder in which its name says that it lies."""
    path = recording.audio
    if not isinstance(path, str):
        return False
    name = recording.file_name.removesuffix(name_of_span("", recording.start, recording.end))
    within = Path(path).as_posix().removesuffix(f"/{name}")
    folder = os.path.realpath(within) if within != Path(path).as_posix() else ""
    return not folder or os.path.commonpath([folder, os.path.realpath(path)]) != folder


def _prove(files: DatasetFiles, repo_id: str, revision: str, token: str | None) -> None:
    """Lists what was pushed as a training does, and compares each recording."""
    pushed = f"{repo_id} at revision {revision}"
    try:
        listing = list_hub_dataset(f"{repo_id}@{revision}", Columns(), token)
    except DataError as error:
        raise ProofError(f"Expected {pushed} to load, found: {error}") from error
    sent = [row for rows in files.parts.values() for row in rows]
    if len(listing.recordings) != len(sent):
        raise ProofError(
            f"Expected {len(sent)} recordings in {pushed}, found {len(listing.recordings)}; do not use this revision."
        )
    for recording, row in zip(listing.recordings, sent, strict=True):
        if row_content(recording, encoded_bytes(recording), recording.fold) != row:
            raise ProofError(
                f"Expected {pushed} to hold what lies here, found another {recording.file_name}; do not use this "
                "revision."
            )
