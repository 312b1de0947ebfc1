import csv
import logging
import os
import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile

from hfaudio.audio import decode_audio, decoding
from hfaudio.data import DataError, LeftOut, PreparedAudio, load_audio_dataset
from hfaudio.data import prepared_cache as cache_module
from hfaudio.data.preparation import describe_listing, prepare_listing
from hfaudio.data.recordings import Listing
from hfaudio.data.sources import list_recordings

SHARED_ESC10 = Path(__file__).parents[3] / "shared" / "data" / "esc10"
INSTALL = "; to read it, install FFmpeg and run: pip install 'hfaudio[torchcodec]'"

# What `Audio` stores; to make a column of that type at once, datasets needs torchcodec.
STORED_AUDIO = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}


def rows(audio: PreparedAudio) -> list[tuple[str, object, str | None, str | None]]:
    columns = audio.dataset.select_columns(["file_name", "label", "fold", "group"])[:]
    return list(zip(*(columns[name] for name in ("file_name", "label", "fold", "group")), strict=True))


def labels_by_content(audio: PreparedAudio) -> list[tuple[str, str]]:
    label = audio.dataset["label"][:]
    return sorted(
        (content, audio.class_names[index])
        for content, index in zip(audio.dataset["content_hash"], label, strict=True)
    )


def write_metadata(folder: Path, text: str) -> Path:
    (folder / "metadata.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def many_tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 short tones in WAV, FLAC and Ogg, ten in each of 40 classes."""
    folder = tmp_path_factory.mktemp("tones") / "tönes"
    time = np.arange(1_600) / 16_000
    for index in range(400):
        path = folder / f"class {index % 40:02d}" / f"{index:03d}.{('wav', 'flac', 'ogg')[index % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * (200 + 10 * index) * time), 16_000)
    return folder


def every_layout(folder: Path, tmp_path: Path) -> dict[str, Path]:
    """The same class folders as a metadata.csv, a zip, a tar.gz and a Parquet folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    flat = tmp_path / "flat"
    flat.mkdir()
    with (flat / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file_name", "label"))
        for index, path in enumerate(reversed(paths)):
            (flat / f"{index}{path.suffix}").symlink_to(path)
            writer.writerow((f"{index}{path.suffix}", path.parent.name))
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz", compresslevel=1) as archive:
        for path in paths:
            archive.add(path, path.relative_to(folder.parent))
    names = sorted({path.parent.name for path in paths})
    features = datasets.Features({"audio": STORED_AUDIO, "label": datasets.ClassLabel(names=names)})
    table = {
        "audio": [{"bytes": path.read_bytes(), "path": path.name} for path in paths],
        "label": [path.parent.name for path in paths],
    }
    parquet = tmp_path / "parquet"
    (parquet / "data").mkdir(parents=True)
    dataset = datasets.Dataset.from_dict(table, features=features).cast_column("audio", datasets.Audio(decode=False))
    dataset.to_parquet(parquet / "data" / "train-00000-of-00001.parquet")
    return {
        "metadata": flat,
        "zip": Path(shutil.make_archive(str(tmp_path / "all"), "zip", folder.parent, folder.name)),
        "tar.gz": tmp_path / "all.tar.gz",
        "parquet": parquet,
    }


def assert_every_layout_is_the_same(folder: Path, tmp_path: Path, count: int) -> None:
    expected = load_audio_dataset(folder)
    assert len(expected.dataset) == count
    for layout, source in every_layout(folder, tmp_path).items():
        audio = load_audio_dataset(source)
        assert audio.content_hash == expected.content_hash, layout
        assert audio.class_names == expected.class_names, layout
        assert labels_by_content(audio) == labels_by_content(expected), layout
        assert audio.left_out == (), layout


def test_rows_hold_what_the_files_hold(audio, synthetic_folder) -> None:
    assert len(audio.dataset) == 50
    assert audio.left_out == ()
    assert audio.class_names == sorted(audio.class_names)
    assert isinstance(audio.dataset.features["label"], datasets.ClassLabel)
    row = audio.dataset[17]
    assert audio.class_names[row["label"]] in row["file_name"]
    assert row["fold"] == str(17 % 5 + 1)
    assert row["group"] is None
    expected = decode_audio(synthetic_folder / row["file_name"], 16_000)
    assert np.array_equal(np.array(row["waveform"], dtype=np.float32), expected)


def test_several_processes_give_the_same_rows_in_the_same_order(synthetic_folder, audio, monkeypatch) -> None:
    monkeypatch.setattr(cache_module, "CACHE_VERSION", -1)  # so that nothing is read from the cache
    parallel = load_audio_dataset(synthetic_folder, fold_column="fold", num_proc=3)
    assert parallel.dataset["file_name"][:] == audio.dataset["file_name"][:]
    assert parallel.dataset["waveform"][:] == audio.dataset["waveform"][:]
    assert parallel.content_hash == audio.content_hash


def test_every_layout_gives_the_same_data_set(many_tones, tmp_path) -> None:
    assert_every_layout_is_the_same(many_tones, tmp_path, 400)


@pytest.mark.realdata
def test_every_layout_of_real_recordings_gives_the_same_data_set(tmp_path) -> None:
    shutil.copytree(SHARED_ESC10 / "audio", tmp_path / "esc10")
    assert_every_layout_is_the_same(tmp_path / "esc10", tmp_path, 400)


def test_the_content_hash_is_of_samples_and_classes(two_classes, tmp_path) -> None:
    expected = load_audio_dataset(two_classes).content_hash
    shutil.copytree(two_classes, tmp_path / "other")
    (tmp_path / "other" / "high" / "0.wav").rename(tmp_path / "other" / "high" / "z.wav")
    assert load_audio_dataset(tmp_path / "other").content_hash == expected
    (tmp_path / "other" / "high").rename(tmp_path / "other" / "higher")
    assert load_audio_dataset(tmp_path / "other").content_hash != expected
    (tmp_path / "other" / "higher").rename(tmp_path / "other" / "high")
    (tmp_path / "other" / "high" / "z.wav").rename(tmp_path / "other" / "low" / "z.wav")
    assert load_audio_dataset(tmp_path / "other").content_hash != expected
    (tmp_path / "other" / "low" / "z.wav").unlink()
    assert load_audio_dataset(tmp_path / "other").content_hash != expected


def test_changed_metadata_change_the_rows_without_decoding(two_classes, monkeypatch) -> None:
    text = "file_name,label,fold,source_id\nhigh/0.wav,a,1,x\nlow/0.wav,b,2,y\nlow/1.wav,b,2,\n"
    first = load_audio_dataset(write_metadata(two_classes, text))
    assert rows(first) == [("high/0.wav", 0, "1", "x"), ("low/0.wav", 1, "2", "y"), ("low/1.wav", 1, "2", None)]
    monkeypatch.setattr(cache_module, "measure_recording", lambda *_: pytest.fail("decoded again"))
    text = "file_name,label,fold,source_id\nhigh/0.wav,c,3,z\nlow/0.wav,b,2,y\nlow/1.wav,a,2,\n"
    second = load_audio_dataset(write_metadata(two_classes, text))
    assert second.class_names == ["a", "b", "c"]
    assert rows(second) == [("high/0.wav", 2, "3", "z"), ("low/0.wav", 1, "2", "y"), ("low/1.wav", 0, "2", None)]
    assert second.dataset["waveform"][:] == first.dataset["waveform"][:]


def test_multi_label_data_with_recordings_of_no_class(two_classes) -> None:
    text = "file_name,label\nhigh/0.wav,b;a\nhigh/1.wav,\nlow/0.wav,c\n"
    audio = load_audio_dataset(write_metadata(two_classes, text), label_separator=";")
    assert audio.multi_label
    assert audio.class_names == ["a", "b", "c"]
    assert audio.dataset["label"][:] == [[0, 1], [], [2]]
    other_order = text.replace("b;a", "a; b")
    again = load_audio_dataset(write_metadata(two_classes, other_order), label_separator=";")
    assert again.content_hash == audio.content_hash


def test_sources_with_one_and_with_several_labels_together(two_classes, write_tone, tmp_path) -> None:
    write_tone("more/a.wav", frequency=99)
    write_metadata(tmp_path / "more", "file_name,label\na.wav,low|rain\n")
    audio = load_audio_dataset([two_classes, tmp_path / "more"], label_separator=None)
    assert not audio.multi_label
    assert audio.class_names == ["high", "low", "low|rain"]
    (tmp_path / "more" / "metadata.csv").unlink()
    (tmp_path / "more" / "metadata.jsonl").write_text('{"file_name": "a.wav", "label": ["rain", "low"]}')
    audio = load_audio_dataset([two_classes, tmp_path / "more"])
    assert audio.multi_label
    assert audio.class_names == ["high", "low", "rain"]
    assert audio.dataset["label"][:] == [[0]] * 4 + [[1]] * 4 + [[1, 2]]


def test_spans_of_one_file_are_recordings(tmp_path, write_tone) -> None:
    path = write_tone("s/a.wav", seconds=1.0)
    write_metadata(tmp_path / "s", "file_name,label,from,to\na.wav,x,0,0.25\na.wav,y,0.25,0.5\n")
    audio = load_audio_dataset(tmp_path / "s", start_column="from", end_column="to")
    whole = decode_audio(path, 16_000)
    assert np.array_equal(np.float32(audio.dataset["waveform"][1]), whole[4_000:8_000])
    assert audio.dataset["file_name"][:] == ["a.wav#0-0.25", "a.wav#0.25-0.5"]


def test_silence_is_kept_unless_it_is_to_be_trimmed(tmp_path) -> None:
    tone, silence = 0.5 * np.sin(np.arange(8_000)), np.zeros(16_000)
    for label in ("x", "y"):
        (tmp_path / label).mkdir()
        soundfile.write(tmp_path / label / "a.wav", np.concatenate([silence, tone, silence, tone]), 16_000)
    lengths = [
        len(load_audio_dataset(tmp_path, **trim).dataset["waveform"][0])
        for trim in ({}, {"trim_silence": "ends"}, {"trim_silence": "throughout"})
    ]
    assert lengths[0] == 48_000
    assert lengths[1] == pytest.approx(32_000, abs=1_500)
    assert lengths[2] == pytest.approx(16_000, abs=4_500)


def test_another_rate(two_classes) -> None:
    audio = load_audio_dataset(two_classes, sampling_rate=8_000)
    assert audio.sampling_rate == 8_000
    assert {len(waveform) for waveform in audio.dataset["waveform"]} == {2_400}


def no_samples(path: Path) -> None:
    soundfile.write(path, np.empty(0), 16_000)


def samples(*values: float, channels: tuple[float, ...] = (1.0,)) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        content = np.outer(np.resize(values, 1_600), channels)
        soundfile.write(path, content, 16_000, subtype="FLOAT", format="WAV")

    return write


def header_only(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def zero_rate(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", 0)
    path.write_bytes(content)


def missing(path: Path) -> None:
    path.unlink()


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "000.wav": (lambda path: path.write_bytes(b""), "the file is empty (0 bytes)"),
    "003.wav": (lambda path: path.write_text("words"), "not readable as audio (it is text)"),
    "006.wav": (header_only, "not readable as audio ("),
    "009.wav": (no_samples, "holds no samples"),
    "012.wav": (samples(0.1, np.nan), "holds NaN or infinite samples"),
    "015.wav": (samples(0.1, -np.inf), "holds NaN or infinite samples"),
    "018.wav": (samples(0.0), "wholly silent"),
    "021.wav": (samples(0.5, -0.3, channels=(1, -1)), "wholly silent: its channels cancel each other out"),
    "024.wav": (missing, "no such file (line 26 of metadata.csv)"),
    "001.flac": (lambda path: path.write_bytes(b"\x89PNG" + bytes(2_000)), "not readable as audio ("),
    "027.wav": (zero_rate, "not readable as audio ("),
    "030.m4a": (lambda path: path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(2_000)), INSTALL),
}


@pytest.fixture
def many_with_broken(many_tones, tmp_path, monkeypatch) -> Path:
    """400 recordings, of which the twelve of `BROKEN` are broken, on a machine without torchcodec."""
    for module in (decoding, cache_module):
        monkeypatch.setattr(module, "has_torchcodec", lambda: False)
    folder = tmp_path / "broken"
    folder.mkdir()
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file_name", "label"))
        for path in sorted(many_tones.rglob("*.*"), key=lambda path: path.name):
            name = "030.m4a" if path.name == "030.wav" else path.name
            shutil.copy(path, folder / name)
            writer.writerow((name, path.parent.name))
    for name, (damage, _) in BROKEN.items():
        damage(folder / name)
    return folder


def test_broken_recordings_cost_their_rows_and_no_others(many_with_broken, caplog) -> None:
    with caplog.at_level(logging.INFO, "hfaudio"):
        audio = load_audio_dataset(many_with_broken)
    assert len(audio.dataset) == 388
    assert {one.file_name for one in audio.left_out} == set(BROKEN)
    assert len(audio.left_out) == 12
    for one in audio.left_out:
        assert BROKEN[one.file_name][1] in one.reason
    assert not set(BROKEN) & set(audio.dataset["file_name"])
    for row in audio.dataset.select_columns(["file_name", "label"]):
        assert int(row["file_name"][:3]) % 40 == row["label"]
    information = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert information == ["400 recordings found, 388 kept, 12 left out; 40 classes"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith("Left out 12 of 400 recordings: 024.wav (no such file (line 26 of metadata.csv)), 000.")


def test_broken_recordings_are_an_error_on_request(many_with_broken) -> None:
    with pytest.raises(DataError) as error:
        load_audio_dataset(many_with_broken, on_bad="fail")
    message = str(error.value)
    assert message.startswith("Expected every recording to be usable (on_bad is fail), found 024.wav (no such file (")
    assert sum(f"{name} (" in message for name in BROKEN) == 5
    assert message.endswith(", and 7 more; replace or remove them.")


def test_no_more_than_five_are_named(two_classes, caplog) -> None:
    for index in range(25):
        (two_classes / "low" / f"x{index:02d}.wav").touch()
    load_audio_dataset(two_classes)
    assert "low/x04.wav (the file is empty (0 bytes)), and 20 more" in caplog.text
    assert "low/x05.wav" not in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_left_out_until_it_may(two_classes) -> None:
    path = two_classes / "low" / "2.wav"
    path.chmod(0)
    assert load_audio_dataset(two_classes).left_out == (LeftOut("low/2.wav", "cannot be opened (Permission denied)"),)
    path.chmod(0o600)
    assert load_audio_dataset(two_classes).left_out == ()


def test_a_link_to_nowhere_is_left_out(two_classes) -> None:
    (two_classes / "low" / "x.wav").symlink_to("nowhere.wav")
    audio = load_audio_dataset(two_classes)
    assert audio.left_out == (LeftOut("low/x.wav", "cannot be opened (No such file or directory)"),)


def test_suspicious_recordings_are_kept_with_a_warning(two_classes, caplog) -> None:
    content = (two_classes / "high" / "0.wav").read_bytes()
    (two_classes / "high" / "cut.wav").write_bytes(content[:-3_000])
    shutil.copy(two_classes / "high" / "1.wav", two_classes / "high" / "copy.wav")
    shutil.copy(two_classes / "high" / "2.wav", two_classes / "low" / "copy.wav")
    sine = np.sin(np.arange(4_800) / 10)
    soundfile.write(two_classes / "low" / "clipped.wav", np.clip(2 * sine, -1, 1), 16_000)
    soundfile.write(two_classes / "low" / "silent.wav", sine * (np.arange(4_800) < 300), 16_000)
    soundfile.write(two_classes / "low" / "short.wav", sine[:100], 16_000)
    soundfile.write(two_classes / "low" / "long.wav", np.sin(np.arange(80_000) / 9), 16_000)
    audio = load_audio_dataset(two_classes)
    assert len(audio.dataset) == 15
    assert audio.left_out == ()
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "Kept, but worth a look: 1 truncated, 1 clipped, 1 very long, 1 very short, 1 mostly silent, 1 duplicate, "
        "1 contradictory copy (scripts/inspect_dataset.py shows them)"
    ]


def test_nothing_is_warned_of_where_nothing_is_odd(two_classes, caplog) -> None:
    with caplog.at_level(logging.INFO, "hfaudio"):
        load_audio_dataset(two_classes)
    assert [(record.levelname, record.getMessage()) for record in caplog.records if record.name.startswith("hf")] == [
        ("INFO", "8 recordings found, 8 kept, 0 left out; 2 classes")
    ]


def test_classes_that_differ_in_case_are_warned_of(write_tone, tmp_path, caplog) -> None:
    for index, label in enumerate(("dog", "Dog", "cat")):
        write_tone(f"s/{label}/a.wav", frequency=300 + 100 * index)
    load_audio_dataset(tmp_path / "s")
    assert "Look at the names of the classes: 'dog' differs from 'Dog' in spelling alone" in caplog.messages


def test_a_class_without_a_readable_recording_is_an_error(two_classes) -> None:
    (two_classes / "high" / "0.wav").write_bytes(b"")
    for path in (two_classes / "low").iterdir():
        path.write_text("words")
    with pytest.raises(DataError) as error:
        load_audio_dataset(two_classes)
    assert str(error.value) == (
        "Expected at least one readable recording of every class, found none of low: low/0.wav not readable as audio "
        "(it is text), and 3 more; replace the files or remove the class."
    )


def test_a_held_out_part_without_a_readable_recording_is_an_error(two_classes) -> None:
    for path in two_classes.rglob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(DataError) as error:
        prepare_listing(Listing(list_recordings(two_classes).recordings[:2]), class_names=["high", "low"])
    assert str(error.value) == (
        "Expected at least one readable recording, found none among 2: high/0.wav (the file is empty (0 bytes)), "
        "high/1.wav (the file is empty (0 bytes)); replace the files."
    )


def test_a_class_whose_files_are_all_missing_is_an_error(two_classes) -> None:
    write_metadata(two_classes, "file_name,label\nhigh/0.wav,a\nlow/0.wav,b\ngone.wav,c\n")
    with pytest.raises(DataError) as error:
        load_audio_dataset(two_classes)
    assert str(error.value) == (
        "Expected at least one readable recording of every class, found none of c: gone.wav no such file (line 4 of "
        "metadata.csv); replace the files or remove the class."
    )


def test_one_class_is_not_enough(write_tone, tmp_path) -> None:
    write_tone("s/only/a.wav")
    with pytest.raises(
        DataError, match=r"^Expected recordings of at least two classes, found only only; add another class, or give"
    ):
        load_audio_dataset(tmp_path / "s")
    write_metadata(tmp_path / "s", "file_name,label\nonly/a.wav,\n")
    with pytest.raises(DataError, match="Expected recordings of at least two classes, found only none; add another"):
        load_audio_dataset(tmp_path / "s", label_separator=";")


def test_one_class_is_enough_where_a_recording_may_have_none(two_classes) -> None:
    write_metadata(two_classes, "file_name,label\nhigh/0.wav,beep\nlow/0.wav,\n")
    assert load_audio_dataset(two_classes, label_separator=";").dataset["label"][:] == [[0], []]


def test_arguments_are_checked(two_classes) -> None:
    with pytest.raises(ValueError, match=r"^on_bad must be one of skip, fail, found 'ask'\.$"):
        load_audio_dataset(two_classes, on_bad="ask")
    with pytest.raises(ValueError, match="decoder must be one of auto, soundfile, torchcodec, found 'lame'"):
        load_audio_dataset(two_classes, decoder="lame")


def test_a_part_has_the_classes_of_the_whole(two_classes) -> None:
    listing = list_recordings(two_classes)
    part = Listing(listing.recordings[4:])
    audio = prepare_listing(part, class_names=["high", "low"])
    assert audio.class_names == ["high", "low"]
    assert audio.dataset["label"][:] == [1] * 4
    assert describe_listing(part, ["low", "high"])["label"][:] == [0] * 4


def test_a_data_set_in_memory(two_classes) -> None:
    paths = sorted(map(str, two_classes.rglob("*.wav")))
    dataset = datasets.Dataset.from_dict({"audio": paths, "label": [Path(path).parent.name for path in paths]})
    parts = dataset.cast_column("audio", datasets.Audio()).train_test_split(test_size=0.5, seed=0)
    audio = load_audio_dataset(parts)
    assert audio.content_hash == load_audio_dataset(two_classes).content_hash
    assert audio.dataset["fold"][:] == ["train"] * 4 + ["test"] * 4
