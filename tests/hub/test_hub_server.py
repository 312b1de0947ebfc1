"""The Hub of the tests, by the clients that it is for."""

import json

import pytest

OPEN = """
import json, sys
from pathlib import Path
from huggingface_hub import CommitOperationAdd, HfApi, snapshot_download
from huggingface_hub.errors import *

api = HfApi()
name, folder = "owner/sounds", Path("folder")
(folder / "eval").mkdir(parents=True, exist_ok=True)
(folder / "README.md").write_text("---\\nlibrary_name: transformers\\ntags: [audio]\\n---\\n# Sounds\\n")
(folder / "model.safetensors").write_bytes(bytes(range(256)) * 100)
(folder / "eval" / "curve.png").write_bytes(b"\\x89PNG\\0\\0")
(folder / "eval" / "table.csv").write_text("a,b\\n1,2\\n")
"""
PUSH = OPEN + "api.create_repo(name)\npushed = api.upload_folder(repo_id=name, folder_path=folder)\n"


def failing(code: str) -> str:
    """Code that prints the error of its last line."""
    return OPEN + (
        f"try:\n    {code}\nexcept HfHubHTTPError as error:\n"
        "    print(json.dumps([type(error).__name__, error.response.status_code, str(error)]))\n"
        "else:\n    raise SystemExit('expected an error')\n"
    )


def test_what_is_pushed_is_pulled_at_every_revision(hub, python) -> None:
    code = """
api.create_tag(name, tag="v1")
api.create_branch(name, branch="try/out", revision=pushed.oid)
(folder / "new.txt").write_text("new")
later = api.upload_folder(repo_id=name, folder_path=folder, revision="try/out", delete_patterns=["eval/*"])
(folder / "eval" / "table.csv").unlink()
again = api.upload_folder(repo_id=name, folder_path=folder, revision="try/out", delete_patterns=["eval/*"])
found = {}
for revision in ("main", "v1", pushed.oid, "try/out"):
    place = Path(snapshot_download(name, revision=revision))
    found[revision] = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    assert (place / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert place.name == api.model_info(name, revision=revision).sha
refs = api.list_repo_refs(name)
print(json.dumps([pushed.oid, found, [one.name for one in refs.branches], [one.name for one in refs.tags],
    [one.title for one in api.list_repo_commits(name, revision="try/out")],
    api.model_info(name).library_name, api.file_exists(name, "nothing"), api.whoami()["name"]]))
"""
    oid, found, branches, tags, titles, library, exists, who = json.loads(python(PUSH + code))
    both = [".gitattributes", "README.md", "eval/curve.png", "eval/table.csv", "model.safetensors"]
    later = [".gitattributes", "README.md", "eval/curve.png", "model.safetensors", "new.txt"]
    assert found == {"main": both, "v1": both, oid: both, "try/out": later}
    assert (branches, tags) == (["main", "try/out"], ["v1"])
    assert len(titles) == 4
    assert (library, exists, who) == ("transformers", False, "owner")
    large = {path for path, file in hub.repositories["models", "owner/sounds"].commit_at().files.items() if file.lfs}
    assert large == {"model.safetensors", "eval/curve.png"}
    assert hub.count("PUT", "^/lfs/") == 2


def test_a_pull_request_leaves_main_alone(hub, python) -> None:
    code = """
(folder / "README.md").write_text("better")
opened = api.upload_folder(repo_id=name, folder_path=folder, create_pr=True)
place = Path(snapshot_download(name, revision=opened.pr_revision))
print(json.dumps([opened.pr_num, opened.oid == place.name, (place / "README.md").read_text()]))
api.create_commit(name, [CommitOperationAdd("more.txt", b"more")], commit_message="more", revision=opened.pr_revision)
"""
    assert json.loads(python(PUSH + code)) == [1, True, "better"]
    repository = hub.repositories["models", "owner/sounds"]
    assert b"# Sounds" in repository.files()["README.md"]
    assert repository.files("refs/pr/1")["more.txt"] == b"more"


@pytest.mark.parametrize(
    ("code", "error", "status", "sentence"),
    [
        ("api.model_info('owner/nothing')", "RepositoryNotFoundError", 404, "Repository Not Found"),
        ("api.create_repo('owner/kept')", "HfHubHTTPError", 409, "You already created this repo"),
        ("api.create_repo('other/new')", "HfHubHTTPError", 403, "You don't have the rights"),
        ("api.model_info('owner/kept', revision='v9')", "RevisionNotFoundError", 404, "Revision Not Found"),
        ("api.hf_hub_download('owner/kept', 'nothing.txt')", "RemoteEntryNotFoundError", 404, "Entry Not Found"),
        ("list(api.list_repo_tree('owner/kept', 'nowhere'))", "RemoteEntryNotFoundError", 404, "Entry Not Found"),
        ("HfApi(token='hf_x').whoami()", "HfHubHTTPError", 401, "Invalid"),
        ("HfApi(token=False).model_info('owner/hidden')", "RepositoryNotFoundError", 401, "Repository Not Found"),
        ("HfApi(token=sys.argv[1]).model_info('owner/hidden')", "RepositoryNotFoundError", 404, "Not Found"),
        ("HfApi(token=sys.argv[1]).create_branch('owner/kept', branch='b')", "HfHubHTTPError", 403, "Forbidden"),
        ("api.create_branch('owner/kept', branch='main')", "HfHubHTTPError", 409, "already exists"),
        ("HfApi(token=False).upload_folder(repo_id='owner/kept', folder_path=folder)", "", 401, "Invalid username"),
        ("api.create_commit('owner/kept', [CommitOperationAdd('a', b'')], commit_message='a', parent_commit='0' * 40)",
         "HfHubHTTPError", 412, "A commit has happened since"),
    ],
)  # fmt: skip
def test_mistakes_are_answered_as_the_hub_answers_them(hub, python, code, error, status, sentence) -> None:
    account = hub.repositories.account_of(hub.token)
    for name, private in (("owner/kept", False), ("owner/hidden", True)):
        hub.repositories.create("models", name, private, account)
    name, found, text = json.loads(python(failing(code), hub.reading_token))
    assert name == error or not error
    assert found == status
    assert sentence in text


def test_a_private_repository_is_for_its_owner(python) -> None:
    code = "api.create_repo(name, private=True)\nprint(api.model_info(name).private)"
    assert python(OPEN + code) == "True\n"


def test_a_connection_that_breaks_off_leaves_no_commit(hub, run_python) -> None:
    hub.fail("POST", "/commit/")
    done = run_python(PUSH)
    assert done.returncode == 1
    assert "RemoteProtocolError" in done.stderr or "ReadError" in done.stderr or "WriteError" in done.stderr
    assert list(hub.repositories["models", "owner/sounds"].files()) == [".gitattributes"]


@pytest.mark.parametrize("status", [503, None])
def test_an_upload_is_tried_again(hub, python, status) -> None:
    hub.fail("PUT", "^/lfs/", status)
    python(PUSH)
    assert hub.count("PUT", "^/lfs/") == 3
    assert len(hub.repositories["models", "owner/sounds"].files()["model.safetensors"]) == 25_600


def test_a_download_that_breaks_off_goes_on(hub, python) -> None:
    hub.fail("GET", r"/resolve/.*\.safetensors")
    code = "print((Path(snapshot_download(name)) / 'model.safetensors').stat().st_size)"
    assert python(PUSH + code) == "25600\n"
    assert hub.count("GET", r"/resolve/.*\.safetensors") == 2


def test_a_space_is_a_repository_of_its_own_kind(hub, python) -> None:
    python(
        OPEN + "api.create_repo(name, repo_type='space', space_sdk='gradio')\n"
        "api.upload_file(path_or_fileobj=b'print()', path_in_repo='app.py', repo_id=name, repo_type='space')\n"
        "assert Path(api.hf_hub_download(name, 'app.py', repo_type='space')).read_text() == 'print()'\n"
    )
    assert hub.repositories["spaces", "owner/sounds"].files()["app.py"] == b"print()"


def test_a_data_set_goes_and_comes_back(hub, python) -> None:
    code = """
import datasets
rows = datasets.Dataset.from_dict({"name": ["a", "b", "c"], "label": [0, 1, 0]})
rows = rows.cast_column("label", datasets.ClassLabel(names=["low", "high"]))
pushed = datasets.DatasetDict(train=rows, test=rows.select([1]))
pushed.push_to_hub("owner/rows")
found = datasets.load_dataset("owner/rows")
assert found["train"].features == rows.features
assert {part: table.to_dict() for part, table in found.items()} == {p: t.to_dict() for p, t in pushed.items()}
streamed = datasets.load_dataset("owner/rows", split="train", streaming=True)
assert list(streamed) == rows.to_list()
pushed["train"].select([0]).push_to_hub("owner/rows", split="extra", revision="other")
print(datasets.load_dataset("owner/rows", split="extra", revision="other")[0]["name"])
print(*datasets.load_dataset("owner/rows"))
"""
    assert python(code) == "a\ntrain test\n"
    assert "data/train-00000-of-00001.parquet" in hub.repositories["datasets", "owner/rows"].files()
