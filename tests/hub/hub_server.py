"""A Hub on this machine, for tests: what the clients of the Hugging Face stack need to push and pull, over real HTTP.

It knows models, datasets and Spaces, LFS, branches, tags, pull requests, private repositories and tokens, and answers
mistakes as the Hub does. Faults can be injected: an error for so many requests, or a connection that breaks off.
"""

import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub_repositories import (
    KINDS,
    LARGEST_REGULAR,
    Account,
    Commit,
    HubError,
    Repositories,
    Repository,
    change_files,
    check_writer,
    read_card,
)

LFS_ENDINGS = (".bin", ".onnx", ".parquet", ".pkl", ".pt", ".pth", ".safetensors", ".zip")
LONG_AGO = "2026-01-01T00:00:00.000Z"


@dataclass
class Fault:
    """What goes wrong with requests that match.

    Attributes:
        method: Such as `POST`.
        path: A regular expression, searched in the path.
        status: What is answered; None breaks the connection off in the middle of the content.
        times: How often.
    """

    method: str
    path: str
    status: int | None
    times: int


class LocalHub(ThreadingHTTPServer):
    """The server; its address is in `endpoint`.

    Attributes:
        repositories: What it holds: `hub.repositories["models", "owner/name"].files("main")`.
        token: Of the account `owner`, which may write in its namespace.
        reading_token: Of the account `reader`, which may not write.
        requests: The method and path of each request, in order.
    """

    daemon_threads = True
    token = "hf_" + "owner" * 7
    reading_token = "hf_" + "reader" * 6

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        accounts = {self.token: Account("owner", True), self.reading_token: Account("reader", False)}
        self.repositories = Repositories(accounts)
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self._faults: list[Fault] = []

    def fail(self, method: str, path: str, status: int | None = None, times: int = 1) -> None:
        """Lets the next matching requests fail; see `Fault`."""
        self._faults.append(Fault(method, path, status, times))

    def count(self, method: str, path: str) -> int:
        """How many requests matched so far, those that failed among them."""
        return sum(one == method and re.search(path, where) is not None for one, where in self.requests)

    def note(self, method: str, path: str) -> Fault | None:
        """Writes a request down, and says what goes wrong with it."""
        with self.lock:
            self.requests.append((method, path))
            for fault in self._faults:
                if fault.times and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def url_of(self, repository: Repository) -> str:
        """The address of a repository's page."""
        prefix = "" if repository.kind == "models" else f"{repository.kind}/"
        return f"{self.endpoint}/{prefix}{repository.name}"


@contextmanager
def running_hub() -> Iterator[LocalHub]:
    """A Hub that answers until the block ends."""
    with LocalHub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: LocalHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        fault = self.server.note(self.command, unquote(url.path))
        length = int(self.headers.get("Content-Length", 0))
        self.breaks_off = fault is not None and fault.status is None
        if self.breaks_off and length:
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        self.content = self.rfile.read(length)
        try:
            if fault is not None and fault.status is not None:
                raise HubError(fault.status, "This is a test")
            # A revision such as refs/pr/1 is one part: its slashes come quoted.
            self._route([unquote(part) for part in url.path.strip("/").split("/")])
        except HubError as error:
            headers = {"X-Error-Message": str(error)} | ({"X-Error-Code": error.code} if error.code else {})
            self._send_json(error.body, error.status, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  the base class looks for these

    def _route(self, parts: list[str]) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        with self.server.lock:
            repositories = self.server.repositories
            account = repositories.account_of(token if scheme == "Bearer" else None)
            match (self.command, *parts):
                case ("GET", "api", "whoami-v2"):
                    self._whoami(account)
                case ("POST", "api", "validate-yaml"):
                    self._validate_card()
                case ("POST", "api", "repos", "create"):
                    self._create(account)
                case ("DELETE", "api", "repos", "delete"):
                    request = self._json()
                    name = _full_name(request, account)
                    repositories.delete(f"{request.get('type') or 'model'}s", name, account)
                    self._send_json({})
                case ("PUT", "lfs", oid):
                    repositories.large_files[oid] = self.content
                    self._send_json({})
                case ("POST", "lfs", "verify"):
                    known = self._json()["oid"] in repositories.large_files
                    self._send_json({}, 200 if known else 404)
                case ("GET" | "POST" | "PUT" | "DELETE", "api", kind, owner, name, *rest) if kind in KINDS:
                    self._route_repository(kind, f"{owner}/{name}", rest, account)
                case (_, "datasets" | "spaces" as kind, *rest):
                    self._route_files(kind, rest, account)
                case _:
                    self._route_files("models", parts, account)

    def _route_files(self, kind: str, parts: list[str], account: Account | None) -> None:
        repositories = self.server.repositories
        match (self.command, *parts):
            case ("POST", owner, name, "info", "lfs", "objects", "batch"):
                repositories.readable(kind, f"{owner}/{name.removesuffix('.git')}", account)
                check_writer(account)
                self._send_json({"transfer": "basic", "objects": [*map(self._upload, self._json()["objects"])]})
            case ("GET" | "HEAD", owner, name, "resolve", revision, *path):
                repository = repositories.readable(kind, f"{owner}/{name}", account)
                self._send_file(repository.commit_at(revision), "/".join(path))
            case _:
                raise HubError(404, f"No such place: {self.command} {self.path}")

    def _route_repository(self, kind: str, name: str, rest: list[str], account: Account | None) -> None:
        opens_pull_request = "create_pr" in self.query
        repositories = self.server.repositories
        repository = repositories.readable(kind, name, account)
        match (self.command, *rest):
            case ("GET",):
                self._send_json(_describe(repository, repository.commit_at()))
            case ("GET", "revision", revision):
                self._send_json(_describe(repository, repository.commit_at(revision)))
            case ("GET", "tree", revision, *path):
                recursive = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
                self._send_json(repository.commit_at(revision).tree("/".join(path), recursive))
            case ("POST", "paths-info", revision):
                paths = parse_qs(self.content.decode())["paths"]
                files = repository.commit_at(revision).files
                self._send_json([files[path].entry(path) for path in paths if path in files])
            case ("GET", "refs"):
                self._send_json(_references(repository))
            case ("GET", "commits", revision):
                history = repository.commit_at(revision).history()
                self._send_json([_describe_commit(commit, repository.owner) for commit in history])
            case ("POST", "preupload", revision):
                files = repository.commit_at(revision).files
                check_writer(account, None if opens_pull_request else repository.owner)
                asked = self._json()["files"]
                oids = {path: file.sha256 if file.lfs else file.oid for path, file in files.items()}
                self._send_json({"files": [_upload_mode(file, oids.get(file["path"])) for file in asked]})
            case ("POST", "commit", revision):
                check_writer(account, None if opens_pull_request else repository.owner)
                self._commit(repository, revision, opens_pull_request)
            case ("POST" | "DELETE", "branch", branch):
                repositories.writable(kind, name, account)
                self._change_reference(repository, repository.branches, branch, self.content and self._json())
            case ("POST", "tag", revision):
                repositories.writable(kind, name, account)
                request = self._json()
                self._change_reference(repository, repository.tags, request["tag"], {"startingPoint": revision})
            case ("DELETE", "tag", tag):
                repositories.writable(kind, name, account)
                self._change_reference(repository, repository.tags, tag, None)
            case ("PUT", "settings"):
                repositories.writable(kind, name, account)
                request = self._json()
                repository.private = request.get("private", request.get("visibility") == "private")
                self._send_json({"private": repository.private})
            case _:
                raise HubError(404, f"No such place: {self.command} {self.path}")

    def _whoami(self, account: Account | None) -> None:
        if account is None:
            raise HubError(401, "Invalid username or password.")
        role = {"displayName": "test", "role": "write" if account.writes else "read"}
        auth = {"type": "access_token", "accessToken": role}
        self._send_json({"type": "user", "name": account.name, "fullname": account.name, "orgs": [], "auth": auth})

    def _validate_card(self) -> None:
        try:
            read_card(self._json()["content"])
        except HubError as error:
            self._send_json({"errors": [{"message": str(error)}], "warnings": []}, 400)
        else:
            self._send_json({"errors": [], "warnings": []})

    def _create(self, account: Account | None) -> None:
        request = self._json()
        kind, name = f"{request.get('type') or 'model'}s", _full_name(request, account)
        private = request.get("private") or request.get("visibility") == "private"
        try:
            repository = self.server.repositories.create(kind, name, private, account)
        except HubError as error:
            if error.status == 409:
                error.body["url"] = self.server.url_of(self.server.repositories[kind, name])
            raise
        self._send_json({"url": self.server.url_of(repository), "name": name})

    def _upload(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Where a large file goes, unless it is here."""
        oid, answer = asked["oid"], {"oid": asked["oid"], "size": asked["size"]}
        if oid in self.server.repositories.large_files:
            return answer
        places = {"upload": f"{self.server.endpoint}/lfs/{oid}", "verify": f"{self.server.endpoint}/lfs/verify"}
        return {**answer, "actions": {name: {"href": href} for name, href in places.items()}}

    def _commit(self, repository: Repository, revision: str, opens_pull_request: bool) -> None:
        header, *changes = map(json.loads, self.content.splitlines())
        title = header["value"]["summary"]
        files = change_files(repository.commit_at(revision).files, changes, self.server.repositories.large_files)
        address = self.server.url_of(repository)
        answer: dict[str, Any] = {"success": True}
        if opens_pull_request:
            number, commit = repository.open_pull_request(title, files)
            answer["pullRequestUrl"] = f"{address}/discussions/{number}"
        else:
            commit = repository.add_commit(revision, title, files, header["value"].get("parentCommit"))
        self._send_json({**answer, "commitOid": commit.sha, "commitUrl": f"{address}/commit/{commit.sha}"})

    def _change_reference(
        self, repository: Repository, place: dict[str, Commit], name: str, request: dict[str, Any] | bytes | None
    ) -> None:
        """Makes a branch or a tag, or removes it."""
        if self.command == "POST":
            if name in place:
                raise HubError(409, f"Reference {name} already exists")
            start = request.get("startingPoint", "main") if isinstance(request, dict) else "main"
            place[name] = repository.commit_at(start)
        elif name not in place:
            raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
        else:
            del place[name]
        self._send_json({})

    def _send_file(self, commit: Commit, path: str) -> None:
        file = commit.file(path)
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{file.sha256 if file.lfs else file.oid}"'}
        if file.lfs:
            headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(len(file.content))}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self._send(file.content, 200, headers)
            return
        size = len(file.content)
        start, end = int(wanted[1]), min(int(wanted[2] or size), size - 1)
        if start >= size:
            raise HubError(416, "Range not satisfiable")
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        self._send(file.content[start : end + 1], 206, headers)

    def _json(self) -> dict[str, Any]:
        return json.loads(self.content)

    def _send_json(self, answer: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(answer).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content)), "Accept-Ranges": "bytes"}.items():
            self.send_header(name, value.replace("\n", " "))
        self.end_headers()
        if self.breaks_off:
            content, self.close_connection = content[: len(content) // 2], True
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: `LocalHub.requests` has it."""


def _full_name(request: dict[str, Any], account: Account | None) -> str:
    owner = request.get("organization") or (account.name if account else "nobody")
    return f"{owner}/{request['name']}"


def _describe(repository: Repository, commit: Commit) -> dict[str, Any]:
    card = commit.card()
    answer = {
        "id": repository.name,
        "author": repository.owner,
        "sha": commit.sha,
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "tags": card.get("tags", []),
        "cardData": card,
        "siblings": [{"rfilename": path} for path in sorted(commit.files)],
        "createdAt": LONG_AGO,
        "lastModified": LONG_AGO,
    }
    if repository.kind == "models":
        answer |= {name: card.get(name) for name in ("pipeline_tag", "library_name") if name in card}
        if "config.json" in commit.files:
            answer["config"] = json.loads(commit.files["config.json"].content)
    return answer


def _describe_commit(commit: Commit, owner: str) -> dict[str, Any]:
    return {"id": commit.sha, "title": commit.title, "message": "", "authors": [{"user": owner}], "date": LONG_AGO}


def _references(repository: Repository) -> dict[str, Any]:
    def listed(place: dict[str, Commit], prefix: str) -> list[dict[str, str]]:
        return [{"name": name, "ref": f"{prefix}{name}", "targetCommit": commit.sha} for name, commit in place.items()]

    return {
        "branches": listed(repository.branches, "refs/heads/"),
        "tags": listed(repository.tags, "refs/tags/"),
        "converts": [],
        "pullRequests": listed(repository.pull_requests, ""),
    }


def _upload_mode(asked: dict[str, Any], oid: str | None) -> dict[str, Any]:
    binary = b"\0" in b64decode(asked["sample"]) or asked["path"].endswith(LFS_ENDINGS)
    mode = "lfs" if binary or asked["size"] > LARGEST_REGULAR else "regular"
    return {"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}
