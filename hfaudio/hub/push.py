"""Pushing a saved model to the Hub."""

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError

from hfaudio.hub.card_metadata import without_itself
from hfaudio.hub.name_list import name_list
from hfaudio.hub.proof import Probe, usage
from hfaudio.hub.pushed_card import pushed_card
from hfaudio.hub.pushed_files import (
    CARD,
    GRAPHS,
    NAMING,
    RECORDINGS,
    PushedFiles,
    PushError,
    files_to_push,
    is_known,
    size_text,
)

__all__ = [
    "HubTarget",
    "PushedCommit",
    "PushedModel",
    "commit_files",
    "hub_sentences",
    "open_repository",
    "push_model",
]

WHAT_TO_DO = {
    401: "log in anew with `hf auth login`, or set HF_TOKEN to a token that is valid",
    403: "take a token that may write there, or another --repo_id",
    412: "something else was pushed there in the same moment",
}
"""By the status of the Hub's answer."""


@dataclass(frozen=True)
class HubTarget:
    """Where a model or a data set goes.

    Attributes:
        repo_id: `owner/name`, or a name alone in the namespace of whose the token is.
        private: Whether only its owner may see it; None leaves that to the Hub.
        revision: A branch, which is made if it is not there; None is the main one.
        create_pr: Open a pull request instead of changing the main branch.
        tag: A name for the revision, given once it is proved.
        token: None takes the one that is logged in.
        repo_type: `model` or `dataset`.

    Raises:
        PushError: Two of them contradict each other.
    """

    repo_id: str
    private: bool | None = None
    revision: str | None = None
    create_pr: bool = False
    tag: str | None = None
    token: str | None = field(default=None, repr=False)
    repo_type: str = "model"

    def __post_init__(self) -> None:
        for name in ("revision", "tag"):
            if self.create_pr and getattr(self, name) is not None:
                raise PushError(
                    f"Expected --create_pr or --{name}, found both; a pull request is for the main branch, and has a "
                    "name of its own."
                )

    def command(self, folder: Path) -> str:
        """What to type to push a folder here; without the token."""
        words = ["python", "scripts/push_to_hub.py", "--model", str(folder), "--repo_id", self.repo_id]
        for name in ("private", "revision", "create_pr", "tag"):
            value = getattr(self, name)
            if value:
                words += [f"--{name}"] if value is True else [f"--{name}", value]
        return shlex.join(words)


@dataclass(frozen=True)
class PushedCommit:
    """What a commit changed.

    Attributes:
        revision: Its hash.
        url: Of the commit, or of the pull request.
        removed: Files of an earlier push that this one does not write.
        kept: Files of the repository that no push wrote.
    """

    revision: str
    url: str
    removed: list[str]
    kept: list[str]

    def describe(self) -> list[str]:
        """Lines that name what was removed, and what stayed."""
        told = {"removed there, of an earlier push": self.removed, "kept there": self.kept}
        return [f"{what}: {name_list(names)}" for what, names in told.items() if names]


@dataclass(frozen=True)
class PushedModel:
    """A model on the Hub that was pulled again and scores as it does here.

    Attributes:
        repo_id: `owner/name`.
        commit: What was changed there.
        files: What was pushed.
        difference: The largest one between its logits and the local model's, of the weights and of each graph.
        tag: The name of the revision, if it has one.
    """

    repo_id: str
    commit: PushedCommit
    files: PushedFiles
    difference: float
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
        """What happened, and five lines to use the model."""
        number, size = len(self.files.contents), size_text(self.files.size)
        lines = [f"pushed: {self.repo_id} at {self.revision}, {number} files, {size} ({self.url})"]
        lines += [*self.files.describe(), *self.commit.describe(), *self._told_of_recordings()]
        if self.tag is not None:
            lines.append(f"tag: {self.tag}")
        graphs = [name for name in GRAPHS if name in self.files.contents]
        lines.append(
            f"proved: pulled into an empty cache by a process without hfaudio, {' and '.join(['it', *graphs])} "
            f"score{'' if graphs else 's'} a sound as the local model does (difference {self.difference:.1g}); to use "
            "it:"
        )
        return "\n".join([*lines, "", usage(self.repo_id, self.revision)])

    def _told_of_recordings(self) -> Iterator[str]:
        """Lines that say what of the recordings has left the machine."""
        pushed = [name for name in RECORDINGS if name in self.files.contents]
        if pushed:
            yield f"HELD-OUT RECORDINGS are in {' and '.join(pushed)}: whoever may read the repository may hear them"
        elif set(RECORDINGS) & set(self.files.left_out):
            yield "no recording was pushed; --push_recordings adds the page that plays the highest losses"
        tables = [name for name in NAMING if name in self.files.contents]
        if tables:
            yield f"names of recordings are in {name_list(tables)}"


def open_repository(target: HubTarget) -> HubTarget:
    """Makes the repository if it is not there, which also shows whether the token is of any use.

    Returns:
        The target with its whole id.

    Raises:
        PushError: There is no token, it is refused or may only read, or the repository is not as asked.
    """
    token = target.token or get_token()
    if token is None:
        raise PushError("Expected an access token, found none; log in with `hf auth login`, or set HF_TOKEN.")
    api = HfApi(token=token)
    with hub_sentences(target.repo_id):
        role = api.whoami().get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise PushError(
            f"Expected an access token that may write to {target.repo_id}, found one that may only read; make another "
            "in the settings of your account."
        )
    with hub_sentences(target.repo_id):
        repo_type = target.repo_type
        repo_id = api.create_repo(target.repo_id, repo_type=repo_type, private=target.private, exist_ok=True).repo_id
        info = api.repo_info(repo_id, repo_type=repo_type)
        tags = [one.name for one in api.list_repo_refs(repo_id, repo_type=repo_type).tags]
    if target.private and not info.private:
        raise PushError(
            f"Expected {repo_id} to be private, found it public; change that in its settings, or leave --private out."
        )
    if target.tag in tags:
        raise PushError(f"Expected a new --tag, found {target.tag} in {repo_id} already; choose another.")
    return replace(target, repo_id=repo_id)


def push_model(folder: str | os.PathLike[str], target: HubTarget, push_recordings: bool = False) -> PushedModel:
    """Pushes the folder of a saved model in one commit, pulls that commit, and compares its scores.

    The folder is only read; see `files_to_push` for what goes and what stays. What an earlier push wrote there and
    this one does not, such as a graph of other weights, is removed; other files of the repository stay.

    Args:
        folder: As `scripts/train.py` leaves it.
        target: Where it goes.
        push_recordings: Whether the page of the highest losses goes too, which plays held-out recordings.

    Raises:
        PushError: The folder is not complete, a graph is of other weights, or the Hub does not take it.
        hfaudio.hub.ProofError: It is on the Hub, but cannot be pulled, or scores otherwise; it gets no tag.
    """
    folder = Path(folder)
    files = files_to_push(folder, push_recordings)
    try:
        probe = Probe.of(folder)
    except (OSError, RuntimeError, SafetensorError, ValueError) as error:
        raise PushError(
            f"Expected a model that loads in {folder}, found: {_first_line(error)}; save it anew."
        ) from error
    probe = probe.with_graphs(folder, [name for name in GRAPHS if name in files.contents])
    flag = " --push_recordings" if push_recordings else ""
    again = f"; {folder} is as it was: run `{target.command(folder)}{flag}` again"
    target = open_repository(target)
    card = files.contents[CARD]
    text = card.decode() if isinstance(card, bytes) else card.read_text(encoding="utf-8")
    text = without_itself(pushed_card(text, target.repo_id, push_recordings), target.repo_id)
    files.contents[CARD] = text.encode()
    with hub_sentences(target.repo_id, again):
        commit = commit_files(target, files, "Push a model", is_known)
    difference = probe.compare(target.repo_id, commit.revision, target.token)
    if target.tag is not None:
        with hub_sentences(target.repo_id, again):
            HfApi(token=target.token).create_tag(target.repo_id, tag=target.tag, revision=commit.revision)
    return PushedModel(target.repo_id, commit, files, difference, target.tag)


def commit_files(target: HubTarget, files: PushedFiles, message: str, replaced: Callable[[str], bool]) -> PushedCommit:
    """Sends files in one commit: `upload_folder` may send several, and a broken connection would leave half a model.

    The commit is made upon what was there when it was looked at: of two pushes at once, the later one is refused.

    Args:
        target: A repository that is there.
        files: What it is to hold.
        message: Of the commit.
        replaced: Tells of a path whether it was pushed by us, so that it goes where it is not pushed again; what else
            the repository holds stays.
    """
    api = HfApi(token=target.token)
    repo_type = target.repo_type
    additions = [
        CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        for name, content in files.contents.items()
    ]
    if target.revision is not None and not target.revision.startswith("refs/"):
        api.create_branch(target.repo_id, branch=target.revision, repo_type=repo_type, exist_ok=True)
    latest = api.repo_info(target.repo_id, revision=target.revision, repo_type=repo_type).sha
    there = api.list_repo_files(target.repo_id, revision=latest, repo_type=repo_type)
    others = sorted(set(there) - set(files.contents))
    removed = [name for name in others if replaced(name)]
    commit = api.create_commit(
        target.repo_id,
        [*map(CommitOperationDelete, removed), *additions],
        commit_message=message,
        repo_type=repo_type,
        revision=target.revision,
        create_pr=target.create_pr,
        parent_commit=latest,
    )
    kept = [name for name in others if name not in removed]
    return PushedCommit(commit.oid, commit.pr_url or commit.commit_url, removed, kept)


@contextmanager
def hub_sentences(repo_id: str, again: str = "") -> Iterator[None]:
    """Turns whatever the Hub answers into a sentence.

    Args:
        repo_id: What is pushed to.
        again: What to do after what went wrong, at the end of the sentence.

    Raises:
        PushError: The Hub refused, or did not answer.
    """
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        advice = WHAT_TO_DO.get(status, "check --repo_id, and try again later" if status >= 500 else "check --repo_id")
        reason = error.server_message or _first_line(error)
        raise PushError(
            f"Expected the Hub to take {repo_id}, found: {reason.rstrip('.')} ({status}); {advice}{again}."
        ) from error
    # What a broken connection raises differs with the version of huggingface_hub and with the way of the upload.
    except Exception as error:
        raise PushError(
            f"Expected the Hub to take {repo_id}, found: {_first_line(error).rstrip('.')}; check --repo_id and the "
            f"network{again}."
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
