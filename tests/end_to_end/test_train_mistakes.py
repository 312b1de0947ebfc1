"""Bad input to scripts/train.py: one sentence (expected, found, what to do) on stderr, and exit code 2."""

import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile


def fails(train, capsys, *flags: object) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ending:
        train("--preparation_processes", 1, *flags)
    assert ending.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def metadata(folder: Path, text: str) -> Path:
    (folder / "metadata.csv").write_text(text)
    return folder


def test_an_empty_folder(train, capsys, tmp_path) -> None:
    assert "found neither; audio files end in" in fails(train, capsys, "--dataset", tmp_path)


def test_a_folder_with_one_class(train, capsys, write_tone, tmp_path) -> None:
    write_tone("s/only/a.wav")
    error = fails(train, capsys, "--dataset", tmp_path / "s")
    assert "of at least two classes, found only only; add another class, or give the folder" in error


def test_a_missing_column(train, capsys, two_classes) -> None:
    folder = metadata(two_classes, "file_name,kind\nhigh/0.wav,x\n")
    assert "found file_name, kind; name yours with --label_column." in fails(train, capsys, "--dataset", folder)


def test_a_missing_file(train, capsys, two_classes) -> None:
    folder = metadata(two_classes, "file_name,label\nhigh/0.wav,x\nlow/0.wav,z\nhigh/9.wav,y\n")
    error = fails(train, capsys, "--dataset", folder)
    assert "found none of y: high/9.wav no such file (line 4 of metadata.csv); replace the files or remove" in error


def test_an_empty_label(train, capsys, two_classes) -> None:
    folder = metadata(two_classes, "file_name,label\nhigh/0.wav,\n")
    assert "found none in line 2 (high/0.wav); fill it in or" in fails(train, capsys, "--dataset", folder)


def write_nan(path: Path) -> None:
    soundfile.write(path, np.full(100, np.nan), 16_000, subtype="FLOAT")


BAD_RECORDINGS = {
    "zero bytes": (lambda path: path.write_bytes(b""), "the file is empty (0 bytes)"),
    "text": (lambda path: path.write_text("words"), "not readable as audio"),
    "no samples": (lambda path: soundfile.write(path, np.zeros(0), 16_000), "holds no samples"),
    "nan": (write_nan, "holds NaN or infinite samples"),
}


@pytest.mark.parametrize("kind", BAD_RECORDINGS)
def test_a_class_of_bad_recordings(train, capsys, two_classes, kind: str) -> None:
    write, reason = BAD_RECORDINGS[kind]
    for path in (two_classes / "low").iterdir():
        write(path)
    error = fails(train, capsys, "--dataset", two_classes)
    assert f"found none of low: low/0.wav {reason}" in error


@pytest.mark.parametrize("kind", BAD_RECORDINGS)
def test_a_bad_recording_among_good_ones_is_named_left_out_and_counted(
    train, capsys, caplog, two_classes, tmp_path, kind: str
) -> None:
    write, reason = BAD_RECORDINGS[kind]
    write(two_classes / "low" / "1.wav")
    train("--dataset", two_classes, "--max_steps", 1, "--output_dir", tmp_path / "run")
    assert f"Left out 1 of 8 recordings: low/1.wav ({reason}" in caplog.text
    assert "1 left out" in capsys.readouterr().out
    rows = (tmp_path / "run" / "left_out.csv").read_text().splitlines()
    assert len(rows) == 2
    assert rows[1].startswith(f"low/1.wav,{reason}")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--n_mels", 0), "n_mels must be an integer from 1 to 513 (the bins of n_fft), found 0."),
        (("--test_size", 0.9), "--test_size must be above 0 and at most 0.5, found 0.9."),
        (("--loss", "focal", "--focal_gamma", -1), "--focal_gamma must be a number of at least 0, found -1.0."),
        (("--num_train_epochs", "many"), "invalid float value: 'many'; see --help."),
        (("--lr", 1), "unknown flag --lr; see --help."),
        (("--dataset", "nowhere"), "(owner/name) at nowhere, found nothing; check --dataset."),
    ],
)
def test_flags_out_of_range(train, capsys, flags, sentence: str) -> None:
    assert sentence in fails(train, capsys, *flags)


def test_a_split_of_other_recordings(train, capsys, two_classes, tmp_path) -> None:
    (tmp_path / "split.csv").write_text("file_name,split\nhigh/0.wav,test\n")
    error = fails(train, capsys, "--dataset", two_classes, "--split", tmp_path / "split.csv")
    assert "found 7 missing from the table and 0 missing from the data set, the first high/1.wav; make" in error
    assert "found none ([Errno 2]" in fails(train, capsys, "--dataset", two_classes, "--split", "nowhere.csv")


def test_copies_in_two_folds(train, capsys, two_classes) -> None:
    shutil.copy(two_classes / "low" / "0.wav", two_classes / "low" / "3.wav")
    lines = [f"{name}/{index}.wav,{name},{index % 2}" for name in ("high", "low") for index in range(4)]
    folder = metadata(two_classes, "\n".join(["file_name,label,fold", *lines]))
    error = fails(train, capsys, "--dataset", folder, "--eval_folds", 1)
    assert "found 1 on both sides: low/0.wav and low/3.wav; remove the copies or put them into one fold." in error


def test_given_folds_without_one_to_hold_out(train, capsys, synthetic_folder) -> None:
    error = fails(train, capsys, "--dataset", synthetic_folder, "--fold_column", "fold")
    assert "Expected --eval_folds with --fold_column fold, found none" in error


def test_an_unknown_fold(train, capsys, synthetic_folder) -> None:
    error = fails(train, capsys, "--dataset", synthetic_folder, "--fold_column", "fold", "--eval_folds", "9")
    assert "Expected --eval_folds among 1, 2, 3, 4, 5, found 9." in error


def test_an_output_folder_that_holds_recordings(train, capsys, two_classes, write_tone, tmp_path) -> None:
    write_tone("mine/a/b.wav")
    error = fails(train, capsys, "--dataset", two_classes, "--output_dir", tmp_path / "mine")
    assert "found a/b.wav, which is not of a run, in" in error
    assert "outside the data set" in fails(train, capsys, "--dataset", two_classes, "--output_dir", two_classes / "m")
    assert sorted(path.name for path in two_classes.iterdir()) == ["high", "low"]


def test_nothing_to_resume(train, capsys, tmp_path) -> None:
    error = fails(train, capsys, "--output_dir", tmp_path, "--resume_from_checkpoint")
    assert "Expected a checkpoint to resume from" in error


def test_windows_of_days(train, capsys, two_classes, tmp_path) -> None:
    output = tmp_path / "run"
    error = fails(train, capsys, "--dataset", two_classes, "--eval_window_seconds", 1e6, "--output_dir", output)
    assert "--eval_window_seconds 1e+06 makes windows that no model takes" in error
    assert not (output / "config.json").exists()


def test_too_few_recordings_for_one_cycle(train, capsys, two_classes, tmp_path) -> None:
    flags = ("--dataset", two_classes, "--one_cycle", "--num_train_epochs", 2, "--output_dir", tmp_path / "run")
    assert "One cycle needs at least 3 steps, found 2; train longer" in fails(train, capsys, *flags)


@pytest.mark.parametrize("growing", [("--progressive_crop", 0.25), ("--progressive_resolution", 0.5)])
def test_growing_examples_of_a_streamed_table(train, capsys, two_classes, tmp_path, growing) -> None:
    paths = sorted(two_classes.rglob("*.wav"))
    audio = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    table = datasets.Dataset.from_dict({"audio": audio, "label": [path.parent.name for path in paths]})
    table = table.class_encode_column("label").cast_column("audio", datasets.Audio(decode=False))
    for part, rows in (("train", (0, 1, 4, 5)), ("test", (2, 6))):
        table.select(rows).to_parquet(str(tmp_path / "table" / f"{part}.parquet"))
    flags = ("--dataset", tmp_path / "table", "--streaming", "--max_steps", 1)
    error = fails(train, capsys, *flags, *growing, "--output_dir", tmp_path / "run")
    assert "the examples of a streamed table do not know; leave them or --streaming out." in error
