"""scripts/train.py --streaming: nothing that is trained on is kept on the disk."""

import csv
import json
from collections import Counter

import datasets
import pytest

# What `Audio` stores; to make a column of that type at once, datasets needs torchcodec.
STORED_AUDIO = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}


def test_files_are_decoded_when_they_are_needed(train, two_classes, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    output = tmp_path / "run"
    train("--dataset", two_classes, "--streaming", "--num_train_epochs", 1, "--output_dir", output)
    results = json.loads((output / "all_results.json").read_text())
    assert (results["train_recordings"], results["eval_recordings"]) == (6, 2)
    with (output / "split.csv").open() as file:
        hashes = {row["file_name"]: row["content_hash"] for row in csv.DictReader(file)}
    assert sum(map(bool, hashes.values())) == 2  # the held-out part alone has been decoded
    shards = [datasets.Dataset.from_file(str(path)) for path in (tmp_path / "cache").rglob("*.arrow")]
    assert sum(map(len, shards)) == 2


def test_a_split_is_given_back_to_a_cached_run_and_to_a_streamed_one(train, two_classes, tmp_path) -> None:
    for name in ("high/0.wav", "high/1.wav"):
        (two_classes / name).write_bytes(b"words")

    def split_of(run: str, *flags: object) -> dict[str, str]:
        # Two workers, since what they leave out is noted in other processes.
        train("--dataset", two_classes, "--num_train_epochs", 2, "--dataloader_num_workers", 2, *flags,
              "--output_dir", tmp_path / run)  # fmt: skip
        with (tmp_path / run / "left_out.csv").open() as file:
            assert {row["file_name"] for row in csv.DictReader(file)} == {"high/0.wav", "high/1.wav"}
        assert not list((tmp_path / run).glob(".*"))
        with (tmp_path / run / "split.csv").open() as file:
            return {row["file_name"]: row["split"] for row in csv.DictReader(file)}

    cached, streamed = split_of("cached"), split_of("streamed", "--streaming")
    for split in (cached, streamed):
        assert Counter(split.values())["left_out"] == 2
    assert split_of("again", "--streaming", "--split", tmp_path / "cached" / "split.csv") == cached
    assert split_of("back", "--split", tmp_path / "streamed" / "split.csv") == streamed
    assert split_of("stay", "--streaming", "--split", tmp_path / "streamed" / "split.csv") == streamed


def test_a_table_is_read_as_it_passes_by(train, capsys, two_classes, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.1)  # otherwise 5 seconds a pass
    features = datasets.Features({"audio": STORED_AUDIO, "label": datasets.ClassLabel(names=["high", "low"])})
    for part, chosen in (("train", "012"), ("test", "3")):
        paths = sorted(path for path in two_classes.rglob("*.wav") if path.stem in chosen)
        audio = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
        table = datasets.Dataset.from_dict({"audio": audio, "label": [p.parent.name for p in paths]}, features)
        table = table.cast_column("audio", datasets.Audio(decode=False))
        table.to_parquet(str(tmp_path / "table" / f"{part}.parquet"))
    flags = ("--dataset", tmp_path / "table", "--streaming", "--output_dir", tmp_path / "run")
    with pytest.raises(SystemExit) as ending:
        train(*flags)
    assert ending.value.code == 2
    assert "--streaming of a table needs --max_steps" in capsys.readouterr().err
    train(*flags, "--max_steps", 3, "--per_device_train_batch_size", 4, "--dataloader_num_workers", 1)
    output = capsys.readouterr().out
    assert "on 2 held-out recordings (trained on a stream in" in output
    assert "the given part test" in (tmp_path / "run" / "README.md").read_text()
