import os

import datasets
import numpy as np
import pytest
import soundfile

from hfaudio.data import DataError, LeftOut, load_audio_dataset
from hfaudio.data import preparation as module
from hfaudio.data.decoding import decode_audio


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
    monkeypatch.setattr(module, "FILES_PER_PROCESS", 10)
    monkeypatch.setattr(module, "CACHE_VERSION", -1)  # so that nothing is read from the cache
    parallel = load_audio_dataset(synthetic_folder, fold_column="fold", num_proc=3)
    assert parallel.dataset["file_name"] == audio.dataset["file_name"]
    for one, other in zip(parallel.dataset, audio.dataset, strict=True):
        assert one["waveform"] == other["waveform"]


def test_a_second_load_decodes_nothing(two_classes, monkeypatch) -> None:
    first = load_audio_dataset(two_classes)
    monkeypatch.setattr(module, "decode_audio", lambda *_: pytest.fail("decoded again"))
    second = load_audio_dataset(two_classes)
    assert second.dataset["waveform"][0] == first.dataset["waveform"][0]


def test_a_changed_file_or_setting_is_decoded_anew(two_classes) -> None:
    before = load_audio_dataset(two_classes).dataset[0]["waveform"]
    path = two_classes / "high" / "0.wav"
    status = os.stat(path)
    soundfile.write(path, np.full(4_800, 0.25), 16_000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert load_audio_dataset(two_classes).dataset[0]["waveform"] != before
    assert len(load_audio_dataset(two_classes, sampling_rate=8_000).dataset[0]["waveform"]) == 2_400


def test_a_bad_recording_among_good_ones_is_named_and_left_out(two_classes, caplog) -> None:
    (two_classes / "low" / "2.wav").write_bytes(b"")
    audio = load_audio_dataset(two_classes)
    assert audio.left_out == (LeftOut("low/2.wav", "the file is empty (0 bytes)"),)
    assert len(audio.dataset) == 7
    assert "low/2.wav" not in audio.dataset["file_name"]
    assert "Left out 1 of 8 recordings: low/2.wav (the file is empty (0 bytes))" in caplog.text


def test_a_class_without_a_readable_recording_is_an_error(two_classes) -> None:
    for path in (two_classes / "low").iterdir():
        path.write_text("words")
    with pytest.raises(DataError) as error:
        load_audio_dataset(two_classes)
    assert str(error.value) == (
        "Expected at least one readable recording of every class, found none of low: low/0.wav not readable as audio "
        "(Format not recognised.), and 3 more; replace the files or remove the class."
    )


def test_one_class_is_not_enough(write_tone, tmp_path) -> None:
    write_tone("s/only/a.wav")
    with pytest.raises(DataError, match="Expected recordings of at least two classes, found only only; add another"):
        load_audio_dataset(tmp_path / "s")


def test_a_file_that_has_become_readable_is_read(two_classes) -> None:
    path = two_classes / "low" / "2.wav"
    content, status = path.read_bytes(), os.stat(path)
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(load_audio_dataset(two_classes).left_out) == 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as a change of permissions leaves it
    assert load_audio_dataset(two_classes).left_out == ()
