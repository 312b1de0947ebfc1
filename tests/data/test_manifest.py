import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from hfaudio.data import named_files
from hfaudio.data.errors import DataError
from hfaudio.data.manifest import find_manifest, list_manifest
from hfaudio.data.recordings import Columns, LeftOut, Listing
from hfaudio.data.sources import list_recordings

Rows = list[dict[str, Any]]

ESC50 = "filename,fold,target,category,esc10,src_file,take\n1-100032-A-0.wav,1,0,dog,True,100032,A\n"
URBANSOUND8K = (
    "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
    "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n"
    "100263-2-0-117.wav,100263,58.5,62.5,1,5,2,children_playing\n"
)


def write_csv(path: Path, rows: Rows, delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_tsv(path: Path, rows: Rows) -> None:
    write_csv(path, rows, "\t")


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_parquet(path: Path, rows: Rows) -> None:
    datasets.Dataset.from_list(rows).to_parquet(path)


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    ".csv": write_csv,
    ".tsv": write_tsv,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
}
KINDS = pytest.mark.parametrize("ending", WRITERS)


@pytest.fixture
def sounds(write_tone, tmp_path: Path) -> Path:
    """A folder with `a.wav`, `b.wav` and `sub/c.wav`."""
    for name in ("a", "b", "sub/c"):
        write_tone(f"s/{name}.wav")
    return tmp_path / "s"


def list_text(folder: Path, text: str, **columns: str) -> Listing:
    (folder / "metadata.csv").write_text(text, encoding="utf-8")
    return list_manifest(folder / "metadata.csv", Columns(**columns))


@KINDS
def test_every_kind_of_table_gives_the_same_listing(sounds, ending: str) -> None:
    rows = [
        {"file_name": "a.wav", "label": "dög", "fold": 1, "source_id": 7},
        {"file_name": "sub/c.wav", "label": "cat", "fold": 2, "source_id": 8},
    ]
    table = sounds / f"metadata{ending}"
    WRITERS[ending](table, rows)
    assert find_manifest(sounds) == table
    listing = list_manifest(table, Columns())
    assert [(r.file_name, r.labels, r.fold, r.group) for r in listing.recordings] == [
        ("a.wav", ("dög",), "1", "7"),
        ("sub/c.wav", ("cat",), "2", "8"),
    ]
    assert [r.audio for r in listing.recordings] == [str(sounds / "a.wav"), str(sounds / "sub" / "c.wav")]
    assert (listing.multi_label, listing.left_out) == (False, [])


@KINDS
def test_labels_that_are_numbers_are_text(sounds, ending: str) -> None:
    WRITERS[ending](
        sounds / f"t{ending}",
        [{"path": "a.wav", "label": 3, "fold": 1.0}, {"path": "b.wav", "label": 12, "fold": None}],
    )
    recordings = list_manifest(sounds / f"t{ending}", Columns()).recordings
    assert [r.labels for r in recordings] == [("3",), ("12",)]
    # Text keeps its decimals; a column of numbers with gaps gets them without having had them.
    assert [r.fold for r in recordings] == ["1.0" if ending in (".csv", ".tsv") else "1", None]


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_a_plain_table_with_relative_or_absolute_paths(sounds, tmp_path, ending: str, absolute: bool) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    prefix = f"{sounds}/" if absolute else "../s/"
    WRITERS[ending](folder / f"mine{ending}", [{"path": f"{prefix}{n}.wav", "label": n} for n in ("a", "sub/c")])
    recordings = list_manifest(folder / f"mine{ending}", Columns()).recordings
    assert [r.file_name for r in recordings] == [f"{prefix}a.wav", f"{prefix}sub/c.wav"]
    assert all(Path(r.audio).is_file() for r in recordings)


@pytest.mark.parametrize("file_column", ["file_name", "path", "filename"])
def test_a_byte_order_mark_and_blanks_as_spreadsheets_leave_them(sounds, file_column: str) -> None:
    text = f"\ufeff{file_column}, kind,fold,who\n sub/c.wav, dog ,1,x\n,,,\nb.wav,cat,2,y\n"
    first, second = list_text(sounds, text, label="kind", group="who").recordings
    assert (first.file_name, first.labels, first.fold, first.group) == ("sub/c.wav", ("dog",), "1", "x")
    assert (second.file_name, second.labels, second.fold, second.group) == ("b.wav", ("cat",), "2", "y")


@pytest.mark.parametrize("give", ["folder", "table"])
def test_esc50_works_with_flags_alone(write_tone, tmp_path, give: str) -> None:
    folder = tmp_path / "ESC-50"
    path = write_tone("ESC-50/audio/1-100032-A-0.wav")
    (folder / "meta").mkdir()
    (folder / "meta" / "esc50.csv").write_text(ESC50)
    (folder / "meta" / "._esc50.csv").write_bytes(b"\0")  # as macOS leaves them
    (folder / "meta" / "esc50-human.xlsx").touch()
    source = folder if give == "folder" else folder / "meta" / "esc50.csv"
    (recording,) = list_recordings(source, Columns(label="category", group="src_file")).recordings
    assert (recording.labels, recording.fold, recording.group) == (("dog",), "1", "100032")
    assert recording.audio == str(path)


@pytest.mark.parametrize("give", ["folder", "table"])
def test_urbansound8k_works_with_flags_alone(write_tone, tmp_path, give: str) -> None:
    folder = tmp_path / "UrbanSound8K"
    write_tone("UrbanSound8K/audio/fold5/100032-3-0-0.wav")
    write_tone("UrbanSound8K/audio/fold5/100263-2-0-117.wav")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text(URBANSOUND8K)
    source = folder if give == "folder" else folder / "metadata" / "UrbanSound8K.csv"
    columns = Columns(file="slice_file_name", label="class", group="fsID")
    first, second = list_recordings(source, columns).recordings
    assert (first.file_name, first.labels, first.fold, first.group) == (
        "100032-3-0-0.wav",
        ("dog_bark",),
        "5",
        "100032",
    )
    # Of the long recording from which this file was cut.
    assert (second.start, second.end) == (None, None)
    assert Path(second.audio).parent.name == "fold5"


def test_a_table_in_a_meta_folder_names_paths_from_beside_it(sounds) -> None:
    (sounds / "meta").mkdir()
    (sounds / "meta" / "all.csv").write_text("path,label\nsub/c.wav,x\na.wav,y\n")
    recordings = list_manifest(sounds / "meta" / "all.csv", Columns()).recordings
    assert [r.audio for r in recordings] == [str(sounds / "sub" / "c.wav"), str(sounds / "a.wav")]


def test_only_a_bare_name_is_looked_for_in_sub_folders(sounds) -> None:
    listing = list_text(sounds, "file_name,label\na.wav,x\nc.wav,y\ndog/c.wav,y\n")
    assert [r.audio for r in listing.recordings] == [str(sounds / "a.wav"), str(sounds / "sub" / "c.wav")]
    assert listing.left_out == [LeftOut("dog/c.wav", "no such file (line 4 of metadata.csv)")]


def test_nothing_is_searched_for_a_path_that_does_not_exist(sounds, monkeypatch) -> None:
    monkeypatch.setattr(named_files, "find_files", lambda *_: pytest.fail("searched"))
    listing = list_text(sounds, "file_name,label\na.wav,x\ndog/c.wav,y\n/no/where/c.wav,y\n")
    assert [one.file_name for one in listing.left_out] == ["dog/c.wav", "/no/where/c.wav"]


def test_a_bare_name_of_several_files_is_refused(sounds, write_tone) -> None:
    write_tone("s/other/c.wav")
    with pytest.raises(
        DataError,
        match=r"Expected one file c.wav \(line 2 of .*metadata.csv\), found 2: .*other/c.wav, .*sub/c.wav; write",
    ):
        list_text(sounds, "file_name,label\nc.wav,x\n")


def test_files_that_do_not_exist_are_left_out_with_their_classes(sounds) -> None:
    listing = list_text(sounds, "file_name,label\na.wav,x\n\ngone.wav,y\nsub,z\n")
    assert [r.file_name for r in listing.recordings] == ["a.wav"]
    assert listing.left_out == [
        LeftOut("gone.wav", "no such file (line 4 of metadata.csv)"),
        LeftOut("sub", "no such file (line 5 of metadata.csv)"),
    ]
    assert listing.left_out_labels == {"y", "z"}


def test_several_classes_in_one_cell(sounds) -> None:
    listing = list_text(sounds, "file_name,label\na.wav,dog | rain|dog\nb.wav,\nsub/c.wav,rain\n", label_separator="|")
    assert listing.multi_label
    assert [r.labels for r in listing.recordings] == [("dog", "rain"), (), ("rain",)]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_lists_of_classes(sounds, ending: str) -> None:
    rows = [
        {"file_name": "a.wav", "labels": ["dog", "light rain"]},
        {"file_name": "b.wav", "labels": []},
        {"file_name": "sub/c.wav", "labels": None},
    ]
    WRITERS[ending](sounds / f"metadata{ending}", rows)
    listing = list_manifest(sounds / f"metadata{ending}", Columns())
    assert listing.multi_label
    assert [r.labels for r in listing.recordings] == [("dog", "light rain"), (), ()]


def test_text_among_lists_is_one_class(sounds) -> None:
    rows = [{"file_name": "a.wav", "labels": ["dog"]}, {"file_name": "b.wav", "labels": "light rain"}]
    write_jsonl(sounds / "metadata.jsonl", rows)
    recordings = list_manifest(sounds / "metadata.jsonl", Columns()).recordings
    assert [r.labels for r in recordings] == [("dog",), ("light rain",)]


def test_null_in_json_is_no_label(sounds) -> None:
    write_jsonl(sounds / "metadata.jsonl", [{"file_name": "a.wav", "label": "x"}, {"file_name": "b.wav"}])
    with pytest.raises(DataError, match=r"found none in line 2 \(b.wav\)"):
        list_manifest(sounds / "metadata.jsonl", Columns())
    write_jsonl(sounds / "metadata.jsonl", [{"file_name": "a.wav", "label": None, "group": None}])
    with pytest.raises(DataError, match=r"Expected a label in column 'label' of .*, found none in line 1 \(a.wav\); "):
        list_manifest(sounds / "metadata.jsonl", Columns())


def test_class_labels_of_parquet_have_their_names(sounds) -> None:
    label = datasets.ClassLabel(names=["cat", "dog"])
    features = datasets.Features(
        {"file_name": datasets.Value("string"), "label": label, "labels": datasets.List(label)}
    )
    rows = {"file_name": ["a.wav", "b.wav"], "label": [1, 0], "labels": [[0, 1], []]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(sounds / "metadata.parquet")
    listing = list_manifest(sounds / "metadata.parquet", Columns())
    assert [r.labels for r in listing.recordings] == [("dog",), ("cat",)]
    listing = list_manifest(sounds / "metadata.parquet", Columns(label="labels"))
    assert [r.labels for r in listing.recordings] == [("cat", "dog"), ()]


def test_spans_are_recordings_of_their_own(sounds) -> None:
    text = "file_name,label,from,to\na.wav,x,0,0.1\na.wav,y,1234.567,1234.568\na.wav,y,1234.568,1234.569\n"
    listing = list_text(sounds, text, start="from", end="to")
    assert [(r.file_name, r.start, r.end) for r in listing.recordings] == [
        ("a.wav#0-0.1", 0.0, 0.1),
        ("a.wav#1234.567-1234.568", 1234.567, 1234.568),
        ("a.wav#1234.568-1234.569", 1234.568, 1234.569),
    ]
    (usual,) = list_text(sounds, "file_name,label,span_start,span_end\na.wav,x,0.1,\n").recordings
    assert (usual.start, usual.end) == (0.1, None)
    (only_start,) = list_text(sounds, "file_name,label,from\na.wav,x,0.1\n", start="from").recordings
    assert (only_start.file_name, only_start.start, only_start.end) == ("a.wav#0.1-", 0.1, None)


@pytest.mark.parametrize("column", ["fold", "split"])
def test_fold_and_group_columns_are_found_unless_turned_off(sounds, column: str) -> None:
    text = f"file_name,label,{column},speaker_id\na.wav,x,1,me\nb.wav,y,,\n"
    recordings = list_text(sounds, text).recordings
    assert [(r.fold, r.group) for r in recordings] == [("1", "me"), (None, None)]
    recordings = list_text(sounds, text, fold="none", group="none").recordings
    assert [(r.fold, r.group) for r in recordings] == [(None, None)] * 2


@pytest.mark.parametrize(
    ("text", "columns", "sentence"),
    [
        (
            "name,label\na.wav,x\n",
            {},
            "Expected a column 'file_name' in {csv}, found name, label; name yours with --file_column.",
        ),
        (
            "file_name,kind\na.wav,x\n",
            {},
            "Expected a column 'label' in {csv}, found file_name, kind; name yours with --label_column.",
        ),
        (
            "file_name,label\na.wav,x\n",
            {"fold": "part"},
            "Expected a column 'part' in {csv}, found file_name, label; name yours with --fold_column.",
        ),
        ("file_name,label\na.wav,x\n", {"group": "who"}, "Expected a column 'who' in {csv}"),
        (
            "file_name,label\na.wav,x\n",
            {"start": "from"},
            "Expected a column 'from' in {csv}, found file_name, label; name yours with --start_column.",
        ),
        (
            "file_name,label\na.wav, \n",
            {},
            "Expected a label in column 'label' of {csv}, found none in line 2 (a.wav); fill it in or remove the "
            "line.",
        ),
        ("file_name,label\na.wav\n", {}, "found none in line 2 (a.wav);"),
        (
            "file_name,label\na.wav,x\na.wav,y\n",
            {},
            "Expected every file once in {csv}, found a.wav again in line 3, as y and not as x; remove a line, or "
            "write several classes into one cell (--label_separator).",
        ),
        (
            "file_name,label\na.wav,x\nsub/../a.wav,x\n",
            {},
            "Expected every file once in {csv}, found sub/../a.wav again in line 3; remove a line.",
        ),
        ("file_name,label\na.wav,x\n./a.wav,x\n", {}, "found a.wav again in line 3;"),
        (
            "file_name,label,f\na.wav,x,\n",
            {"fold": "f"},
            "Expected a fold in column 'f' of {csv}, found none in line 2",
        ),
        ("file_name,label,g\na.wav,x,\n", {"group": "g"}, "Expected a group in column 'g' of {csv}, found none in"),
        ("file_name,label\n,x\n", {}, "Expected a file name in column 'file_name' of {csv}, found none in line 2 ();"),
        (
            "file_name,label\n" + "b" * 300 + ".wav,y\n",
            {},
            "Expected the files named in {csv} to exist, found none of 1, the first bbb",
        ),
        (
            "file_name,label\nx.wav,y\n",
            {},
            "the first x.wav: no such file (line 2 of metadata.csv); put the table where its paths start, or name "
            "the column with --file_column.",
        ),
        ("file_name,label\n", {}, "Expected recordings in {csv}, found no rows; add one line for each file."),
        ("", {}, "Expected a column 'file_name' in {csv}, found no columns;"),
        (
            "a.wav,x\nb.wav,y\n",
            {},
            "Expected a column 'file_name' in {csv}, found a.wav, x; write the names of the columns into the "
            "first line.",
        ),
        (
            "file_name,label,label\na.wav,x,y\n",
            {},
            "Expected every column once in {csv}, found label again; rename one.",
        ),
        (
            "file_name,label\na.wav,car, idling\n",
            {},
            "Expected 2 cells in line 2 of {csv}, as in its first line, found 3; put text that holds the "
            "separator into",
        ),
        (
            "file_name,label\nhttp://a/b.wav,x\n",
            {},
            "found none of 1, the first http://a/b.wav: a URL, and nothing is",
        ),
        (
            "file_name,label,t\na.wav,x,soon\n",
            {"start": "t"},
            "Expected seconds of at least 0 in line 2 of {csv}, found 'soon'; mend it.",
        ),
        (
            "file_name,label,t\na.wav,x,-1\n",
            {"end": "t"},
            "Expected seconds of at least 0 in line 2 of {csv}, found '",
        ),
        ("file_name,label,t\na.wav,x,inf\n", {"end": "t"}, "found 'inf'; mend it."),
        (
            "file_name,label,t\na.wav,x,\n",
            {"start": "t"},
            "Expected a start in column 't' of {csv}, found none in line 2 (a.wav);",
        ),
        (
            "file_name,label,s,e\na.wav,x,2,1.5\n",
            {"start": "s", "end": "e"},
            "Expected the end after the start in line 2 of {csv}, found 2 s to 1.5 s; mend it.",
        ),
        ("file_name,label,e\na.wav,x,0\n", {"end": "e"}, "found 0 s to 0 s; mend it."),
    ],
)
def test_mistakes_are_named(sounds, text: str, columns: dict[str, str], sentence: str) -> None:
    with pytest.raises(DataError) as error:
        list_text(sounds, text, **columns)
    assert sentence.format(csv=sounds / "metadata.csv") in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "metadata.csv",
            b'file_name,label\n"' + b"x" * 200_000,
            "Expected comma-separated UTF-8 text in {path}, found field larger than",
        ),
        (
            "metadata.csv",
            b'file_name,label\na.wav,"x\nb.wav,y\n',
            "Expected comma-separated UTF-8 text in {path}, found unexpected end of data in line 3",
        ),
        ("metadata.jsonl", b'{"file_name": "a.wav"', "Expected one JSON object a line in {path}, found"),
        ("metadata.jsonl", b'["a.wav"]\n', "Expected one JSON object a line in {path}, found a list in line 1; save"),
        ("metadata.parquet", b"PAR1 and more", "Expected a Parquet table in {path}, found"),
        ("metadata.parquet", b"", "Expected a Parquet table in {path}, found"),
    ],
)
def test_tables_that_are_none_are_named(sounds, name: str, content: bytes, sentence: str) -> None:
    (sounds / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        list_recordings(sounds)
    assert sentence.format(path=sounds / name) in str(error.value)
    assert str(error.value).endswith("; save it as such.")


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.tsv", "metadata.jsonl"])
@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("latin-1", "another encoding, such as Latin-1, in line 2 (byte 0xe4)"),
    ],
)
def test_other_encodings_are_named(sounds, name: str, encoding: str, found: str) -> None:
    (sounds / name).write_bytes("file_name,label\nä.wav,x\n".encode(encoding))
    with pytest.raises(DataError) as error:
        list_recordings(sounds)
    assert str(error.value).endswith(f"found {found}; save it as UTF-8 (in Excel: 'CSV UTF-8').")


@pytest.mark.parametrize(
    ("name", "header", "found"),
    [
        ("metadata.csv", "file_name;label;fold", "semicolons (';')"),
        ("metadata.csv", "file_name\tlabel", "tabs ('\\t')"),
        ("metadata.csv", "file_name|label", "bars ('|')"),
        ("metadata.csv", "sep=;", "semicolons (';')"),
        ("metadata.csv", "file_name;a,b or c;fold", "semicolons (';')"),
        ("metadata.tsv", "file_name,label", "commas (',')"),
    ],
)
def test_another_separator_is_named(sounds, name: str, header: str, found: str) -> None:
    (sounds / name).write_text(f"{header}\n")
    with pytest.raises(DataError) as error:
        list_recordings(sounds)
    assert f"found columns separated by {found} in its first line, {header!r}; save it with " in str(error.value)


def test_quoted_cells_may_hold_separators_quotes_and_new_lines(sounds) -> None:
    text = 'file_name,label,"a,b;c"\n"a.wav","car, ""idling""",\nb.wav,"two\nlines",\nsub/c.wav,5" pipe,\n'
    assert [r.labels for r in list_text(sounds, text).recordings] == [
        ('car, "idling"',),
        ("two\nlines",),
        ('5" pipe',),
    ]


def test_several_tables_are_refused(sounds) -> None:
    for name in ("metadata.csv", "metadata.jsonl"):
        (sounds / name).touch()
    with pytest.raises(
        DataError,
        match="Expected one table of recordings in .*s, found metadata.csv, metadata.jsonl; name the one to take as",
    ):
        find_manifest(sounds)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_confined_table_leads_nowhere_else(sounds, tmp_path, write_tone, absolute: bool) -> None:
    secret = write_tone("secret.wav")
    cell = str(secret) if absolute else "../secret.wav"
    (sounds / "metadata.csv").write_text(f"file_name,label\na.wav,x\n{cell},y\n")
    assert len(list_manifest(sounds / "metadata.csv", Columns()).recordings) == 2
    with pytest.raises(DataError) as error:
        list_manifest(sounds / "metadata.csv", Columns(), confined_to=sounds)
    assert str(error.value) == (
        f"Expected the files named in metadata.csv within the data set, found {cell} in line 3; remove the line, if "
        "you trust the rest."
    )


def test_a_confined_table_follows_no_link(sounds, write_tone) -> None:
    (sounds / "d.wav").symlink_to(write_tone("secret.wav"))
    (sounds / "metadata.csv").write_text("file_name,label\nd.wav,x\n")
    with pytest.raises(DataError, match="within the data set, found d.wav in line 2"):
        list_manifest(sounds / "metadata.csv", Columns(), confined_to=sounds)


def test_very_long_tables(sounds) -> None:
    rows = "".join(f"{index}.wav,{index % 3}\n" for index in range(5_000))
    listing = list_text(sounds, "file_name,label\na.wav,0\n" + rows)
    assert (len(listing.recordings), len(listing.left_out)) == (1, 5_000)


PARTS = ["train/1.wav", "train/2.wav", "test/1.wav", "test/2.wav"]


def folds_of(listing: Listing) -> list[str | None]:
    return [recording.fold for recording in listing.recordings]


@KINDS
@pytest.mark.parametrize("below", ["", "audio/deep/"])
@pytest.mark.parametrize("give", ["folder", "table"])
def test_folders_named_like_parts_are_folds(write_tone, tmp_path, ending: str, below: str, give: str) -> None:
    names = [below + name for name in PARTS]
    for name in names:
        write_tone(f"s/{name}")
    table = tmp_path / "s" / f"metadata{ending}"
    WRITERS[ending](table, [{"file_name": name, "label": "ab"[index % 2]} for index, name in enumerate(names)])
    listing = list_recordings(tmp_path / "s" if give == "folder" else table)
    assert folds_of(listing) == ["train", "train", "test", "test"]
    assert folds_of(list_recordings(tmp_path / "s", Columns(fold="none"))) == [None] * 4


@pytest.mark.parametrize(
    ("names", "folds"),
    [
        (["Training/a", "val/b", "TEST/c"], ["Training", "val", "TEST"]),
        (["fold1/a", "fold2/b", "fold10/c"], ["fold1", "fold2", "fold10"]),
        (["train/a", "train/b"], ["train", "train"]),
        (["train/a", "test/b", "extra/c", "d"], ["train", "test", None, None]),
        # A class named train, and words that are no parts.
        (["audio/train/a", "audio/car/b"], [None, None]),
        (["cat_train_1/a", "cat_test_1/b"], [None, None]),
        (["x/cat_train_1", "x/cat_test_1"], [None, None]),
        (["trains/a", "tests/b"], [None, None]),
    ],
)
def test_which_folders_are_parts(write_tone, tmp_path, names: list[str], folds: list[str | None]) -> None:
    for name in names:
        write_tone(f"s/{name}.wav")
    rows = "".join(f"{name}.wav,{index}\n" for index, name in enumerate(names))
    assert folds_of(list_text(tmp_path / "s", f"file_name,label\n{rows}")) == folds


def test_an_empty_fold_column_hides_no_folders(write_tone, tmp_path) -> None:
    for part in ("train", "test"):
        write_tone(f"s/{part}/1.wav")
    table = tmp_path / "s" / "metadata.csv"
    table.write_text("file_name,label,split\ntrain/1.wav,dog,\ntest/1.wav,dog,\n")
    assert [one.fold for one in list_manifest(table, Columns()).recordings] == ["train", "test"]
    table.write_text("file_name,label,split\ntrain/1.wav,dog,a\ntest/1.wav,dog,\n")
    assert [one.fold for one in list_manifest(table, Columns()).recordings] == ["a", None]


def test_a_folder_named_like_the_class_is_no_part(write_tone, tmp_path) -> None:
    for label in ("train", "test"):
        write_tone(f"s/{label}/{label}.wav")
    text = "file_name,label\ntrain/train.wav,Train\ntest/test.wav,test\n"
    assert folds_of(list_text(tmp_path / "s", text)) == [None, None]


def test_a_fold_column_wins_over_folders(write_tone, tmp_path) -> None:
    for name in PARTS:
        write_tone(f"s/{name}")
    rows = "".join(f"{name},x,{index}\n" for index, name in enumerate(PARTS))
    assert folds_of(list_text(tmp_path / "s", f"file_name,label,fold\n{rows}")) == ["0", "1", "2", "3"]


def test_parts_of_absolute_paths_and_of_bare_names(write_tone, tmp_path) -> None:
    paths = [write_tone(f"test/s/{name}") for name in ("train/1.wav", "val/2.wav")]
    text = "file_name,label\n" + "".join(f"{path},x\n" for path in paths)
    (tmp_path / "t").mkdir()
    assert folds_of(list_text(tmp_path / "t", text)) == ["train", "val"]
    assert folds_of(list_text(tmp_path / "t", f"file_name,label\n{paths[0]},x\n")) == [None]
    assert folds_of(list_text(tmp_path / "test" / "s", "file_name,label\n1.wav,x\n2.wav,y\n")) == ["train", "val"]


def test_lists_of_zeros_and_ones_are_refused(sounds) -> None:
    rows = [{"file_name": "a.wav", "label": [0, 1, 0]}, {"file_name": "b.wav", "label": [1, 0, 1]}]
    for ending in (".jsonl", ".parquet"):
        WRITERS[ending](sounds / f"t{ending}", rows)
        with pytest.raises(
            DataError, match=f"names of classes in column 'label' of .*t{ending}, found lists of zeros"
        ):
            list_manifest(sounds / f"t{ending}", Columns())
    text = "file_name,label\na.wav,0;1;0\nb.wav,1;1;0\n"
    with pytest.raises(DataError, match="found lists of zeros and ones, one for each class; write the names in their"):
        list_text(sounds, text, label_separator=";")


def test_places_of_declared_classes_are_no_indices(sounds) -> None:
    label = datasets.List(datasets.ClassLabel(names=["x", "y", "z"]))
    features = datasets.Features({"file_name": datasets.Value("string"), "label": label})
    rows = {"file_name": ["a.wav", "b.wav"], "label": [[0, 1, 0], [1, 0, 1]]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(sounds / "metadata.parquet")
    with pytest.raises(DataError, match="found lists of zeros and ones, one for each class"):
        list_recordings(sounds)


def test_a_url_is_not_downloaded_and_says_so(sounds) -> None:
    listing = list_text(sounds, "file_name,label\na.wav,x\nhttps://a.b/c.wav,y\n")
    assert listing.left_out == [
        LeftOut("https://a.b/c.wav", "a URL, and nothing is downloaded (line 3 of metadata.csv)")
    ]
