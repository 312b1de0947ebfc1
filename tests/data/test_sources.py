from pathlib import Path

import pytest

from hfaudio.data.errors import DataError
from hfaudio.data.sources import list_recordings


def write_metadata(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metadata.csv").write_text(text, encoding="utf-8")
    return folder


def test_sub_folders_are_classes(write_tone, tmp_path) -> None:
    for name in ("s/dog/b.wav", "s/dog/a.WAV", "s/cat/deep/er/c.flac", "s/.hidden/d.wav", "s/dog/.e.wav"):
        write_tone(name)
    (tmp_path / "s" / "cat" / "notes.txt").write_text("no audio")
    recordings = list_recordings(tmp_path / "s")
    assert [(r.file_name, r.label) for r in recordings] == [
        ("cat/deep/er/c.flac", "cat"),
        ("dog/a.WAV", "dog"),
        ("dog/b.wav", "dog"),
    ]
    assert all(Path(r.path).is_file() and r.fold is None and r.group is None for r in recordings)


@pytest.mark.parametrize("file_column", ["file_name", "path"])
def test_metadata_names_files_labels_folds_and_groups(write_tone, tmp_path, file_column: str) -> None:
    write_tone("s/audio/a.wav")
    write_tone("s/b.wav")
    # A byte order mark and spaces, as spreadsheets leave them.
    write_metadata(tmp_path / "s", f"\ufeff{file_column}, kind,fold,who\n audio/a.wav, dog ,1,x\nb.wav,cat,2,y\n")
    first, second = list_recordings(tmp_path / "s", "kind", "fold", "who")
    assert (first.file_name, first.label, first.fold, first.group) == ("audio/a.wav", "dog", "1", "x")
    assert (second.file_name, second.label, second.fold, second.group) == ("b.wav", "cat", "2", "y")


def test_metadata_wins_over_sub_folders(two_classes) -> None:
    write_metadata(two_classes, "file_name,label\nhigh/0.wav,one\nlow/0.wav,two\n")
    assert [r.label for r in list_recordings(two_classes)] == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "columns", "sentence"),
    [
        ("name,label\na.wav,x\n", {}, "Expected a column 'file_name' in {csv}, found name, label; add it"),
        (
            "file_name,kind\na.wav,x\n",
            {},
            "Expected a column 'label' in {csv}, found file_name, kind; name yours with ",
        ),
        (
            "file_name,label\na.wav,x\n",
            {"fold_column": "fold"},
            "found file_name, label; name yours with --fold_column",
        ),
        ("file_name,label\na.wav,x\n", {"group_column": "who"}, "Expected a column 'who' in {csv}"),
        (
            "file_name,label\na.wav, \n",
            {},
            "Expected a label in column 'label' of {csv}, found none in line 2 (a.wav);",
        ),
        ("file_name,label\na.wav\n", {}, "found none in line 2 (a.wav);"),
        (
            "file_name,label\na.wav,x\ngone.wav,y\n",
            {},
            "found 1 of 2 missing, the first gone.wav (line 3); add the file",
        ),
        ("file_name,label\na.wav,x\na.wav,y\n", {}, "Expected every file once in {csv}, found a.wav again in line 3;"),
        (
            "file_name,label,f\na.wav,x,\n",
            {"fold_column": "f"},
            "Expected a fold in column 'f' of {csv}, found none in",
        ),
        (
            "file_name,label,g\na.wav,x,\n",
            {"group_column": "g"},
            "Expected a group in column 'g' of {csv}, found none",
        ),
        ("file_name,label\n,x\n", {}, "Expected a file name in column 'file_name' of {csv}, found none in line 2"),
        ("file_name,label\n\na.wav,x\n" + "b" * 300 + ".wav,y\n", {}, "bbb.wav (line 4)"),
        ("file_name,label\n", {}, "Expected recordings in {csv}, found no rows;"),
        ("", {}, "Expected a column 'file_name' in {csv}, found no columns;"),
    ],
)
def test_mistakes_in_the_metadata_are_named(write_tone, tmp_path, text, columns, sentence) -> None:
    write_tone("s/a.wav")
    folder = write_metadata(tmp_path / "s", text)
    with pytest.raises(DataError) as error:
        list_recordings(folder, **columns)
    assert sentence.format(csv=folder / "metadata.csv") in str(error.value)


def test_a_missing_or_empty_folder_is_named(tmp_path) -> None:
    with pytest.raises(
        DataError, match="Expected a folder of recordings at .*nowhere, found nothing; check --dataset"
    ):
        list_recordings(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="found a file"):
        list_recordings(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"Expected a metadata.csv or one sub-folder .* found neither; .*\.flac"):
        list_recordings(tmp_path / "empty")


def test_columns_without_metadata_are_refused(two_classes) -> None:
    with pytest.raises(DataError, match=r"--label_column kind needs a metadata.csv in .*, found none"):
        list_recordings(two_classes, label_column="kind")


def test_a_metadata_file_that_is_no_text_is_named(two_classes) -> None:
    (two_classes / "metadata.csv").write_bytes("file_name,label\nä.wav,x\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"Expected comma-separated UTF-8 text in .*metadata.csv, found .*; save it"):
        list_recordings(two_classes)


def test_recordings_that_only_other_decoders_read_are_listed(write_tone, tmp_path) -> None:
    write_tone("s/dog/a.wav")
    (tmp_path / "s" / "dog" / "b.m4a").touch()
    assert [r.file_name for r in list_recordings(tmp_path / "s")] == ["dog/a.wav", "dog/b.m4a"]


def test_a_class_without_recordings_or_folders_of_a_split_are_named(write_tone, tmp_path) -> None:
    write_tone("s/dog/a.wav")
    (tmp_path / "s" / "cat").mkdir()
    with pytest.raises(
        DataError, match="Expected recordings in every sub-folder of .*, found none in cat; audio files"
    ):
        list_recordings(tmp_path / "s")
    write_tone("t/train/dog/a.wav")
    write_tone("t/test/dog/b.wav")
    with pytest.raises(DataError, match="found the parts of a split: test, train; write a metadata.csv with a fold"):
        list_recordings(tmp_path / "t")
