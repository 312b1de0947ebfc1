import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import datasets
import numpy as np
import pytest

from hfaudio.data import DataError, PreparedAudio
from hfaudio.data import fingerprints as module
from hfaudio.data.fingerprints import alike_groups_of, fingerprints_of
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


@pytest.fixture
def in_processes(monkeypatch) -> list[int]:
    """Processes for two recordings already, two at once; the list holds how many were asked for."""
    started = []

    def start(processes: int, *arguments):
        started.append(processes)
        return ProcessPoolExecutor(processes, *arguments)

    monkeypatch.setattr(module, "WORTH_PROCESSES", 2)
    monkeypatch.setattr(module, "AT_ONCE", 2)
    monkeypatch.setattr(module, "WAITING", 0)
    monkeypatch.setattr(module, "available_cores", lambda: 3)
    monkeypatch.setattr(module, "ProcessPoolExecutor", start)
    return started


def test_several_processes_give_the_same(sounds, in_processes) -> None:
    np.testing.assert_array_equal(fingerprints_of(sounds), expected(sounds))
    assert in_processes == [3]


def test_one_recording_or_one_core_needs_no_processes(sounds, in_processes, monkeypatch) -> None:
    fingerprints_of(sounds.select([0]))
    monkeypatch.setattr(module, "available_cores", lambda: 1)
    fingerprints_of(sounds)
    assert in_processes == []


@pytest.mark.parametrize("chosen", [None, [30, 2, 3, 41, 2], range(10, 20)], ids=["all", "shuffled", "a part"])
def test_processes_take_mapped_shards_with_joined_columns(audio, in_processes, monkeypatch, chosen) -> None:
    """As preparation leaves them: several files mapped into memory, beside columns that are not."""
    assert len(audio.dataset.cache_files) > 1
    dataset = audio.dataset if chosen is None else audio.dataset.select(chosen)
    found = fingerprints_of(dataset)
    assert in_processes == [3]
    np.testing.assert_array_equal(found, expected(dataset))


def test_a_process_that_is_ended_is_told_in_a_sentence(sounds, in_processes, monkeypatch) -> None:
    monkeypatch.setattr(module, "_describe", _end)
    with pytest.raises(DataError, match="Expected the processes that compare recordings to live, found one ended"):
        fingerprints_of(sounds)


def _end(_: object) -> None:
    os._exit(9)


def test_of_long_recordings_processes_get_the_first_minute(monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 1)
    sounds = datasets.Dataset.from_dict({"waveform": [np.zeros(3 * 8_000, np.float32)], "sampling_rate": [8_000]})
    (((samples, rate),),) = module._sounds(sounds)
    assert (len(samples), rate) == (8_000, 8_000)


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


@pytest.mark.parametrize("damage", [lambda content: content[:-2], lambda content: content[:-1] + b"?", lambda _: b""])
def test_damaged_files_of_the_cache_are_made_anew(sounds, cache, damage) -> None:
    fingerprints, groups = fingerprints_of(sounds), alike_groups_of(sounds)
    for file in cache.iterdir():
        file.write_bytes(damage(file.read_bytes()))
    np.testing.assert_array_equal(fingerprints_of(sounds), fingerprints)
    np.testing.assert_array_equal(alike_groups_of(sounds), groups)


def test_groups_are_kept_too(sounds, cache, monkeypatch) -> None:
    twice = sounds.select([0, 1, 2, 1, 3])
    groups = alike_groups_of(twice).tolist()
    assert len(set(groups)) == 4
    assert groups[1] == groups[3]
    monkeypatch.setattr(module, "near_duplicate_groups", lambda *_: pytest.fail("compared again"))
    assert alike_groups_of(twice).tolist() == groups


def test_of_prepared_recordings_there_are_as_many(audio: PreparedAudio) -> None:
    assert fingerprints_of(audio.dataset).any(axis=1).mean() > 0.5
