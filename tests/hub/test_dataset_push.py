"""Pushing a data set, training from it, and what must not be pushed, over a Hub on this machine."""

import csv
import errno
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet
import pytest
from datasets.arrow_writer import ParquetWriter
from huggingface_hub import CommitOperationAdd, DatasetCard, HfApi, constants

from hfaudio.data import (
    Columns,
    DecodingSettings,
    Listing,
    StreamedTable,
    list_recordings,
    load_audio_dataset,
    open_table_stream,
    prepare_listing,
)
from hfaudio.hub import HubTarget, PushedDataset, dataset_files, dataset_push, push_dataset
from hfaudio.hub.dataset_files import public_name

NAME = "owner/tones"
CARD, LEFT_OUT = "README.md", "left_out.csv"
TINY = ("--hidden_sizes", "4", "8", "--depths", "1", "1", "--n_mels", "16", "--crop_seconds", "0.2")
QUICK = ("--max_steps", "2", "--use_cpu", "--cpu_threads", "1", "--preparation_processes", "1")

Script = Callable[..., None]
WriteTable = Callable[..., Path]


@pytest.fixture(scope="module")
def push(main_of) -> Script:
    main = main_of("push_dataset")

    def run(source: object, *flags: object) -> None:
        target = () if "--repo_id" in flags else ("--repo_id", NAME)
        main([str(source), *target, "--preparation_processes", "1", *map(str, flags)])

    return run


@pytest.fixture(scope="module")
def train(main_of) -> Script:
    main = main_of("train")
    return lambda *flags: main([*map(str, flags), *TINY, *QUICK])


@pytest.fixture
def write_table(write_tone, tmp_path) -> WriteTable:
    """Writes twelve tones with a table of `file_name` and `class`, and further cells."""

    def write(
        header: str = "",
        cells: Callable[[int], str] = lambda index: "",
        file_name: Callable[[int], str] = "{}.wav".format,
        classes: tuple[str, str] = ("high", "low"),
    ) -> Path:
        folder = tmp_path / "table"
        lines = [f"file_name,class{header}"]
        for index in range(12):
            write_tone(f"table/{index}.wav", frequency=(2000, 200)[index % 2] + 10 * index)
            lines.append(f"{file_name(index)},{classes[index % 2]}{cells(index)}")
        (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
        return folder

    return write


def push_folder(folder: Path | str, target: HubTarget) -> PushedDataset:
    listing = list_recordings(folder)
    return push_dataset(listing, prepare_listing(listing, num_proc=1), target)


def rows_of(dataset: datasets.Dataset) -> dict[str, dict[str, Any]]:
    """The rows by file name, with the recordings as they are encoded."""
    return {row["file_name"]: row for row in dataset.cast_column("audio", datasets.Audio(decode=False))}


def fails(push: Script, capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 2) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ending:
        push(*arguments)
    assert ending.value.code == code
    captured = capsys.readouterr()
    assert not any(f"hf_{account}" in captured.out + captured.err for account in ("owner", "reader", "nobody"))
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    return line


def test_class_folders_come_back_as_datasets_has_them(hub_here, push, capsys, two_classes, tmp_path) -> None:
    (two_classes / "low" / "broken.wav").write_bytes(b"no sound")
    push(two_classes, "--private", "--tag", "v1")
    repository = hub_here.repositories["datasets", NAME]
    commit = repository.commit_at()
    assert repository.private
    assert repository.commit_at("v1") == commit
    assert len(list(commit.history())) == 2
    assert set(commit.files) == {".gitattributes", CARD, LEFT_OUT, "data/train-00000-of-00001.parquet"}
    said, _, code = capsys.readouterr().out.partition("\n\n")
    assert f"pushed: {NAME} at {commit.sha}, 8 train (" in said
    assert "left out: 1; left_out.csv names them" in said
    assert f"scripts/train.py --dataset {NAME}@{commit.sha}" in said
    assert len(code.strip().splitlines()) == 3
    variables: dict[str, Any] = {}
    exec(code, variables)
    loaded = variables["dataset"]["train"]
    assert loaded.features == {
        "audio": datasets.Audio(),
        "label": datasets.ClassLabel(names=["high", "low"]),
        "file_name": datasets.Value("string"),
    }
    assert list(loaded["label"]) not in ([0] * 4 + [1] * 4, [1] * 4 + [0] * 4)
    rows = rows_of(loaded)
    paths = [path for path in two_classes.rglob("*.wav") if path.stem != "broken"]
    assert set(rows) == {path.relative_to(two_classes).as_posix() for path in paths}
    for path in paths:
        row = rows[path.relative_to(two_classes).as_posix()]
        assert row["audio"] == {"bytes": path.read_bytes(), "path": path.name}
        assert ("high", "low")[row["label"]] == path.parent.name
    with io.StringIO(commit.files[LEFT_OUT].content.decode()) as file:
        (left_out,) = csv.DictReader(file)
    assert left_out == {"file_name": "low/broken.wav", "reason": "not readable as audio (it is text)"}
    for file in commit.files.values():
        assert str(tmp_path).encode() not in file.content
        assert hub_here.token.encode() not in file.content


def test_the_card_says_what_is_there(hub_here, push, two_classes) -> None:
    (two_classes / "low" / "broken.wav").write_bytes(b"no sound")
    push(two_classes, "--license", "cc-by-4.0")
    card = DatasetCard(hub_here.repositories["datasets", NAME].files()[CARD].decode())
    data = card.data.to_dict()
    assert data["license"] == "cc-by-4.0"
    assert data["pretty_name"] == "tones"
    assert data["size_categories"] == "n<1K"
    assert data["task_categories"] == ["audio-classification"]
    assert data["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}]
    assert [feature["name"] for feature in data["dataset_info"]["features"]] == ["audio", "label", "file_name"]
    (split,) = data["dataset_info"]["splits"]
    size = sum(path.stat().st_size for path in two_classes.rglob("?.wav"))
    assert split == {"name": "train", "num_bytes": size, "num_examples": 8}
    assert "8 recordings (2.40 s) of 2 classes." in card.text
    assert "| class | train |\n| --- | ---: |\n| high | 4 |\n| low | 4 |\n| **recordings** | 8 |\n\n" in card.text
    assert "- sampling rates: 16 kHz (8)\n- channels: mono (8)\n- encodings: WAV PCM_16 (8)\n\n" in card.text
    assert "from were left out: 1, which `left_out.csv` names" in card.text
    assert load_audio_dataset(two_classes, num_proc=1).content_hash in card.text
    push(two_classes)
    assert b"license" not in hub_here.repositories["datasets", NAME].files()[CARD]


def test_user_text_in_the_card_is_text(hub_here, push, write_table) -> None:
    classes = ("<b>Dog</b> | [x](a.b) {{ 7 * 7 }}", "no\n---\n# *Cat*")
    table = write_table(classes=tuple(f'"{name}"' for name in classes))
    push(table, "--label_column", "class")
    card = DatasetCard(hub_here.repositories["datasets", NAME].files()[CARD].decode())
    assert "| &#60;b&#62;Dog&#60;/b&#62; &#124; &#91;x&#93;(a.b) {{ 7 &#42; 7 }} | 6 |" in card.text.splitlines()
    assert "| no --- &#35; &#42;Cat&#42; | 6 |" in card.text.splitlines()
    assert card.data.dataset_info["features"][1]["dtype"]["class_label"]["names"] == dict(
        zip("01", classes, strict=True)
    )
    assert datasets.load_dataset(NAME, split="train").features["label"].names == list(classes)


def test_given_parts_become_those_of_the_hub_and_train(hub_here, push, train, capsys, two_classes, tmp_path) -> None:
    for part, stems in (("training", "012"), ("eval", "3")):
        for path in [path for path in two_classes.rglob("*.wav") if path.stem in stems]:
            place = tmp_path / "parts" / part / path.relative_to(two_classes)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    push(tmp_path / "parts")
    assert ", 6 train, 2 test (" in capsys.readouterr().out
    loaded = datasets.load_dataset(NAME)
    assert list(loaded) == ["train", "test"]
    assert set(rows_of(loaded["test"])) == {"eval/high/3.wav", "eval/low/3.wav"}
    assert "fold" not in loaded["train"].features
    card = hub_here.repositories["datasets", NAME].files()[CARD].decode()
    assert "| class | train | test |\n| --- | ---: | ---: |\n| high | 3 | 1 |\n" in card
    for flags in ((), ("--streaming",)):
        train("--dataset", NAME, *flags, "--output_dir", tmp_path / f"run{len(flags)}")
        assert "on 2 held-out recordings" in capsys.readouterr().out


def test_folds_and_groups_survive(hub_here, push, train, capsys, write_table, tmp_path) -> None:
    table = write_table(",part,speaker", lambda index: f",{index % 3 + 1},s{index // 6}-{index % 3}")
    columns = ("--label_column", "class", "--fold_column", "part", "--group_column", "speaker")
    push(table, *columns)
    rows = rows_of(datasets.load_dataset(NAME, split="train"))
    assert {name: (row["fold"], row["group"]) for name, row in rows.items()} == {
        f"{index}.wav": (str(index % 3 + 1), f"s{index // 6}-{index % 3}") for index in range(12)
    }
    assert (
        "\n`--eval_folds` names the folds to hold out.\n"
        in hub_here.repositories["datasets", NAME].files()[CARD].decode()
    )
    here = load_audio_dataset(table, label_column="class", fold_column="part", group_column="speaker", num_proc=1)
    there = load_audio_dataset(NAME, num_proc=1)
    compared = ("content_hash", "label", "fold", "group")
    assert sorted(zip(*(there.dataset[name] for name in compared), strict=True)) == sorted(
        zip(*(here.dataset[name] for name in compared), strict=True)
    )
    train("--dataset", NAME, "--eval_folds", "3", "--output_dir", tmp_path / "run")
    assert "on 4 held-out recordings" in capsys.readouterr().out


def test_several_classes_survive(hub_here, push, several_labels) -> None:
    push(several_labels, "--label_separator", ";")
    rows = rows_of(loaded := datasets.load_dataset(NAME, split="train"))
    assert loaded.features["label"] == datasets.List(datasets.ClassLabel(names=["high", "low"]))
    assert [rows[f"0{index}.wav"]["label"] for index in range(4)] == [[1], [0], [0, 1], []]
    card = hub_here.repositories["datasets", NAME].files()[CARD].decode()
    assert "24 recordings (12.00 s) of 2 classes, any number of them in a recording." in card
    assert "| high | 12 |\n| low | 12 |\n| **recordings** | 24 |" in card
    assert list_recordings(NAME).multi_label


def test_spans_survive_whether_they_are_decoded_first_or_streamed(hub_here, push, write_table) -> None:
    table = write_table(
        ",from,to,split",
        lambda index: f",{index % 3 / 10},{index % 3 / 10 + 0.1:.1f},{'test' if index > 9 else 'train'}",
    )
    push(table, "--label_column", "class", "--start_column", "from", "--end_column", "to")
    row = rows_of(datasets.load_dataset(NAME, split="train"))["1.wav"]
    assert (row["audio"]["path"], row["span_start"], row["span_end"]) == ("1.wav", 0.1, 0.2)
    assert row["audio"]["bytes"] == (table / "1.wav").read_bytes()
    here = load_audio_dataset(table, label_column="class", start_column="from", end_column="to", num_proc=1)
    assert load_audio_dataset(NAME, num_proc=1).content_hash == here.content_hash
    stream = open_table_stream(NAME, Columns())
    waveforms = list(StreamedTable(stream.rows, DecodingSettings()).waveforms())
    assert [len(waveform) for waveform in waveforms] == [1_600] * 10


def test_a_data_set_of_the_hub_can_be_pushed_on(hub_here, two_classes) -> None:
    push_folder(two_classes, HubTarget(NAME))
    push_folder(NAME, HubTarget("owner/others"))
    here, there = (datasets.load_dataset(name, split="train") for name in (NAME, "owner/others"))
    content = [
        sorted((row["audio"]["bytes"], row["label"]) for row in rows_of(dataset).values()) for dataset in (here, there)
    ]
    assert content[0] == content[1]


def test_large_data_sets_are_written_in_pieces_and_take_the_place_of_earlier_ones(
    hub_here, two_classes, monkeypatch
) -> None:
    first = push_folder(two_classes, HubTarget(NAME))
    assert push_folder(two_classes, HubTarget(NAME)).revision == first.revision
    monkeypatch.setattr(dataset_files, "ROW_GROUP_BYTES", 10_000)
    monkeypatch.setattr(dataset_files, "SHARD_BYTES", 30_000)
    push_folder(two_classes, HubTarget(NAME))
    repository = hub_here.repositories["datasets", NAME]
    shards = {name: content for name, content in repository.files().items() if name.startswith("data/")}
    assert list(shards) == ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
    files = [pyarrow.parquet.ParquetFile(io.BytesIO(content)) for content in shards.values()]
    assert [file.num_row_groups for file in files] == [2, 2]
    assert sum(file.metadata.num_rows for file in files) == 8
    assert len(list(repository.commit_at().history())) == 3


def test_a_branch_and_a_pull_request_leave_main_alone(hub_here, two_classes) -> None:
    branch = push_folder(two_classes, HubTarget(NAME, revision="next"))
    proposed = push_folder(two_classes, HubTarget(NAME, create_pr=True))
    repository = hub_here.repositories["datasets", NAME]
    assert set(repository.files()) == {".gitattributes"}
    assert repository.commit_at("next").sha == branch.revision
    assert repository.commit_at("refs/pr/1").sha == proposed.revision
    assert proposed.url == f"{hub_here.endpoint}/datasets/{NAME}/discussions/1"


def test_a_token_that_is_given_is_enough(hub_here, two_classes, monkeypatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    pushed = push_folder(two_classes, HubTarget(NAME, private=True, token=hub_here.token))
    assert hub_here.repositories["datasets", NAME].commit_at().sha == pushed.revision


@pytest.mark.parametrize(
    ("token", "name", "sentence"),
    [
        ("", NAME, "Expected an access token, found none; log in with `hf auth login`, or set HF_TOKEN."),
        ("hf_nobody", NAME, "(401); log in anew with `hf auth login`, or set"),
        ("reader", NAME, f"Expected an access token that may write to {NAME}, found one that may only read; make"),
        ("owner", "other/tones", "found: You don't have the rights to write in this namespace with this token (403)"),
        ("owner", "../tones", "Expected the Hub to take ../tones, found: "),
        ("owner", "owner/../tones", "Expected the Hub to take owner/../tones, found: "),
    ],
)
def test_who_may_not_push_is_told_why(
    hub_here, push, capsys, two_classes, monkeypatch, tmp_path, token, name, sentence
) -> None:
    known = {"reader": hub_here.reading_token, "owner": hub_here.token}
    monkeypatch.setenv("HF_TOKEN", known.get(token, token))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "nothing"))
    assert sentence in fails(push, capsys, two_classes, "--repo_id", name)
    assert len(hub_here.repositories) == 0


def test_a_connection_that_breaks_off_leaves_both_sides_whole(hub_here, push, capsys, two_classes) -> None:
    push(two_classes)
    repository = hub_here.repositories["datasets", NAME]
    before = repository.commit_at()
    (two_classes / "high" / "0.wav").unlink()
    hub_here.fail("POST", "/commit/")
    error = fails(push, capsys, two_classes)
    assert "; nothing there is half done, and what is decoded is kept: run the same command again." in error
    assert repository.commit_at() == before
    assert not list(Path(datasets.config.HF_DATASETS_CACHE).glob("hfaudio-push-*"))
    push(two_classes)
    assert list(repository.commit_at().history())[1] == before
    assert "7 train" in capsys.readouterr().out


def test_what_comes_back_otherwise_is_told_and_gets_no_tag(hub_here, push, capsys, two_classes, monkeypatch) -> None:
    write = dataset_files._row

    def damaged(recording, encoded: bytes, label: int) -> dict[str, Any]:
        return write(recording, encoded[:-1] + b"?" if recording.file_name == "low/2.wav" else encoded, label)

    monkeypatch.setattr(dataset_files, "_row", damaged)
    error = fails(push, capsys, two_classes, "--tag", "v1", code=1)
    repository = hub_here.repositories["datasets", NAME]
    sha = repository.commit_at().sha
    assert f"Expected {NAME} at revision {sha} to hold what lies here, found another train/" in error
    assert "2.wav; do not use this revision." in error
    assert not repository.tags
    monkeypatch.setattr(dataset_push, "list_hub_dataset", lambda *_: Listing([]))
    error = fails(push, capsys, two_classes, "--tag", "v1", code=1)
    assert f"Expected 8 recordings in {NAME} at revision {sha}, found 0; do not use this revision." in error


def test_what_cannot_be_read_back_is_told(hub_here, push, capsys, two_classes) -> None:
    hub_here.fail("GET", r"\.parquet$", status=403, times=9)
    error = fails(push, capsys, two_classes, code=1)
    sha = hub_here.repositories["datasets", NAME].commit_at().sha
    assert f"Expected {NAME} at revision {sha} to load, found: " in error


def test_a_full_disk_is_told_and_nothing_is_left_behind(hub_here, push, capsys, two_classes, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ParquetWriter, "write_table", full)
    cache = datasets.config.HF_DATASETS_CACHE
    error = fails(push, capsys, two_classes)
    assert f"Expected room for a copy of all recordings in {cache}, found the disk full; free some, or set" in error
    assert not list(Path(cache).glob("hfaudio-push-*"))
    assert set(hub_here.repositories["datasets", NAME].files()) == {".gitattributes"}


def test_a_recording_that_no_table_holds(hub_here, push, capsys, two_classes, monkeypatch) -> None:
    monkeypatch.setattr(dataset_files, "LARGEST_RECORDING", 9_000)
    error = fails(push, capsys, two_classes)
    assert "Expected recordings of at most 9e-06 GB, found 9.6e-06 GB in " in error
    assert "; cut it, or compress it as FLAC." in error


def test_names_that_tell_of_the_machine_lose_what_tells(hub_here, push, write_table, tmp_path) -> None:
    def file_name(index: int) -> str:
        return (str(tmp_path / "table" / f"{index}.wav"), f"../table/{index}.wav", str(tmp_path / "gone.wav"))[
            0 if index < 6 else 1 if index < 11 else 2
        ]

    push(write_table(file_name=file_name), "--label_column", "class")
    files = hub_here.repositories["datasets", NAME].files()
    assert all(str(tmp_path).encode() not in content for content in files.values())
    names = set(rows_of(datasets.load_dataset(NAME, split="train")))
    assert names == {f"{index}.wav" for index in range(6)} | {f"table/{index}.wav" for index in range(6, 11)}
    assert "\ngone.wav,no such file (line 13 of metadata.csv)" in files[LEFT_OUT].decode().replace("\r", "")


@pytest.mark.parametrize(
    ("file_name", "public"),
    [
        ("dog/a.wav", "dog/a.wav"),
        ("/home/me/dog/a.wav", "a.wav"),
        ("../../dog/a.wav", "dog/a.wav"),
        ("dog/../../../a.wav", "a.wav"),
    ],
)
def test_a_public_name_leads_nowhere_else(file_name, public) -> None:
    assert public_name(file_name) == public


def test_an_archive_that_points_elsewhere_is_refused(
    hub_here, push, capsys, write_table, write_tone, tmp_path
) -> None:
    secret = write_tone("secret.wav")
    table = write_table(file_name=lambda index: f"{index}.wav" if index else str(secret))
    with zipfile.ZipFile(tmp_path / "table.zip", "w") as archive:
        for path in table.iterdir():
            archive.write(path, path.name)
    error = fails(push, capsys, tmp_path / "table.zip", "--label_column", "class")
    assert "Expected the files named in metadata.csv within the data set, found " in error
    assert not hub_here.requests


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--trim_silence", "ends"), "--trim_silence must be none, found ends: recordings go as they are."),
        (("--create_pr", "--tag", "v1"), "Expected --create_pr or --tag, found both"),
        (("--group_pattern", "x+"), "Expected --group_pattern x+ to match every file name, found high/0.wav without"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(hub_here, push, capsys, two_classes, flags, sentence) -> None:
    assert sentence in fails(push, capsys, two_classes, *flags)
    assert not hub_here.requests


def test_a_repository_must_be_named(main_of, capsys, two_classes) -> None:
    assert "Expected a --repo_id such as owner/name, found none." in fails(
        main_of("push_dataset"), capsys, [str(two_classes)]
    )


def test_recordings_behind_links_are_told(hub_here, push, capsys, two_classes, write_tone) -> None:
    outside = write_tone("private/tone.wav", frequency=1234.0)
    (two_classes / "high" / "linked.wav").symlink_to(outside)
    (two_classes / "high" / "passwd.wav").symlink_to("/etc/passwd")
    (two_classes / "low" / "other.wav").symlink_to(two_classes / "low" / "nowhere.wav")
    (two_classes / "secrets.txt").write_text("private")
    (two_classes / "high" / "secrets.txt").write_text("private")
    push(two_classes, "--on_bad", "skip")
    told = capsys.readouterr().out
    assert "1 recording outside of the folder, by links or paths, went too: high/linked.wav\n" in told
    files = hub_here.repositories["datasets", NAME].files()
    assert set(files) == {".gitattributes", CARD, LEFT_OUT, "data/train-00000-of-00001.parquet"}
    assert not [name for name, content in files.items() if b"root:" in content or b"private" in content]
    assert "high/passwd.wav" in files[LEFT_OUT].decode()
    assert f"files: {CARD} (" in told
    assert "of every recording: audio, label, file_name; its file as it is, with the tags written in it\n" in told


def test_recordings_that_were_cut_from_files_are_told(hub_here, push, capsys, write_table) -> None:
    columns = ("--label_column", "class", "--start_column", "from", "--end_column", "to")
    push(write_table(",from,to", lambda index: ",0.1,0.2"), *columns)
    assert "12 recordings cut from longer files: the whole files went\n" in capsys.readouterr().out


def test_what_others_put_there_stays_and_is_told(hub_here, push, capsys, two_classes) -> None:
    api = HfApi()
    api.create_repo(NAME, repo_type="dataset")
    old = ("data/train-00000-of-00002.parquet", "data/mine-of-me.parquet", "LICENSE", "data/notes.md")
    changes = [CommitOperationAdd(name, b"old") for name in old]
    api.create_commit(NAME, changes, commit_message="before", repo_type="dataset")
    push(two_classes)
    told = capsys.readouterr().out
    assert "removed there, of an earlier push: data/train-00000-of-00002.parquet\n" in told
    assert "kept there: .gitattributes, LICENSE, data/mine-of-me.parquet, data/notes.md\n" in told
    assert set(old[1:]) <= set(hub_here.repositories["datasets", NAME].files())


def test_groups_that_are_paths_of_the_machine_lose_what_they_share(hub_here, push, write_table) -> None:
    table = write_table(",from", lambda index: f",/home/me/tapes/{'ab'[index % 2]}/{index // 6}")
    push(table, "--label_column", "class", "--group_column", "from")
    rows = rows_of(datasets.load_dataset(NAME, split="train"))
    assert {row["group"] for row in rows.values()} == {"a/0", "a/1", "b/0", "b/1"}
