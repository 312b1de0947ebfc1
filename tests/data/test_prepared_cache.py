import errno
import io
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
import soundfile

from hfaudio.data import prepared_cache as module
from hfaudio.data import sealed_file
from hfaudio.data.errors import DataError
from hfaudio.data.prepared_cache import DecodingSettings, cached_shards
from hfaudio.data.ready_datasets import list_dataset
from hfaudio.data.recordings import Columns, Recording
from hfaudio.data.sources import list_recordings

SETTINGS = DecodingSettings()
FORK = multiprocessing.get_context("fork")

Decoded = Callable[[], list[str]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the shards, of this test alone; every recording has a shard of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(module, "SMALLEST_SHARD", 1)
    return tmp_path / "cache" / "hfaudio" / f"decoded-{module.CACHE_VERSION}"


@pytest.fixture
def decoded(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Decoded:
    """The names of what was decoded since it was last asked; the processes that decode append to a file."""
    log = tmp_path / "decoded.txt"
    log.touch()
    measure = module.measure_recording

    def measure_and_log(recording: Recording, *settings: object) -> object:
        with log.open("a", encoding="utf-8") as file:
            file.write(recording.file_name + "\n")
        return measure(recording, *settings)

    def take() -> list[str]:
        names = sorted(log.read_text(encoding="utf-8").splitlines())
        log.write_text("")
        return names

    monkeypatch.setattr(module, "measure_recording", measure_and_log)
    return take


def prepare(source: Path, settings: DecodingSettings = SETTINGS, num_proc: int = 1) -> list[list[float]]:
    recordings = list_recordings(source).recordings
    shards = cached_shards(recordings, settings, num_proc)
    rows = datasets.concatenate_datasets([datasets.Dataset.from_file(str(shard)) for shard in shards])
    assert len(rows) == len(recordings)
    return rows["waveform"][:]


def partial_files(cache: Path) -> list[Path]:
    return list(cache.glob(".*"))


NAMES = sorted(f"{label}/{index}.wav" for label in ("high", "low") for index in range(4))


def test_a_second_run_decodes_and_reads_nothing(two_classes, decoded, monkeypatch) -> None:
    first = prepare(two_classes)
    assert decoded() == NAMES
    monkeypatch.setattr(module, "_content_digest", lambda _: pytest.fail("read again"))
    assert prepare(two_classes) == first
    assert decoded() == []


@pytest.mark.parametrize("num_proc", [1, 3])
def test_rows_are_in_the_order_of_the_recordings(two_classes, decoded, num_proc: int) -> None:
    waveforms = prepare(two_classes, num_proc=num_proc)
    for name, waveform in zip(NAMES, waveforms, strict=True):
        assert np.array_equal(np.float32(waveform), soundfile.read(two_classes / name, dtype="float32")[0])


@pytest.mark.parametrize(("held", "batches"), [(10_000, [2, 2, 2, 2]), (4_000, [1] * 8)])  # of 4800 samples each
def test_long_recordings_are_written_before_more_are_read(two_classes, cache, monkeypatch, held, batches) -> None:
    expected = prepare(two_classes)
    shutil.rmtree(cache)
    monkeypatch.setattr(module, "SMALLEST_SHARD", 1 << 20)
    monkeypatch.setattr(module, "SAMPLES_HELD", held)
    assert prepare(two_classes) == expected
    (shard,) = cache.glob("*.arrow")
    with pa.ipc.open_stream(shard) as reader:
        assert [batch.num_rows for batch in reader] == batches


def test_a_shard_that_is_written_in_pieces_is_whole(two_classes, cache, monkeypatch) -> None:
    expected = prepare(two_classes)
    shutil.rmtree(cache)
    monkeypatch.setattr(sealed_file, "WRITTEN_AT_ONCE", 1_000)
    assert prepare(two_classes) == expected


@pytest.mark.parametrize(
    "settings",
    [DecodingSettings(8_000), DecodingSettings(decoder="soundfile"), DecodingSettings(trim_silence="ends")],
)
def test_another_setting_is_decoded_anew(two_classes, decoded, settings: DecodingSettings) -> None:
    prepare(two_classes)
    decoded()
    prepare(two_classes, settings)
    assert decoded() == NAMES
    prepare(two_classes)
    assert decoded() == []


def test_torchcodec_that_was_installed_since_is_tried(two_classes, decoded, monkeypatch) -> None:
    monkeypatch.setattr(module, "has_torchcodec", lambda: pytest.fail("imported, which takes seconds"))
    for spec in (None, object()):
        monkeypatch.setattr(module, "find_spec", lambda _, spec=spec: spec)
        prepare(two_classes)
        assert decoded() == NAMES


def test_ffmpeg_that_was_installed_since_is_tried_where_it_is_needed(two_classes, decoded, monkeypatch) -> None:
    (two_classes / "high" / "0.wav").rename(two_classes / "high" / "0.m4a")
    for available in (False, True):
        monkeypatch.setattr(module, "has_torchcodec", lambda available=available: available)
        prepare(two_classes)
        assert "high/0.m4a" in decoded()
        prepare(two_classes)
        assert decoded() == []


def test_only_a_changed_file_is_decoded_anew(two_classes, decoded) -> None:
    before = prepare(two_classes)
    decoded()
    path = two_classes / "high" / "1.wav"
    status = os.stat(path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x11
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as some tools for copying do
    after = prepare(two_classes)
    assert decoded() == ["high/1.wav"]
    assert [index for index in range(8) if before[index] != after[index]] == [1]


def test_another_span_is_decoded_anew(two_classes, decoded) -> None:
    path = str(two_classes / "low" / "0.wav")
    for span in ((0.0, 0.1), (0.1, 0.2), (None, 0.1), (0.1, None), (None, None)):
        for _ in range(2):
            cached_shards([Recording("a", ("x",), path, start=span[0], end=span[1])], SETTINGS, 1)
        assert decoded() == ["a"]


def test_a_file_that_has_become_readable_is_read(two_classes, decoded) -> None:
    path = two_classes / "low" / "2.wav"
    content = path.read_bytes()
    path.unlink()
    path.symlink_to(two_classes / "later.wav")
    assert prepare(two_classes)[6] == []
    decoded()
    (two_classes / "later.wav").write_bytes(content)
    assert len(prepare(two_classes)[6]) == 4_800
    assert decoded() == ["low/2.wav"]


def test_touched_moved_and_copied_files_are_not_decoded_again(two_classes, decoded, tmp_path) -> None:
    expected = prepare(two_classes)
    decoded()
    for path in two_classes.rglob("*.wav"):
        os.utime(path)
    assert prepare(two_classes) == expected
    moved = two_classes.rename(tmp_path / "moved")
    assert prepare(moved) == expected
    shutil.copytree(moved, tmp_path / "copied")
    assert prepare(tmp_path / "copied") == expected
    assert decoded() == []


def test_the_same_files_in_an_archive_are_not_decoded_again(two_classes, decoded, tmp_path) -> None:
    expected = prepare(two_classes)
    decoded()
    assert prepare(Path(shutil.make_archive(str(tmp_path / "a"), "zip", two_classes))) == expected
    assert decoded() == []


def test_renamed_files_are_not_decoded_again(two_classes, decoded) -> None:
    expected = prepare(two_classes)
    decoded()
    (two_classes / "low").rename(two_classes / "lower")
    assert prepare(two_classes) == expected
    assert decoded() == []


def test_an_added_recording_leaves_the_other_shards_alone(tmp_path, write_tone, decoded, monkeypatch) -> None:
    monkeypatch.setattr(module, "SMALLEST_SHARD", 4)
    for index in range(40):
        write_tone(f"s/x/{index:02d}.wav", frequency=200 + 20 * index, seconds=0.02)
    prepare(tmp_path / "s")
    assert len(decoded()) == 40
    write_tone("s/x/20b.wav", seconds=0.02)
    prepare(tmp_path / "s")
    anew = decoded()
    assert "x/20b.wav" in anew
    assert len(anew) <= 16 + 1


@pytest.mark.parametrize("name", ["x/{}.wav", "{:06d}.flac", "1-{}-A-0.wav", "{0}/{0}.ogg"])
@pytest.mark.parametrize("count", [1, 100, 5_000, 20_000])
def test_shards_hold_everything_once_and_are_neither_small_nor_many(name: str, count: int) -> None:
    recordings = [Recording(name.format(index), ("x",), "") for index in range(count)]
    shards = list(module._divide(recordings))
    assert [one for shard in shards for one in shard] == recordings
    size = 16 if count <= 16 * module.MOST_SHARDS else 128
    assert 0.5 * count / size <= len(shards) <= 1 + 2 * count / size


def test_audio_in_a_table_is_decoded_once(two_classes, decoded, monkeypatch) -> None:
    paths = sorted(two_classes.rglob("*.wav"))
    rows = {"audio": [{"bytes": path.read_bytes(), "path": path.name} for path in paths], "label": list("xy" * 4)}
    for path, again in ((two_classes / "a.parquet", False), (two_classes / "b.parquet", True)):
        dataset = datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio(decode=False))
        dataset.to_parquet(path)
        first = prepare(path)
        assert len(decoded()) == (0 if again else 8)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_content_digest", lambda _: pytest.fail("read again"))
            assert prepare(path) == first


def test_a_file_that_changes_under_a_table_is_decoded_anew(two_classes, decoded) -> None:
    paths = sorted(map(str, two_classes.rglob("*.wav")))
    dataset = datasets.Dataset.from_dict({"audio": paths, "label": list("xy" * 4)})
    recordings = list_dataset(dataset.cast_column("audio", datasets.Audio()), Columns()).recordings
    cached_shards(recordings, SETTINGS, 1)
    decoded()
    shutil.copy(paths[0], paths[1])
    soundfile.write(paths[0], np.sin(np.arange(1_000)), 16_000)
    recordings = list_dataset(dataset.cast_column("audio", datasets.Audio()), Columns()).recordings
    cached_shards(recordings, SETTINGS, 1)
    assert decoded() == ["row-000000-0.wav"]  # the other one has been decoded as this one


def test_an_interrupted_run_is_taken_up_where_it_was(two_classes, decoded, cache, tmp_path, monkeypatch) -> None:
    measure = module.measure_recording

    def measure_slowly(recording: Recording, *settings: object) -> object:
        if recording.file_name == "low/1.wav":
            (tmp_path / "half-way").touch()
            time.sleep(60)
        return measure(recording, *settings)

    def run() -> None:
        os.setsid()
        prepare(two_classes)

    with monkeypatch.context() as patch:
        patch.setattr(module, "measure_recording", measure_slowly)
        process = FORK.Process(target=run)
        process.start()
        deadline = time.monotonic() + 30
        while not (tmp_path / "half-way").exists():
            assert process.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    finished = decoded()
    assert 0 < len(finished) < 8
    assert len(list(cache.glob("*.arrow"))) == len(finished)
    assert len(partial_files(cache)) == 1  # of low/1.wav, which counts for nothing
    waveforms = prepare(two_classes)
    assert sorted(finished + decoded()) == NAMES
    assert all(len(waveform) == 4_800 for waveform in waveforms)


def test_a_shard_that_vanished_or_whose_name_is_damaged_is_made_again(two_classes, decoded, cache) -> None:
    expected = prepare(two_classes)
    decoded()
    next(cache.glob("*.arrow")).unlink()
    for name in list(cache.glob("*.name"))[:2]:
        name.write_text("")
    assert prepare(two_classes) == expected
    assert len(decoded()) == 1


def test_two_processes_may_prepare_the_same(two_classes, cache) -> None:
    barrier = FORK.Barrier(2)

    def run() -> None:
        barrier.wait(30)
        assert all(len(waveform) == 4_800 for waveform in prepare(two_classes))

    processes = [FORK.Process(target=run) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert partial_files(cache) == []
    assert len(list(cache.glob("*.arrow"))) == len(list(cache.glob("*.name"))) == 8


def test_a_process_that_dies_is_named(two_classes, decoded, monkeypatch) -> None:
    measure = module.measure_recording

    def measure_or_die(recording: Recording, *settings: object) -> object:
        if recording.file_name == "low/3.wav":
            os.kill(os.getpid(), signal.SIGKILL)
        return measure(recording, *settings)

    with monkeypatch.context() as patch:
        patch.setattr(module, "measure_recording", measure_or_die)
        with pytest.raises(DataError) as error:
            prepare(two_classes)
    assert str(error.value) == (
        "Expected the decoding processes to live, found one ended by the system, as it does when memory runs out; try "
        "--preparation_processes 1. What is decoded is kept."
    )
    kept = decoded()
    prepare(two_classes)
    assert sorted(kept + decoded()) == NAMES


SLOW = """
import os, signal, sys, time
from pathlib import Path
from hfaudio.data import prepared_cache as module
from hfaudio.data.sources import list_recordings

signal.signal(signal.SIGINT, signal.default_int_handler)
measure = module.measure_recording
module.SMALLEST_SHARD = 1

def measure_slowly(*arguments):
    os.write(1, b"begun\\n")
    time.sleep(1)
    return measure(*arguments)

module.measure_recording = measure_slowly
module.cached_shards(list_recordings(sys.argv[1]).recordings, module.DecodingSettings(), 2)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_one_that_is_stopped_and_what_is_decoded_is_kept(two_classes, tmp_path, number) -> None:
    command = [sys.executable, "-c", SLOW, str(two_classes)]
    environment = os.environ | {"HF_HOME": str(tmp_path / "home")}
    main = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert main.stdout is not None
    for _ in range(4):  # recordings
        main.stdout.readline()
    if number == signal.SIGINT:  # as Ctrl-C: to all
        os.killpg(main.pid, number)
    else:
        os.kill(main.pid, number)
    _, said = main.communicate(timeout=60)  # which waits for all that could still write
    assert main.returncode == -number
    assert said.count("Traceback") == (number == signal.SIGINT)  # its own, which scripts answer with one line
    cache = tmp_path / "home" / "datasets" / "hfaudio" / f"decoded-{module.CACHE_VERSION}"
    shards = list(cache.glob("*.arrow"))
    assert len(shards) >= 1
    assert all(map(sealed_file.is_sealed, shards))
    if number == signal.SIGINT:
        assert partial_files(cache) == []


def test_no_process_goes_on_after_an_error(two_classes, cache, monkeypatch) -> None:
    def fail_or_take_long(recording: Recording, *_: object) -> None:
        time.sleep(0.0 if recording.file_name == "high/0.wav" else 0.3)
        raise RuntimeError(recording.file_name)

    monkeypatch.setattr(module, "measure_recording", fail_or_take_long)
    with pytest.raises(RuntimeError, match="high/0.wav"):
        prepare(two_classes, num_proc=2)
    assert multiprocessing.active_children() == []
    assert partial_files(cache) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(two_classes, cache, monkeypatch, number: int) -> None:
    def replace(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", replace)
    sentence = (
        f"Expected room for decoded recordings in {cache} (64 kB a second at 16 kHz), found the disk full; free some, "
        "or set HF_DATASETS_CACHE to a larger disk."
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        prepare(two_classes)
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_disk_that_fills_while_a_shard_is_written_is_named(two_classes, cache, monkeypatch) -> None:
    monkeypatch.setattr(module, "SealedFile", lambda _, mode: io.FileIO("/dev/full", mode))
    with pytest.raises(DataError, match="found the disk full; free some"):
        prepare(two_classes)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EFBIG, errno.EIO])
def test_a_cache_that_cannot_be_written_is_named_before_anything_is_decoded(
    two_classes, cache, decoded, monkeypatch, number: int
) -> None:
    def refuse(dir: Path) -> None:
        raise OSError(number, os.strerror(number), str(dir))

    prepare(two_classes)
    decoded()
    monkeypatch.setattr(module.tempfile, "TemporaryFile", refuse)
    prepare(two_classes)  # what is decoded can be read
    sentence = (
        f"Expected a cache of decoded recordings that can be read and written in {cache}, found {os.strerror(number)} "
        f"({cache}); set HF_DATASETS_CACHE to a folder of yours."
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        prepare(two_classes, DecodingSettings(8_000))
    assert decoded() == []


def test_a_file_in_the_place_of_the_cache_is_named(two_classes, tmp_path, cache) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(DataError, match=r"found Not a directory \(.*\); set HF_DATASETS_CACHE to a folder of yours"):
        prepare(two_classes)


def test_other_errors_of_the_disk_are_not_hidden(two_classes, cache, monkeypatch) -> None:
    def replace(*_: object) -> None:
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="busy"):
        prepare(two_classes)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 30)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_seal(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "cut": cut,
    "flipped": flip,
    "its hash flipped": flip_seal,
    "empty": lambda path: os.truncate(path, 0),
    "gone": Path.unlink,
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "without a hash": lambda path: os.truncate(path, path.stat().st_size - sealed_file.SEAL_BYTES),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("moved", [False, True])
def test_a_damaged_shard_is_made_anew_and_said(two_classes, cache, decoded, caplog, damage: str, moved: bool) -> None:
    expected = prepare(two_classes)
    decoded()
    shard = max(cache.glob("*.arrow"))
    DAMAGES[damage](shard)
    if moved:  # then the names do not lead to the shards, but the contents of the files do
        two_classes = two_classes.rename(two_classes.with_name("moved"))
    assert prepare(two_classes) == expected
    assert len(decoded()) == 1
    if damage != "gone" and not moved:
        assert f"Decoding 1 recordings anew: {shard} is damaged" in caplog.text
    caplog.clear()
    assert prepare(two_classes) == expected
    assert decoded() == []
    assert not caplog.records


@pytest.mark.parametrize("content", ["", "0", "../../etc/passwd", "\0", "ü", "f" * 32 + ".arrow"])
def test_a_damaged_name_leads_to_no_other_file(two_classes, cache, decoded, content: str) -> None:
    expected = prepare(two_classes)
    decoded()
    for name_file in cache.glob("*.name"):
        name_file.write_text(content)
    assert prepare(two_classes) == expected
    assert decoded() == []  # the content leads to the shards
    assert all(module.SHARD_NAME.match(path.read_text()) for path in cache.glob("*.name"))


def test_the_name_of_other_files_leads_to_no_shard(two_classes, cache, decoded) -> None:
    expected = prepare(two_classes)
    decoded()
    first, *others = cache.glob("*.name")
    first.write_text(others[0].read_text())
    assert prepare(two_classes) == expected
    assert decoded() == []  # the content leads to the right one


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("ending", ["arrow", "name"])
def test_a_pipe_in_the_cache_is_not_waited_for(two_classes, cache, ending: str) -> None:
    expected = prepare(two_classes)
    path = next(cache.glob(f"*.{ending}"))
    path.unlink()
    os.mkfifo(path)
    assert prepare(two_classes) == expected
    assert path.is_file()


@pytest.mark.parametrize("ending", ["arrow", "name"])
def test_a_folder_in_the_cache_is_said(two_classes, cache, ending: str) -> None:
    prepare(two_classes)
    path = next(cache.glob(f"*.{ending}"))
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=r"can be read and written in .*, found Is a directory \("):
        prepare(two_classes)


def test_two_runs_that_make_the_same_shard_anew_do_not_disturb_each_other(two_classes, cache) -> None:
    expected = prepare(two_classes)
    for shard in cache.glob("*.arrow"):
        flip(shard)

    def run() -> None:
        assert prepare(two_classes, num_proc=2) == expected

    processes = [FORK.Process(target=run) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert all(map(sealed_file.is_sealed, cache.glob("*.arrow")))


def test_a_shard_that_is_in_use_stays_readable_when_it_goes(two_classes, cache) -> None:
    recordings = list_recordings(two_classes).recordings
    rows = [datasets.Dataset.from_file(str(shard)) for shard in cached_shards(recordings, SETTINGS, 1)]
    shutil.rmtree(cache)
    expected = prepare(two_classes)
    assert [row for part in rows for row in part["waveform"][:]] == expected


def test_a_shard_is_read_once_in_a_process(two_classes, cache, monkeypatch) -> None:
    prepare(two_classes)
    sealed_file._sealed.clear()
    read = []
    hashed = sealed_file.xxhash.xxh3_128
    monkeypatch.setattr(sealed_file.xxhash, "xxh3_128", lambda *data: read.append(1) or hashed(*data))
    for _ in range(3):
        prepare(two_classes)
    assert len(read) == 8


def test_what_dead_processes_left_goes_and_what_others_write_stays(two_classes, cache) -> None:
    prepare(two_classes)
    old, young = cache / ".a.arrow-1", cache / ".b.arrow-2"
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))
    prepare(two_classes, DecodingSettings(8_000))
    assert partial_files(cache) == [young]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"decoder": "lame"}, "decoder must be one of auto, soundfile, torchcodec, found 'lame'."),
        ({"trim_silence": "all"}, "trim_silence must be one of none, ends, throughout, found 'all'."),
        ({"sampling_rate": 0}, "sampling_rate must be at least 1 Hz, found 0."),
    ],
)
def test_settings_are_checked(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        DecodingSettings(**fields)
