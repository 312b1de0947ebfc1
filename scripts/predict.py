"""Predict recordings: files, folders, patterns and lists of them, of any format and length.

One row a recording goes to the terminal, or to --output as .csv, .json, .jsonl, .parquet or .txt (labels for
Audacity). A recording that cannot be read, or is wholly silent, is a row with its error, and the exit code is then 3.
A run that was interrupted goes on where it stopped. Under accelerate launch or torchrun the recordings are shared out
among the processes.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from hfaudio.command_line import FlagParser, exit_on, printable, run_script, show_messages

# isort: split
from tqdm import tqdm

from hfaudio.audio import AUDIO_EXTENSIONS
from hfaudio.inference import BACKENDS, POOLINGS, ClassifierSettings, ModelError, Predictor
from hfaudio.inference.audio_files import FileListError, find_audio, read_file_list
from hfaudio.inference.bulk_prediction import RowSettings, predict_into, predicted_rows
from hfaudio.inference.model_folder import find_model, hash_model
from hfaudio.inference.prediction_journal import JournalError
from hfaudio.inference.prediction_table import FORMATS, SILENT_RECORDING, Row, is_failure
from hfaudio.regular_files import only_regular

SOME_UNREADABLE = 3
MOST_NAMED = 5  # silent recordings
REFERENCE_MODEL = Path(__file__).resolve().parents[1] / "model_card" / "esc10"


def make_parser() -> FlagParser:
    """The flags."""
    parser = FlagParser(unnamed="paths", prog="predict.py", description=__doc__)
    add = parser.add_argument
    add("--paths", nargs="+", default=[], help="Files, folders (at any depth) and patterns such as 'sounds/**/*.wav'.")
    add(
        "--files_from",
        help="One path a line, or a .csv or .tsv with a column file_name; - for stdin.",
    )
    add(
        "--model",
        default=os.environ.get("HFAUDIO_MODEL", str(REFERENCE_MODEL)),
        help="A folder, or owner/name[@revision] on the Hub [the ten classes of model_card/esc10; HFAUDIO_MODEL names "
        "another default].",
    )
    add("--output", help="Where the table goes: a new .csv, .json, .jsonl, .parquet or .txt [the terminal].")
    add("--overwrite", action="store_true", help="Replace an --output that is there, whatever it is.")
    add("--top_k", type=int, default=1, help="Classes that are named for each row.")
    add("--threshold", type=float, default=0.0, help="Classes that are less probable are left out.")
    add(
        "--unknown_threshold",
        type=float,
        help="What is less probable is called unknown; 0 calls nothing so [as the model has it].",
    )
    add("--windows", action="store_true", help="One row a window, with its start and end in seconds.")
    add("--timeline", action="store_true", help="One row an event: windows that hold a class are joined.")
    add("--window_seconds", type=float, help="Length of a window [with --windows a training crop, else max_seconds].")
    add("--hop_seconds", type=float, help="Step from window to window [half a window].")
    add("--pooling", choices=POOLINGS, default="mean", help="What the probabilities of windows become.")
    add(
        "--backend", choices=BACKENDS, default="auto", help="What runs the model: auto prefers ONNX where it is there."
    )
    add("--device", help="For torch, such as cuda:0 [a GPU if there is one].")
    add("--batch_size", type=int, default=32, help="Training crops, or as much of what is longer, scored at once.")
    add("--threads", type=int, help="Threads that read recordings [one a core].")
    return parser


def main(argv: list[str]) -> int:
    """Predicts, from flags to the table."""
    parser = make_parser()
    show_messages()
    flags = parser.parse_args(parser.flags(argv))
    with exit_on(ModelError, FileListError, JournalError, ValueError):
        settings = RowSettings(flags.top_k, flags.threshold, flags.windows, flags.timeline)
        check(flags)
        folder = find_model(flags.model)
        if flags.window_seconds is None and (flags.windows or flags.timeline):
            flags.window_seconds = ClassifierSettings.read(folder).crop_seconds
        predictor = Predictor.from_pretrained(
            folder,
            backend=flags.backend,
            device=flags.device,
            batch_size=flags.batch_size,
            window_seconds=flags.window_seconds,
            hop_seconds=flags.hop_seconds,
            pooling=flags.pooling,
            threads=flags.threads,
            unknown_threshold=flags.unknown_threshold,
        )
        if flags.output is None:
            failed = to_terminal(predictor, flags, settings)
        else:
            failed = to_file(predictor, folder, flags, settings)
    return SOME_UNREADABLE if failed else 0


def check(flags: argparse.Namespace) -> None:
    """Refuses flags that cannot be followed.

    Raises:
        ValueError: Which, and what to do.
    """
    if not flags.paths and flags.files_from is None:
        raise ValueError("Expected files, folders or patterns, found none; name some, or give --files_from.")
    if flags.output is not None:
        output = Path(flags.output)
        if output.suffix.lower() not in FORMATS:
            raise ValueError(f"--output must end in one of {', '.join(FORMATS)}, found {flags.output}.")
        if not output.parent.is_dir():
            raise ValueError(f"Expected the folder {output.parent} for --output, found none; make it first.")
        if output.is_dir():
            raise ValueError(f"--output must be a file, found the folder {output}.")
        own = [path for path in (*flags.paths, flags.files_from) if path is not None and _same(output, path)]
        if own:
            raise ValueError(f"--output must be another file than {own[0]}, which is read; give another.")
    if flags.files_from is not None and Path(flags.files_from).suffix.lower() in AUDIO_EXTENSIONS:
        raise ValueError(
            f"--files_from must be a list of files, found {flags.files_from}; name recordings without it."
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and (flags.output is None or flags.files_from == "-"):
        raise ValueError("Several processes need an --output, and cannot share --files_from -: change the flags.")


def _same(output: Path, path: str) -> bool:
    return output.exists() and os.path.exists(path) and output.samefile(path)


def files_of(flags: argparse.Namespace) -> Iterator[str]:
    """All recordings that the flags name, in order."""
    yield from find_audio(flags.paths)
    if flags.files_from == "-":
        yield from read_file_list(sys.stdin, "standard input", Path())
    elif flags.files_from is not None:
        path = Path(flags.files_from)
        try:
            with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape", opener=only_regular) as lines:
                yield from read_file_list(lines, path.name, path.parent)
        except OSError as error:
            raise FileListError(f"Expected a list of files at {path}, found none ({error.strerror}).") from error


def to_terminal(predictor: Predictor, flags: argparse.Namespace, settings: RowSettings) -> int:
    """Prints the rows as they come, and returns how many recordings have no answer."""
    failed = 0
    print("\t".join(settings.columns), flush=True)
    for _, rows in predicted_rows(predictor, files_of(flags), settings):
        for row in rows:
            failed += is_failure(row)
            print("\t".join("" if value is None else printable(str(value)) for value in row.values()), flush=True)
    return failed


def to_file(predictor: Predictor, model: Path, flags: argparse.Namespace, settings: RowSettings) -> int:
    """Writes the table, with a progress bar, and returns how many recordings have no answer."""
    process, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    decisive = ("window_seconds", "hop_seconds", "pooling", "backend", "unknown_threshold")
    run = {"model": f"{predictor.backend} {hash_model(model)}"} | {name: getattr(flags, name) for name in decisive}
    output = Path(flags.output)
    silent: list[str] = []
    with tqdm(desc="Predicting", unit=" recordings", disable=process > 0 or None) as progress:

        def count(rows: list[Row]) -> None:
            progress.update(processes)
            silent.extend(str(row["file"]) for row in rows if row["error"] == SILENT_RECORDING)

        failed = predict_into(
            output,
            predictor,
            lambda: files_of(flags),
            settings,
            run,
            process=process,
            processes=processes,
            on_file=count,
            overwrite=flags.overwrite,
        )
    if process == 0:
        told = f" ({failed} recordings could not be read{' or are silent' if silent else ''})" if failed else ""
        print(f"predictions: {printable(str(output))}{told}")
        if silent:
            more = f" and {len(silent) - MOST_NAMED} more" if len(silent) > MOST_NAMED else ""
            print(f"wholly silent: {printable(', '.join(silent[:MOST_NAMED]))}{more}")
    return failed


if __name__ == "__main__":
    run_script(main, "run it again, and a table for --output goes on where it stopped")
