import errno
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import datasets
import pytest

from hfaudio.data.errors import DataError
from hfaudio.data.recordings import Columns, LeftOut
from hfaudio.data.sources import list_recordings


def pack(folder: Path, kind: str) -> Path:
    """Packs a folder as macOS and most others do: with the folder itself in the archive."""
    archive = folder.with_name(f"{folder.name}.{kind}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in files:
                file.write(path, path.relative_to(folder.parent))
    else:
        with tarfile.open(archive, "w:gz") as file:
            for path in files:
                file.add(path, path.relative_to(folder.parent))
    return archive


# What `Audio` stores; to make a column of that type at once, datasets needs torchcodec.
STORED_AUDIO = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}


def in_memory(folder: Path) -> datasets.Dataset:
    """The class folders of a folder as a data set that holds the files."""
    paths = sorted(folder.rglob("*.wav"))
    names = sorted({path.parent.name for path in paths})
    features = datasets.Features({"audio": STORED_AUDIO, "label": datasets.ClassLabel(names=names)})
    rows = {
        "audio": [{"bytes": path.read_bytes(), "path": path.name} for path in paths],
        "label": [path.parent.name for path in paths],
    }
    return datasets.Dataset.from_dict(rows, features=features).cast_column("audio", datasets.Audio(decode=False))


def test_metadata_wins_over_sub_folders(two_classes) -> None:
    (two_classes / "metadata.csv").write_text("file_name,label\nhigh/0.wav,one\nlow/0.wav,two\n")
    assert [r.labels for r in list_recordings(two_classes).recordings] == [("one",), ("two",)]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("content", ["class folders", "train and test", "metadata.csv", "ESC-50", "Parquet"])
def test_an_archive_lists_what_its_folder_does(two_classes, kind: str, content: str) -> None:
    columns = Columns()
    if content == "train and test":
        shutil.copytree(two_classes, two_classes / "train")
        shutil.copytree(two_classes / "train", two_classes / "test")
        for name in ("high", "low"):
            shutil.rmtree(two_classes / name)
    if content == "metadata.csv":
        (two_classes / "metadata.csv").write_text("file_name,label,fold\nhigh/0.wav,Hünd,1\nlow/0.wav,b c,2\n")
    if content == "ESC-50":
        shutil.move(two_classes / "high", two_classes / "audio")
        (two_classes / "meta").mkdir()
        (two_classes / "meta" / "esc50.csv").write_text("filename,fold,category\n0.wav,1,x\n1.wav,2,y\n")
        shutil.rmtree(two_classes / "low")
        columns = Columns(label="category")
    if content == "Parquet":
        dataset = in_memory(two_classes)
        for name in ("high", "low"):
            shutil.rmtree(two_classes / name)
        (two_classes / "data").mkdir()
        dataset.to_parquet(two_classes / "data" / "train-00000-of-00001.parquet")
    expected = list_recordings(two_classes, columns).recordings
    recordings = list_recordings(pack(two_classes, kind), columns).recordings
    assert len(recordings) >= 2
    assert [(r.file_name, r.labels, r.fold) for r in recordings] == [(r.file_name, r.labels, r.fold) for r in expected]
    contents = [Path(r.audio).read_bytes() if isinstance(r.audio, str) else r.encoded() for r in recordings]
    assert contents == [Path(r.audio).read_bytes() if isinstance(r.audio, str) else r.encoded() for r in expected]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_table_in_an_archive_leads_nowhere_else(two_classes, write_tone, kind: str, absolute: bool) -> None:
    cache = Path(datasets.config.HF_DATASETS_CACHE) / "hfaudio" / "archives"
    cache.mkdir(parents=True, exist_ok=True)
    secret = write_tone("x.wav").rename(cache / "x.wav")
    cell = str(secret) if absolute else "../../x.wav"
    (two_classes / "metadata.csv").write_text(f"file_name,label\nhigh/0.wav,one\n{cell},two\n")
    with pytest.raises(DataError) as error:
        list_recordings(pack(two_classes, kind))
    assert str(error.value) == (
        f"Expected the files named in metadata.csv within the data set, found {cell} in line 3; remove the line, if "
        "you trust the rest."
    )


@pytest.mark.parametrize("name", ["metadata.parquet", "data/train-00000-of-00001.parquet"])
def test_a_parquet_table_in_an_archive_leads_nowhere_else(two_classes, write_tone, name: str) -> None:
    secret = write_tone("x.wav")
    features = datasets.Features({"audio": STORED_AUDIO, "label": datasets.Value("string")})
    rows = {"audio": [{"bytes": None, "path": str(secret)}], "label": ["x"]}
    (two_classes / "data").mkdir()
    datasets.Dataset.from_dict(rows, features=features).cast_column("audio", datasets.Audio(decode=False)).to_parquet(
        two_classes / name
    )
    with pytest.raises(DataError, match=r"Expected the recordings within the data set, found .*x\.wav in row 0"):
        list_recordings(pack(two_classes, "zip"))


def test_parts_may_have_tables_of_their_own(write_tone, tmp_path) -> None:
    for part in ("train", "test"):
        write_tone(f"s/{part}/a.wav")
        (tmp_path / "s" / part / "metadata.jsonl").write_text(
            '{"file_name": "a.wav", "label": "dog"}\n{"file_name": "gone.wav", "label": "cat"}\n'
        )
    listing = list_recordings(tmp_path / "s")
    assert [(r.file_name, r.labels, r.fold) for r in listing.recordings] == [
        ("test/a.wav", ("dog",), "test"),
        ("train/a.wav", ("dog",), "train"),
    ]
    assert [one.file_name for one in listing.left_out] == ["test/gone.wav", "train/gone.wav"]
    assert listing.left_out_labels == {"cat"}


def test_several_sources_are_one_with_the_classes_matched_by_name(two_classes, write_tone, tmp_path) -> None:
    write_tone("more/low/0.wav")
    write_tone("more/noise/0.wav")
    (tmp_path / "x").mkdir()
    shutil.copytree(tmp_path / "more", tmp_path / "x" / "more")
    (tmp_path / "x" / "more" / "metadata.csv").write_text("file_name,label\nlow/0.wav,high\ngone.wav,bell\n")
    sources = [two_classes, str(tmp_path / "more"), tmp_path / "x" / "more", in_memory(two_classes)]
    listing = list_recordings(sources)
    assert {(r.file_name, r.labels) for r in listing.recordings} >= {
        ("two/low/0.wav", ("low",)),
        ("more-2/low/0.wav", ("low",)),
        ("more-2/noise/0.wav", ("noise",)),
        ("more-3/low/0.wav", ("high",)),
        ("dataset/row-000000-0.wav", ("high",)),
    }
    assert len({r.file_name for r in listing.recordings}) == len(listing.recordings) == 8 + 2 + 1 + 8
    assert listing.left_out == [LeftOut("more-3/gone.wav", "no such file (line 3 of metadata.csv)")]
    assert listing.left_out_labels == {"bell"}


def test_class_folders_may_join_a_table_whose_columns_are_named(two_classes, write_tone, tmp_path) -> None:
    write_tone("t/a.wav")
    (tmp_path / "t" / "metadata.csv").write_text("file_name,kind,part\na.wav,low,9\n")
    listing = list_recordings([two_classes, tmp_path / "t"], Columns(label="kind", fold="part"))
    assert len(listing.recordings) == 9
    assert [(r.labels, r.fold) for r in listing.recordings if r.file_name == "t/a.wav"] == [(("low",), "9")]
    with pytest.raises(DataError, match=f"--fold_column part needs a table such as metadata.csv in {two_classes}"):
        list_recordings([two_classes, two_classes], Columns(fold="part"))


def test_a_multi_label_source_makes_all_multi_label(two_classes, write_tone, tmp_path) -> None:
    write_tone("m/a.wav")
    write_tone("m/b.wav")
    (tmp_path / "m" / "metadata.jsonl").write_text(
        '{"file_name": "a.wav", "labels": ["low", "rain"]}\n{"file_name": "b.wav", "labels": []}\n'
    )
    listing = list_recordings([two_classes, tmp_path / "m"])
    assert listing.multi_label
    assert {r.labels for r in listing.recordings} == {("high",), ("low",), ("low", "rain"), ()}


@pytest.mark.parametrize(
    ("pattern", "group"),
    [
        (r"^(\d+)-", "1"),
        (r"speaker[a-z]", "speakerb"),
        (r"^(?P<who>low)/", "low"),
        (r"take(\d+)\.wav", "3"),
    ],
)
def test_a_pattern_over_the_file_name_gives_the_group(write_tone, tmp_path, pattern: str, group: str) -> None:
    write_tone("s/low/1-speakerb-take3.wav")
    (recording,) = list_recordings(tmp_path / "s", Columns(group_pattern=pattern)).recordings
    assert recording.group == group


def test_a_pattern_without_a_slash_is_about_the_file_alone(write_tone, tmp_path) -> None:
    write_tone("s/22/1-a.wav")
    (recording,) = list_recordings(tmp_path / "s", Columns(group_pattern=r"\d+")).recordings
    assert recording.group == "1"


def test_a_pattern_wins_over_a_column_that_was_found(two_classes) -> None:
    (two_classes / "metadata.csv").write_text("file_name,label,source_id\nhigh/0.wav,a,x\nlow/1.wav,b,x\n")
    assert [r.group for r in list_recordings(two_classes).recordings] == ["x", "x"]
    recordings = list_recordings(two_classes, Columns(group_pattern=r"(\d)\.wav")).recordings
    assert [r.group for r in recordings] == ["0", "1"]


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        (
            "(",
            "Expected a regular expression as --group_pattern, found '(': missing ), unterminated subpattern at pos",
        ),
        (
            "x(.*)",
            "Expected --group_pattern x(.*) to match every file name, found high/0.wav without a match; mend the "
            "pattern or rename the file.",
        ),
        ("(x)?", "found high/0.wav without a match"),
        ("(x*)", "found high/0.wav without a match"),
    ],
)
def test_patterns_that_do_not_fit_are_named(two_classes, pattern: str, sentence: str) -> None:
    with pytest.raises(DataError) as error:
        list_recordings(two_classes, Columns(group_pattern=pattern))
    assert sentence in str(error.value)


@pytest.mark.parametrize("source", ["/no/where", "./nowhere", "nowhere.csv", "a/b/c.zip", "../some/sounds"])
def test_a_path_where_nothing_lies_is_named(source: str) -> None:
    with pytest.raises(DataError) as error:
        list_recordings(source)
    assert str(error.value) == (
        "Expected a folder, a table (.csv, .tsv, .jsonl, .parquet), a .zip, a .tar.gz or the id of a Hub data set "
        f"(owner/name) at {source}, found nothing; check --dataset."
    )


def test_a_path_like_an_id_is_taken_for_a_folder_that_exists(two_classes, monkeypatch) -> None:
    monkeypatch.chdir(two_classes.parent.parent)
    assert len(list_recordings(f"{two_classes.parent.name}/two").recordings) == 8


def test_a_file_of_another_kind_is_named(tmp_path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(DataError, match=r"at .*a.wav, found a file of another kind; check --dataset\."):
        list_recordings(tmp_path / "a.wav")


def test_an_empty_folder_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"Expected a metadata.csv or one sub-folder .* found neither; .*\.flac"):
        list_recordings(tmp_path)


def test_no_source_is_named() -> None:
    with pytest.raises(DataError, match=r"^Expected at least one recording, found none; check --dataset\.$"):
        list_recordings([])


@pytest.mark.parametrize("flag", ["file", "label", "fold", "group", "start", "end"])
def test_columns_without_a_table_are_refused(two_classes, flag: str) -> None:
    with pytest.raises(DataError) as error:
        list_recordings(two_classes, Columns(**{flag: "kind"}))
    assert str(error.value) == (
        f"--{flag}_column kind needs a table such as metadata.csv in {two_classes}, found none; write one, or leave "
        "the flag out to take the sub-folders as classes."
    )


def test_no_group_may_be_asked_for_without_a_table(two_classes) -> None:
    assert len(list_recordings(two_classes, Columns(group="none")).recordings) == 8


def test_hidden_parquet_files_make_no_data_set(two_classes) -> None:
    (two_classes / ".cache").mkdir()
    (two_classes / ".cache" / "a.parquet").touch()
    assert len(list_recordings(two_classes).recordings) == 8


def test_a_link_to_a_file_and_to_the_folder(two_classes, tmp_path) -> None:
    os.symlink(two_classes / "low" / "0.wav", two_classes / "low" / "9.wav")
    os.symlink(two_classes, tmp_path / "linked")
    names = [r.file_name for r in list_recordings(tmp_path / "linked").recordings]
    assert len(names) == 9
    assert "low/9.wav" in names


def test_recordings_beside_the_class_folders_are_left_out_by_name(write_tone, tmp_path) -> None:
    for name in ("s/dog/a.wav", "s/cat/a.wav", "s/loose.wav", "s/.hidden.wav", "s/._a.wav", "s/dog/.b.wav"):
        write_tone(name)
    (tmp_path / "s" / "notes.txt").touch()
    listing = list_recordings(tmp_path / "s")
    assert [recording.file_name for recording in listing.recordings] == ["cat/a.wav", "dog/a.wav"]
    hidden = "is hidden: take the dot from its name"
    assert listing.left_out == [
        LeftOut("loose.wav", "lies in no class folder"),
        LeftOut(".hidden.wav", hidden),
        LeftOut("dog/.b.wav", hidden),
    ]


def described(source: Path, columns: Columns = Columns()) -> list[tuple[str, tuple[str, ...], str | None]]:  # noqa: B008
    return [(r.file_name, r.labels, r.fold) for r in list_recordings(source, columns).recordings]


@pytest.mark.parametrize(
    "parts", [("train", "test"), ("Train", "validation", "TEST"), ("dev", "eval"), ("fold1", "fold2")]
)
def test_parts_of_a_split_become_folds(write_tone, tmp_path, parts: tuple[str, ...]) -> None:
    for part in parts:
        for label in ("cat", "dog"):
            write_tone(f"s/{part}/{label}/a.wav")
    assert described(tmp_path / "s") == [
        (f"{part}/{label}/a.wav", (label,), part) for part in sorted(parts) for label in ("cat", "dog")
    ]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_what_lies_beside_the_parts_is_left_out_by_name(write_tone, tmp_path, kind: str) -> None:
    for name in ("train/cat/a", "train/dog/a", "train/loose", "test/cat/a", "noise/deep/a", "loose"):
        write_tone(f"s/{name}.wav")
    listing = list_recordings(tmp_path / "s" if kind == "folder" else pack(tmp_path / "s", kind))
    assert {(r.labels[0], r.fold) for r in listing.recordings} == {("cat", "train"), ("dog", "train"), ("cat", "test")}
    assert {(one.file_name, one.reason) for one in listing.left_out} == {
        ("train/loose.wav", "lies in no class folder"),
        ("loose.wav", "lies in no class folder"),
        ("noise/deep/a.wav", "lies beside the parts test, train"),
    }


def test_folders_within_parts_name_no_other_fold(write_tone, tmp_path) -> None:
    for name in ("train/cat/fold1/a", "train/dog/fold2/a", "test/cat/fold1/a", "test/dog/fold2/a"):
        write_tone(f"s/{name}.wav")
    assert [fold for _, _, fold in described(tmp_path / "s")] == ["test", "test", "train", "train"]


def test_a_part_without_classes_is_named(write_tone, tmp_path) -> None:
    write_tone("s/train/dog/a.wav")
    write_tone("s/test/b.wav")
    with pytest.raises(
        DataError, match="Expected one sub-folder of recordings for each class in .*test, found none; make them, write"
    ):
        list_recordings(tmp_path / "s")


def test_folds_without_classes_point_to_the_table_beside_them(write_tone, tmp_path) -> None:
    folder = tmp_path / "UrbanSound8K"
    for fold in (1, 2, 10):
        write_tone(f"UrbanSound8K/audio/fold{fold}/{fold}.wav")
    with pytest.raises(DataError, match="class in .*/audio/fold1, found none; make them, write a metadata.csv"):
        list_recordings(folder / "audio")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text("slice_file_name,class,fold\n1.wav,a,1\n")
    for columns in (Columns(), Columns(file="slice_file_name", label="class")):
        with pytest.raises(DataError, match="none; give .*/metadata/UrbanSound8K.csv as the data set, if that table"):
            list_recordings(folder / "audio", columns)


@pytest.mark.parametrize("nested", ["s", "data", "a/b/c"])
def test_a_folder_too_deep_is_found(write_tone, tmp_path, caplog, nested: str) -> None:
    for name in (f"{nested}/cat/a", f"{nested}/dog/b", "loose"):
        write_tone(f"s/{name}.wav")
    listing = list_recordings(tmp_path / "s")
    assert [(r.file_name, r.labels) for r in listing.recordings] == [
        (f"{nested}/cat/a.wav", ("cat",)),
        (f"{nested}/dog/b.wav", ("dog",)),
    ]
    assert listing.left_out == [LeftOut("loose.wav", "lies in no class folder")]
    assert f"The data set is taken from {tmp_path / 's' / nested.split('/')[0]}, the only folder" in caplog.messages[0]


@pytest.mark.parametrize("content", ["parts", "metadata.csv", "ESC-50"])
def test_any_data_set_may_lie_too_deep(write_tone, tmp_path, content: str) -> None:
    inner = tmp_path / "s" / "s"
    if content == "parts":
        for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
            write_tone(f"s/s/{name}/a.wav")
    else:
        write_tone("s/s/audio/a.wav")
        write_tone("s/s/audio/b.wav")
        table = inner / ("metadata.csv" if content == "metadata.csv" else "meta/esc50.csv")
        table.parent.mkdir(exist_ok=True)
        table.write_text("filename,kind,fold\na.wav,x,1\nb.wav,y,2\n")
    columns = Columns() if content == "parts" else Columns(label="kind")
    assert described(tmp_path / "s", columns) == [
        (f"s/{name}", labels, fold) for name, labels, fold in described(inner, columns)
    ]


def test_one_class_is_no_data_set_too_deep(write_tone, tmp_path) -> None:
    for name in ("cat/a", "cat/deep/er/b"):
        write_tone(f"s/{name}.wav")
    write_tone("t/dog/deep/er/a.wav")
    assert [r.labels for r in list_recordings([tmp_path / "s", tmp_path / "t"]).recordings] == [
        ("cat",),
        ("cat",),
        ("dog",),
    ]


def test_classes_may_lie_too_deep_in_every_part(write_tone, tmp_path) -> None:
    for name in ("train/audio/cat", "train/audio/dog", "test/audio/cat"):
        write_tone(f"s/{name}/a.wav")
    assert described(tmp_path / "s") == [
        ("test/audio/cat/a.wav", ("cat",), "test"),
        ("train/audio/cat/a.wav", ("cat",), "train"),
        ("train/audio/dog/a.wav", ("dog",), "train"),
    ]
    shutil.rmtree(tmp_path / "s" / "train" / "audio" / "dog")
    assert {labels for _, labels, _ in described(tmp_path / "s")} == {("audio",)}


def test_tables_named_like_parts(write_tone, tmp_path) -> None:
    for name in ("a", "b", "c"):
        write_tone(f"s/audio/{name}.wav")
    (tmp_path / "s" / "train.csv").write_text("file_name,label\na.wav,x\nb.wav,y\n")
    (tmp_path / "s" / "test.tsv").write_text("file_name\tlabel\naudio/c.wav\tx\n")
    assert described(tmp_path / "s") == [
        ("test/audio/c.wav", ("x",), "test"),
        ("train/a.wav", ("x",), "train"),
        ("train/b.wav", ("y",), "train"),
    ]


def test_a_table_that_is_not_read_is_told(two_classes, caplog) -> None:
    (two_classes / "labels.csv").write_text("file_name,label\n")
    (two_classes / "metadata.json").touch()
    list_recordings(two_classes)
    assert caplog.messages == [
        f"Not read, though they lie in {two_classes}: labels.csv, metadata.json; give a table (.csv, .tsv, "
        ".jsonl, .parquet) as the data set if it names the classes."
    ]


def test_archives_in_a_folder_are_named(tmp_path) -> None:
    for name in ("cat.zip", "dog.tar.gz"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="found archives, which are not unpacked within others: cat.zip, dog.tar.gz;"):
        list_recordings(tmp_path)


def test_of_a_table_named_like_a_part_the_files_may_lie_in_the_part(write_tone, tmp_path) -> None:
    for part in ("train", "test"):
        write_tone(f"s/{part}/a.wav")
        (tmp_path / "s" / f"{part}.csv").write_text("file_name,label\na.wav,x\n")
    recordings = list_recordings(tmp_path / "s").recordings
    assert [r.audio for r in recordings] == [str(tmp_path / "s" / part / "a.wav") for part in ("test", "train")]


@pytest.mark.parametrize("source", [None, 3, {"a": "b"}, [None], datasets.IterableDataset.from_generator(list)])
def test_something_else_is_named(source: Any) -> None:
    with pytest.raises(DataError, match=r"^Expected a path, .* or a DatasetDict, found (NoneType|int|dict|Iterable)"):
        list_recordings(source)


@pytest.mark.parametrize("depth", ["two", "two/low", "two/low/inner"])
def test_a_folder_that_is_locked_is_said(two_classes, monkeypatch, depth: str) -> None:
    """Which `os.walk` passes over in silence."""
    locked = two_classes.parent / depth
    locked.mkdir(exist_ok=True)
    scan, list_names = os.scandir, os.listdir

    def scan_unless_locked(path: os.PathLike[str]) -> object:
        if Path(path) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    def list_unless_locked(path: os.PathLike[str]) -> list[str]:
        if Path(path) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return list_names(path)

    monkeypatch.setattr(os, "scandir", scan_unless_locked)
    monkeypatch.setattr(os, "listdir", list_unless_locked)
    with pytest.raises(DataError, match=rf"^Expected .*, found Permission denied \({locked}\); allow "):
        list_recordings(two_classes)


def test_a_path_that_no_disk_takes_is_said() -> None:
    with pytest.raises(DataError, match=r"found File name too long \(x+\); allow it, or check --dataset"):
        list_recordings("x" * 5_000)


def test_recordings_that_a_table_does_not_name_are_told(write_tone, tmp_path, caplog) -> None:
    for name in ("s/a.wav", "s/b.wav", "s/sub/c.wav"):
        write_tone(name)
    (tmp_path / "s" / "link.wav").symlink_to("a.wav")
    (tmp_path / "s" / "notes.txt").touch()
    table = tmp_path / "s" / "metadata.csv"
    table.write_text("file_name,label\na.wav,dog\nb.wav,cat\n./sub/c.wav,cat\n")
    list_recordings(tmp_path / "s")
    assert not caplog.messages
    table.write_text("file_name,label\na.wav,dog\ngone.wav,cat\n")
    list_recordings(tmp_path / "s")
    assert caplog.messages == [
        f"Recordings in {tmp_path / 's'} that metadata.csv does not name, and that are not taken: 2 (b.wav, sub/c.wav)"
    ]
    caplog.clear()
    list_recordings(table)  # whoever names a table wants what it names
    assert not caplog.messages
