import os
from pathlib import Path

import pytest

from hfaudio.data.class_folders import find_files, list_beside, list_class_folders, split_parts
from hfaudio.data.errors import DataError
from hfaudio.data.recordings import LeftOut


def test_sub_folders_are_classes_in_the_order_of_their_names(write_tone, tmp_path) -> None:
    for name in ("dog/b.wav", "dog/a.WAV", "cat/deep/er/c.flac", ".hidden/d.wav", "dog/.e.wav", "dog/.f/g.wav"):
        write_tone(f"s/{name}")
    (tmp_path / "s" / "cat" / "notes.txt").write_text("no audio")
    recordings = list_class_folders(tmp_path / "s").recordings
    assert [(r.file_name, r.labels) for r in recordings] == [
        ("cat/deep/er/c.flac", ("cat",)),
        ("dog/a.WAV", ("dog",)),
        ("dog/b.wav", ("dog",)),
    ]
    assert all(os.path.isfile(r.audio) and r.fold is None and r.group is None for r in recordings)


def test_names_may_be_in_any_language_and_have_spaces(write_tone, tmp_path) -> None:
    write_tone("s/ein Hünd/été 1.wav")
    write_tone("s/鳥/さえずり #2.ogg")
    recordings = list_class_folders(tmp_path / "s").recordings
    assert [(r.file_name, r.labels) for r in recordings] == [
        ("ein Hünd/été 1.wav", ("ein Hünd",)),
        ("鳥/さえずり #2.ogg", ("鳥",)),
    ]


def test_names_that_are_no_text_become_text_and_stay_apart(write_tone, tmp_path) -> None:
    for number in (b"\xfe", b"\xff"):
        path = os.fsencode(write_tone("s/dog/a.wav"))
        os.rename(path, path.replace(b"a.wav", number + b".wav"))
        path = os.fsencode(write_tone("s/cat/a.wav").parent)
        os.rename(path, path.replace(b"cat", number))
    recordings = list_class_folders(tmp_path / "s").recordings
    assert [(r.file_name, r.labels) for r in recordings] == [
        ("dog/\\xfe.wav", ("dog",)),
        ("dog/\\xff.wav", ("dog",)),
        ("\\xfe/a.wav", ("\\xfe",)),
        ("\\xff/a.wav", ("\\xff",)),
    ]
    assert all(os.path.isfile(recording.audio) for recording in recordings)


def test_links_are_followed_but_not_in_circles(write_tone, tmp_path) -> None:
    write_tone("elsewhere/deep/a.wav")
    write_tone("s/dog/b.wav")
    (tmp_path / "s" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "s" / "dog" / "linked").symlink_to(tmp_path / "elsewhere" / "deep")
    (tmp_path / "s" / "dog" / "c.wav").symlink_to(tmp_path / "elsewhere" / "deep" / "a.wav")
    (tmp_path / "s" / "dog" / "up").symlink_to(tmp_path / "s" / "dog")
    names = [r.file_name for r in list_class_folders(tmp_path / "s").recordings]
    assert names == ["cat/deep/a.wav", "dog/b.wav", "dog/c.wav", "dog/linked/a.wav"]


def test_a_class_may_be_named_like_a_part(write_tone, tmp_path) -> None:
    write_tone("s/train/a.wav")
    write_tone("s/tram/b.wav")
    assert split_parts(tmp_path / "s") == []
    assert [(r.labels, r.fold) for r in list_class_folders(tmp_path / "s").recordings] == [
        (("train",), None),
        (("tram",), None),
    ]


def test_a_class_without_recordings_is_named(write_tone, tmp_path) -> None:
    write_tone("s/dog/a.wav")
    (tmp_path / "s" / "cat").mkdir()
    (tmp_path / "s" / "cat" / "a.txt").touch()
    with pytest.raises(
        DataError,
        match=r"Expected recordings in every sub-folder of .*s, found none in cat; audio files end in .*\.flac.* "
        r"Add some, or move the folder elsewhere\.",
    ):
        list_class_folders(tmp_path / "s")


def test_a_folder_that_is_named_like_a_file_is_looked_into(write_tone, tmp_path) -> None:
    write_tone("s/dog/a.wav/b.wav")
    assert [r.file_name for r in list_class_folders(tmp_path / "s").recordings] == ["dog/a.wav/b.wav"]


def test_recordings_that_only_other_decoders_read_are_listed(write_tone, tmp_path) -> None:
    write_tone("s/dog/a.wav")
    (tmp_path / "s" / "dog" / "b.m4a").touch()
    assert [r.file_name for r in list_class_folders(tmp_path / "s").recordings] == ["dog/a.wav", "dog/b.m4a"]


def test_no_sub_folders_are_no_recordings(write_tone, tmp_path) -> None:
    write_tone("s/a.wav")
    assert list_class_folders(tmp_path / "s").recordings == []


def test_very_many_files_keep_their_order(tmp_path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for index in range(2_000):
            (tmp_path / label / f"{index:05d}.wav").touch()
    names = [r.file_name for r in list_class_folders(tmp_path).recordings]
    assert names == [f"{label}/{index:05d}.wav" for label in ("a", "b") for index in range(2_000)]


def test_files_of_other_endings_are_found_on_request(tmp_path) -> None:
    for name in ("a.parquet", "b.PARQUET", "c.wav", ".d.parquet"):
        (tmp_path / name).touch()
    assert [os.path.basename(path) for path in find_files(tmp_path, (".parquet",))] == ["a.parquet", "b.PARQUET"]


def names_of_parts(folder: Path) -> list[str]:
    return [part.name for part in split_parts(folder)]


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        (["train/cat/a", "test/cat/a"], ["test", "train"]),
        (["Train/cat/a", "TEST/cat/a", "val/cat/a"], ["TEST", "Train", "val"]),
        (["train_set/cat/a", "test-set/cat/a"], ["test-set", "train_set"]),
        (["fold1/cat/a", "fold2/cat/a", "fold10/cat/a"], ["fold1", "fold10", "fold2"]),
        (["split_1/cat/a", "split_2/cat/a"], ["split_1", "split_2"]),
        (["train/cat/a", "test/cat/a", "noise/a"], ["test", "train"]),
        (["train/cat/a", "test/cat/a", "extra/cat/a"], ["test", "train"]),
        (["train/cat/a", "test/a", "noise/a"], ["test", "train"]),
        (["fold1/a", "fold2/a", "noise/a"], ["fold1", "fold2"]),
        (["train/cat/a", "train/dog/a"], ["train"]),
        # A train among other vehicles.
        (["train/a", "car/a", "bus/a"], []),
        (["train/a", "train/freight/a", "car/a"], []),
        (["train/monday/a", "car/monday/a"], []),
        (["cat/train/a", "dog/train/a"], []),
        (["cat_train/a", "cat_test/a"], []),
        (["trains/a", "tests/a"], []),
    ],
)
def test_parts_are_told_by_their_names_and_by_what_lies_in_them(tmp_path, files: list[str], parts: list[str]) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{file}.wav").touch()
    (tmp_path / "__MACOSX" / "train").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    assert names_of_parts(tmp_path) == parts


def test_folders_without_recordings_beside_parts_do_not_matter(write_tone, tmp_path) -> None:
    write_tone("s/train/cat/a.wav")
    (tmp_path / "s" / "docs").mkdir()
    assert names_of_parts(tmp_path / "s") == ["train"]


@pytest.mark.parametrize("table", [False, True])
def test_one_folder_that_may_be_a_class_or_a_part_is_refused(write_tone, tmp_path, table: bool) -> None:
    for name in ("train/cat/a", "train/dog/a", "noise/a"):
        write_tone(f"s/{name}.wav")
    if table:
        (tmp_path / "s" / "train" / "metadata.csv").touch()
    found = "a table" if table else "the sub-folders cat, dog"
    with pytest.raises(
        DataError,
        match=f"Expected either the classes or the parts of a data set in .*s, found train with {found} beside noise; "
        "give .*s/train if it is all of the data set",
    ):
        split_parts(tmp_path / "s")


def test_what_belongs_to_no_class_is_left_out_by_name(write_tone, tmp_path) -> None:
    for name in (
        "dog/a",
        "loose",
        ".hidden/b",
        "dog/.more/g",
        ".git/c",
        ".ipynb_checkpoints/d",
        "__MACOSX/e",
        "train/cat/f",
    ):
        write_tone(f"s/{name}.wav")
    folder = tmp_path / "s"
    (folder / "notes.txt").touch()
    hidden = LeftOut(".hidden/b.wav", "lies in a hidden folder: take the dot from its name")
    loose = LeftOut("loose.wav", "lies in no class folder")
    within = LeftOut("dog/.more/g.wav", hidden.reason)
    assert list_beside(folder, ()) == [loose, hidden, within]
    assert list_beside(folder, [folder / "train"]) == [
        loose,
        hidden,
        LeftOut("dog/a.wav", "lies beside the parts train"),
    ]


def test_links_that_put_files_into_several_classes_are_told(write_tone, tmp_path, caplog) -> None:
    folder = tmp_path / "s"
    for name in ("dog/a", "dog/b", "cat/c", "bird/d"):
        write_tone(f"s/{name}.wav")
    elsewhere = write_tone("elsewhere/x.wav")
    (folder / "bird" / "x.wav").symlink_to(elsewhere)
    (folder / "bird" / "again.wav").symlink_to(elsewhere)
    list_class_folders(folder)
    assert caplog.messages == []
    (folder / "cat" / "more").symlink_to(folder / "dog")
    (folder / "cat" / "d.wav").symlink_to(folder / "bird" / "d.wav")
    list_class_folders(folder)
    assert caplog.messages == [
        "Links put files into several classes, where they contradict each other: bird/d.wav and cat/d.wav, "
        "cat/more/a.wav and dog/a.wav, cat/more/b.wav and dog/b.wav"
    ]


def test_parts_within_the_classes_are_folds(write_tone, tmp_path) -> None:
    for name in ("cat/train/a", "cat/test/b", "dog/Train/a", "train/train/a"):
        write_tone(f"s/{name}.wav")
    assert [(r.labels[0], r.fold) for r in list_class_folders(tmp_path / "s").recordings] == [
        ("cat", "test"),
        ("cat", "train"),
        ("dog", "Train"),
        ("train", None),
    ]


def test_what_may_be_a_recording_is_listed_whatever_its_ending(tmp_path) -> None:
    (tmp_path / "x").mkdir()
    for name in ("a.AIFC", "b.3gp", "c", "d.unknown", "e.WAV"):
        (tmp_path / "x" / name).write_bytes(bytes(range(100)))
    for name in ("cover.jpg", "notes.txt", "README", ".hidden.wav", "empty"):
        (tmp_path / "x" / name).write_text("" if name == "empty" else "words")
    os.mkfifo(tmp_path / "x" / "pipe.wav")
    os.mkfifo(tmp_path / "x" / "pipe")
    names = ["a.AIFC", "b.3gp", "c", "d.unknown", "e.WAV", "pipe.wav"]
    assert [os.path.basename(path) for path in find_files(tmp_path)] == names
    assert [one.file_name for one in list_class_folders(tmp_path).recordings] == [f"x/{name}" for name in names]


def test_parts_with_classes_of_their_own_within_a_class_are_refused(write_tone, tmp_path) -> None:
    for name in ("data/train/cat/a", "data/test/cat/b", "noise/c"):
        write_tone(f"s/{name}.wav")
    with pytest.raises(
        DataError,
        match="Expected classes in .*s, found data with the parts test, train, beside noise; give .*s/data as",
    ):
        list_class_folders(tmp_path / "s")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["anna/yes/a", "anna/no/a", "bert/yes/a", "bert/no/a", "bert/on/a"], True),
        (["cat/train/a", "cat/test/a", "dog/train/a", "dog/test/a"], False),
        (["cat/monday/a", "dog/monday/a"], False),
        (["cat/monday/a", "cat/friday/a", "cat/b", "dog/monday/a", "dog/friday/a"], False),
    ],
)
def test_sub_folders_that_may_be_the_classes_are_told(tmp_path, caplog, files: list[str], told: bool) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{file}.wav").touch()
    list_class_folders(tmp_path)
    assert (
        caplog.messages
        == [
            "Took anna, bert for the classes, and not the sub-folders no, yes that they share; if those are the "
            "classes, write a metadata.csv."
        ]
        * told
    )
