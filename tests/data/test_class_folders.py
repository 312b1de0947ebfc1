import os

import pytest

from hfaudio.data.class_folders import find_files, list_class_folders, split_parts
from hfaudio.data.errors import DataError


def test_sub_folders_are_classes_in_the_order_of_their_names(write_tone, tmp_path) -> None:
    for name in ("dog/b.wav", "dog/a.WAV", "cat/deep/er/c.flac", ".hidden/d.wav", "dog/.e.wav", "dog/.f/g.wav"):
        write_tone(f"s/{name}")
    (tmp_path / "s" / "cat" / "notes.txt").write_text("no audio")
    recordings = list_class_folders(tmp_path / "s")
    assert [(r.file_name, r.labels) for r in recordings] == [
        ("cat/deep/er/c.flac", ("cat",)),
        ("dog/a.WAV", ("dog",)),
        ("dog/b.wav", ("dog",)),
    ]
    assert all(os.path.isfile(r.audio) and r.fold is None and r.group is None for r in recordings)


def test_names_may_be_in_any_language_and_have_spaces(write_tone, tmp_path) -> None:
    write_tone("s/ein Hünd/été 1.wav")
    write_tone("s/鳥/さえずり #2.ogg")
    recordings = list_class_folders(tmp_path / "s")
    assert [(r.file_name, r.labels) for r in recordings] == [
        ("ein Hünd/été 1.wav", ("ein Hünd",)),
        ("鳥/さえずり #2.ogg", ("鳥",)),
    ]


def test_a_name_that_is_no_text_becomes_one(write_tone, tmp_path) -> None:
    path = os.fsencode(write_tone("s/dog/a.wav"))
    os.rename(path, path.replace(b"a.wav", b"\xff.wav"))
    (recording,) = list_class_folders(tmp_path / "s")
    assert recording.file_name == "dog/\ufffd.wav"
    assert os.path.isfile(recording.audio)


def test_links_are_followed_but_not_in_circles(write_tone, tmp_path) -> None:
    write_tone("elsewhere/deep/a.wav")
    write_tone("s/dog/b.wav")
    (tmp_path / "s" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "s" / "dog" / "linked").symlink_to(tmp_path / "elsewhere" / "deep")
    (tmp_path / "s" / "dog" / "c.wav").symlink_to(tmp_path / "elsewhere" / "deep" / "a.wav")
    (tmp_path / "s" / "dog" / "up").symlink_to(tmp_path / "s" / "dog")
    names = [r.file_name for r in list_class_folders(tmp_path / "s")]
    assert names == ["cat/deep/a.wav", "dog/b.wav", "dog/c.wav", "dog/linked/a.wav"]


@pytest.mark.parametrize("parts", [("train", "test"), ("Train", "validation", "TEST"), ("dev", "eval")])
def test_parts_of_a_split_become_folds(write_tone, tmp_path, parts: tuple[str, ...]) -> None:
    for part in parts:
        for label in ("cat", "dog"):
            write_tone(f"s/{part}/{label}/a.wav")
    recordings = list_class_folders(tmp_path / "s")
    assert [(r.file_name, r.labels, r.fold) for r in recordings] == [
        (f"{part}/{label}/a.wav", (label,), part) for part in sorted(parts) for label in ("cat", "dog")
    ]


def test_a_class_may_be_named_like_a_part(write_tone, tmp_path) -> None:
    write_tone("s/train/a.wav")
    write_tone("s/tram/b.wav")
    assert split_parts(tmp_path / "s") == []
    assert [(r.labels, r.fold) for r in list_class_folders(tmp_path / "s")] == [(("train",), None), (("tram",), None)]


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


def test_a_part_without_classes_is_named(write_tone, tmp_path) -> None:
    write_tone("s/train/dog/a.wav")
    write_tone("s/test/b.wav")
    with pytest.raises(
        DataError, match="Expected one sub-folder of recordings for each class in .*test, found none; make them, write"
    ):
        list_class_folders(tmp_path / "s")


def test_a_folder_that_is_named_like_a_file_is_looked_into(write_tone, tmp_path) -> None:
    write_tone("s/dog/a.wav/b.wav")
    assert [r.file_name for r in list_class_folders(tmp_path / "s")] == ["dog/a.wav/b.wav"]


def test_recordings_that_only_other_decoders_read_are_listed(write_tone, tmp_path) -> None:
    write_tone("s/dog/a.wav")
    (tmp_path / "s" / "dog" / "b.m4a").touch()
    assert [r.file_name for r in list_class_folders(tmp_path / "s")] == ["dog/a.wav", "dog/b.m4a"]


def test_no_sub_folders_are_no_recordings(write_tone, tmp_path) -> None:
    write_tone("s/a.wav")
    assert list_class_folders(tmp_path / "s") == []


def test_very_many_files_keep_their_order(tmp_path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for index in range(2_000):
            (tmp_path / label / f"{index:05d}.wav").touch()
    names = [r.file_name for r in list_class_folders(tmp_path)]
    assert names == [f"{label}/{index:05d}.wav" for label in ("a", "b") for index in range(2_000)]


def test_files_of_other_endings_are_found_on_request(tmp_path) -> None:
    for name in ("a.parquet", "b.PARQUET", "c.wav", ".d.parquet"):
        (tmp_path / name).touch()
    assert [os.path.basename(path) for path in find_files(tmp_path, (".parquet",))] == ["a.parquet", "b.PARQUET"]


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
    assert [recording.file_name for recording in list_class_folders(tmp_path)] == [f"x/{name}" for name in names]
