import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hfaudio.audio import opening
from hfaudio.data import (
    AudioCrops,
    Columns,
    CropRule,
    DataError,
    DecodingSettings,
    StreamedCrops,
    describe_listing,
    list_recordings,
    prepare_listing,
)

SETTINGS = DecodingSettings(sampling_rate=16_000)
CROP = CropRule(1_600)


def streamed(folder: Path, augmentation=None, crop: CropRule = CROP) -> StreamedCrops:
    listing = list_recordings(folder)
    return StreamedCrops(listing.recordings, describe_listing(listing), SETTINGS, crop, augmentation)


def test_short_recordings_give_the_examples_that_the_cache_gives(two_classes) -> None:
    cached = AudioCrops(prepare_listing(list_recordings(two_classes), SETTINGS, 1).dataset, CROP)
    crops = streamed(two_classes)
    assert len(crops) == len(cached) == 8
    for key in (0, 5, (0, 3), (7, 4), (7, 5)):
        assert np.array_equal(crops[key]["waveform"], cached[key]["waveform"])
        assert crops[key]["labels"] == cached[key]["labels"]
    assert crops[0, 3]["seed"] == 3
    assert "seed" not in crops[0]


def test_of_a_long_recording_only_a_span_is_read(write_tone, tmp_path, monkeypatch) -> None:
    write_tone("s/long/a.wav", seconds=20.0, rate=44_100)
    write_tone("s/short/a.wav", seconds=0.2)
    crops = streamed(tmp_path / "s")
    read = []
    blocks = opening._read_blocks

    def watched(file, first: int, past: int):
        read.append((first, past))
        return blocks(file, first, past)

    monkeypatch.setattr(opening, "_read_blocks", watched)
    starts = set()
    for seed in range(20):
        example = crops[0, seed]
        assert example["waveform"].shape == (CROP.samples,)
        first, past = read.pop()
        assert past - first == round(0.15 * 44_100)
        starts.add(first // 44_100)
    assert len(starts) > 8  # from all over the recording


def test_silence_is_put_at_the_ends_of_a_recording_alone(tmp_path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a.wav", np.full(320_000, 0.5), 16_000)
    crops = streamed(tmp_path, crop=CropRule(8_000, margin=8_000))
    assert all(crops[0, seed]["waveform"].min() > 0.4 for seed in range(20))


def test_a_span_of_a_table_is_kept_to(write_tone, tmp_path) -> None:
    write_tone("s/a.wav", frequency=300, seconds=8.0)
    (tmp_path / "s" / "metadata.csv").write_text("file_name,label,from,to\na.wav,x,1,1.5\na.wav,y,2,7\n")
    listing = list_recordings(tmp_path / "s", Columns(start="from", end="to"))
    crops = StreamedCrops(listing.recordings, describe_listing(listing), SETTINGS, CROP)
    assert len(crops[0]["waveform"]) == 8_000
    assert len(crops[1]["waveform"]) == 80_000
    assert all(np.abs(crops[1, seed]["waveform"]).max() < 0.5 * np.exp(-3 * 2) + 0.01 for seed in range(20))


def test_a_bad_recording_is_named_once_and_another_takes_its_place(two_classes, caplog) -> None:
    (two_classes / "high" / "1.wav").write_bytes(b"")
    crops = streamed(two_classes)
    first, again = crops[1, 7], crops[1, 7]
    assert np.array_equal(first["waveform"], again["waveform"])
    assert len({crops[1, seed]["labels"] for seed in range(20)}) == 2
    messages = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert messages == ["Left out high/1.wav: the file is empty (0 bytes)"]


def test_nothing_but_bad_recordings_is_an_error(two_classes) -> None:
    for path in two_classes.rglob("*.wav"):
        path.write_text("words")
    with pytest.raises(DataError, match="Expected recordings that can be read, found 20 on end that cannot, the last"):
        streamed(two_classes)[0, 0]
