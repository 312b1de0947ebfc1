"""The repositories of a Hub in memory: commits, branches, tags, pull requests, and who may read and write them."""

import hashlib
import itertools
import posixpath
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

MAIN = "main"
KINDS = ("models", "datasets", "spaces")
LARGEST_REGULAR = 10_000_000  # bytes; what is larger, or no text, is stored as LFS


class HubError(Exception):
    """A request that the Hub refuses.

    Args:
        status: The HTTP status.
        message: What `X-Error-Message` says.
        code: What `X-Error-Code` says.
        body: What is sent besides.
    """

    def __init__(self, status: int, message: str, code: str | None = None, **body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body = {"error": message, **body}


@dataclass(frozen=True)
class Account:
    """Whose a token is.

    Attributes:
        name: Of the user, and of the namespace that is theirs.
        writes: Whether the token may write at all.
    """

    name: str
    writes: bool


@dataclass(frozen=True)
class StoredFile:
    """The content of a file, and whether it is in git itself or beside it."""

    content: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """The object's name in git; of an LFS file that of its pointer, for which a hash of the content does."""
        return hashlib.sha1(b"blob %d\0%s" % (len(self.content), self.content)).hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        """As a listing of a folder has it."""
        lfs = {"lfs": {"oid": self.sha256, "size": len(self.content), "pointerSize": 130}} if self.lfs else {}
        return {"type": "file", "path": path, "oid": self.oid, "size": len(self.content), **lfs}


@dataclass(frozen=True)
class Commit:
    """All files at one time."""

    sha: str
    title: str
    files: Mapping[str, StoredFile] = field(repr=False)
    parent: "Commit | None" = field(default=None, repr=False)

    def history(self) -> Iterable["Commit"]:
        """This commit and those before it, the last first."""
        commit: Commit | None = self
        while commit is not None:
            yield commit
            commit = commit.parent

    def file(self, path: str) -> StoredFile:
        if path not in self.files:
            raise HubError(404, "Entry not found", "EntryNotFound")
        return self.files[path]

    def tree(self, folder: str, recursive: bool) -> list[dict[str, Any]]:
        """The files and folders in a folder, or at any depth below it."""
        inside = f"{folder}/" if folder else ""
        found: dict[str, dict[str, Any]] = {}
        for path, file in sorted(self.files.items()):
            if not path.startswith(inside):
                continue
            names = path.removeprefix(inside).split("/")
            for depth in range(1, len(names)):
                parent = inside + "/".join(names[:depth])
                oid = hashlib.sha1(f"{self.sha} {parent}".encode()).hexdigest()
                if recursive or depth == 1:
                    found[parent] = {"type": "directory", "path": parent, "oid": oid, "size": 0}
            if recursive or len(names) == 1:
                found[path] = file.entry(path)
        if folder and not found:
            raise HubError(404, f"{folder} does not exist on this revision", "EntryNotFound")
        return list(found.values())

    def card(self) -> dict[str, Any]:
        """The metadata at the head of README.md."""
        text = self.files["README.md"].content.decode() if "README.md" in self.files else ""
        return read_card(text)


class Repository:
    """One repository.

    Args:
        kind: `models`, `datasets` or `spaces`.
        name: `owner/name`.
        private: Whether only its owner may see it.
    """

    def __init__(self, kind: str, name: str, private: bool = False) -> None:
        self.kind, self.name, self.private = kind, name, private
        self._numbers = itertools.count()
        first = self._make("initial commit", {".gitattributes": StoredFile(b"*.safetensors filter=lfs\n")}, None)
        self.branches = {MAIN: first}
        self.tags: dict[str, Commit] = {}
        self.pull_requests: dict[str, Commit] = {}

    @property
    def owner(self) -> str:
        return self.name.partition("/")[0]

    def commit_at(self, revision: str = MAIN) -> Commit:
        """The commit of a branch, a tag, a pull request (`refs/pr/1`) or a full hash."""
        places = (self.branches, self.tags, self.pull_requests)
        for place in places:
            if revision in place:
                return place[revision]
        for head in itertools.chain.from_iterable(place.values() for place in places):
            for commit in head.history():
                if commit.sha == revision:
                    return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def files(self, revision: str = MAIN) -> dict[str, bytes]:
        """The content of each file, for tests to look at."""
        return {path: file.content for path, file in self.commit_at(revision).files.items()}

    def add_commit(self, revision: str, title: str, files: Mapping[str, StoredFile], expected: str | None) -> Commit:
        """Puts a commit on a branch or a pull request.

        Args:
            revision: Its name.
            title: First line of the message.
            files: All files, not only those that change.
            expected: The hash of the commit that must be the last one so far, if any.
        """
        place = self.pull_requests if revision in self.pull_requests else self.branches
        if revision not in place:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if expected not in (None, place[revision].sha):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        place[revision] = self._make(title, files, place[revision])
        return place[revision]

    def open_pull_request(self, title: str, files: Mapping[str, StoredFile]) -> tuple[int, Commit]:
        """Puts a commit beside the main branch; its number, and the commit."""
        number = len(self.pull_requests) + 1
        commit = self._make(title, files, self.commit_at())
        self.pull_requests[f"refs/pr/{number}"] = commit
        return number, commit

    def _make(self, title: str, files: Mapping[str, StoredFile], parent: Commit | None) -> Commit:
        content = [f"{path} {file.oid}" for path, file in sorted(files.items())]
        text = "\n".join([self.kind, self.name, title, str(next(self._numbers)), *content])
        return Commit(hashlib.sha1(text.encode()).hexdigest(), title, dict(files), parent)


class Repositories:
    """All repositories of a Hub, its accounts, and the large files that were uploaded.

    Args:
        accounts: Whose each token is.
    """

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self.accounts = dict(accounts)
        self.large_files: dict[str, bytes] = {}
        self._all: dict[tuple[str, str], Repository] = {}

    def account_of(self, token: str | None) -> Account | None:
        """Whose a token is; None for none."""
        if token is not None and token not in self.accounts:
            raise HubError(401, "Invalid credentials in Authorization header")
        return None if token is None else self.accounts[token]

    def create(self, kind: str, name: str, private: bool, account: Account | None) -> Repository:
        check_writer(account, name.partition("/")[0])
        if (kind, name) in self._all:
            raise HubError(409, "You already created this repo", url=name)
        self._all[kind, name] = Repository(kind, name, private)
        return self._all[kind, name]

    def delete(self, kind: str, name: str, account: Account | None) -> None:
        check_writer(account, self.readable(kind, name, account).owner)
        del self._all[kind, name]

    def readable(self, kind: str, name: str, account: Account | None) -> Repository:
        """A repository that an account may read; one that it may not looks as if it were not there."""
        repository = self._all.get((kind, name))
        hidden = repository is not None and repository.private
        if repository is None or (hidden and (account is None or account.name != repository.owner)):
            raise HubError(401 if account is None else 404, "Repository not found", "RepoNotFound")
        return repository

    def writable(self, kind: str, name: str, account: Account | None) -> Repository:
        """A repository that an account may write."""
        repository = self.readable(kind, name, account)
        check_writer(account, repository.owner)
        return repository

    def __getitem__(self, kind_and_name: tuple[str, str]) -> Repository:
        """A repository, for tests to look at."""
        return self._all[kind_and_name]

    def __len__(self) -> int:
        return len(self._all)


def check_writer(account: Account | None, owner: str | None = None) -> None:
    """Refuses who may not write, or not in this namespace."""
    if account is None:
        raise HubError(401, "Invalid username or password.")
    if not account.writes or owner not in (None, account.name):
        raise HubError(403, "You don't have the rights to write in this namespace with this token")


def read_card(text: str) -> dict[str, Any]:
    """The metadata at the head of a card, between two lines of dashes."""
    if not text.startswith("---\n"):
        return {}
    try:
        metadata = yaml.safe_load(text.removeprefix("---\n").partition("\n---")[0])
    except yaml.YAMLError as error:
        raise HubError(400, f"Invalid metadata in README.md: {error}") from error
    return metadata or {}


def change_files(
    files: Mapping[str, StoredFile], changes: Iterable[Mapping[str, Any]], large_files: Mapping[str, bytes]
) -> dict[str, StoredFile]:
    """The files after the operations of a commit, each `{"key": ..., "value": {"path": ...}}`."""
    changed = dict(files)
    for change in changes:
        kind, value = change["key"], change["value"]
        path = posixpath.normpath(value["path"])
        if kind == "file":
            changed[path] = StoredFile(b64decode(value["content"]))
        elif kind == "lfsFile":
            if value["oid"] not in large_files:
                raise HubError(400, f"LFS pointer of {path} points to a file that does not exist")
            changed[path] = StoredFile(large_files[value["oid"]], lfs=True)
        else:
            gone = [one for one in changed if one == path or (kind == "deletedFolder" and one.startswith(f"{path}/"))]
            if not gone:
                raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            for one in gone:
                del changed[one]
    return changed
