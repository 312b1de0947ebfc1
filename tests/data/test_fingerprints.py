from pathlib import Path

import datasets
import numpy as np
import pytest

from hfaudio.data import PreparedAudio
from hfaudio.data import fingerprints as module
from hfaudio.data.fingerprints import fingerprints_of
from hfaudio.data.near_duplicates import FINGERPRINT_SIZE, acoustic_fingerprint

COUNT = 6
RATES = [8_000, 16_000]


@pytest.fixture
def sounds(rng) -> datasets.Dataset:
    """Noises of one second, at two sampling rates, that swell at a rate of their own each."""
    rates = RATES * (COUNT // 2)
    waveforms = [
        (rng.uniform(-0.5, 0.5, rate) * np.sin(np.arange(rate) * (index + 1) / 2_000)).astype(np.float32)
        for index, rate in enumerate(rates)
    ]
    contents = [f"content {index}" for index in range(COUNT)]
    known = {"content_hash": contents, "samples": [*map(len, waveforms)], "sampling_rate": rates}
    return datasets.Dataset.from_dict({"waveform": waveforms, **known})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    return tmp_path / "hfaudio" / f"fingerprints-{module.FINGERPRINT_VERSION}"


def expected(sounds: datasets.Dataset) -> np.ndarray:
    return np.stack([acoustic_fingerprint(np.float32(row["waveform"]), row["sampling_rate"]) for row in sounds])


@pytest.mark.parametrize("at_once", [2, 16])
def test_each_recording_has_its_fingerprint(sounds, at_once: int, monkeypatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    found = fingerprints_of(sounds)
    assert (found.shape, found.dtype) == ((COUNT, FINGERPRINT_SIZE), np.float16)
    assert np.abs(found).sum(axis=1).min() > 0
    np.testing.assert_array_equal(found, expected(sounds))


def test_of_a_selection_it_is_those_of_the_selection(sounds) -> None:
    selection = sounds.select([4, 1])
    np.testing.assert_array_equal(fingerprints_of(selection), expected(selection))


def test_several_processes_give_the_same(sounds, monkeypatch) -> None:
    monkeypatch.setattr(module, "WORTH_PROCESSES", 2)
    monkeypatch.setattr(module, "available_cores", lambda: 3)
    np.testing.assert_array_equal(fingerprints_of(sounds), expected(sounds))


def test_the_same_contents_are_computed_once(sounds, cache, monkeypatch) -> None:
    first = fingerprints_of(sounds)
    # A copy of the table, as another run has it, is known by its contents.
    again = datasets.Dataset.from_dict(sounds[:])
    monkeypatch.setattr(module, "acoustic_fingerprint", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(fingerprints_of(again), first)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("column", ["content_hash", "samples", "sampling_rate"])
def test_other_contents_lengths_and_rates_are_not_taken_for_the_same(sounds, cache, column: str) -> None:
    fingerprints_of(sounds)
    other = sounds.remove_columns(column).add_column(column, sounds[column][:][::-1])
    fingerprints_of(other)
    assert len(list(cache.iterdir())) == 2


def test_of_prepared_recordings_there_are_as_many(audio: PreparedAudio) -> None:
    assert fingerprints_of(audio.dataset).any(axis=1).mean() > 0.5
