"""Write a report of a data set before training on it: its classes, its sound, what is odd, and what leaks.

The report is one HTML file to look at, and a JSON file of the same name with everything.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from hfaudio.command_line import exit_on, run_script

# isort: split
from hfaudio.data import DataError, DatasetReport, describe_dataset, make_example, typical_recordings, write_report
from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.training import OutputFolderError, SourceArguments, check_report_place, staged_folder

SAMPLING_RATE = 16_000  # Hz; that of training, so that both use the same cache
EXAMPLES_AT_MOST = 24
BUILT_IN_NAME = "the built-in synthetic sounds"


@dataclass
class ReportArguments:
    """Where to write."""

    output: str = field(default="report.html", metadata={"help": "The page; beside it a .json of the same name."})

    def __post_init__(self) -> None:
        if Path(self.output).suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"--output must end in .html, found {self.output!r}.")
        if Path(self.output).is_dir():
            raise ValueError(f"--output must be a file, found the folder {self.output}.")


def make_parser() -> CommandLineParser:
    """The flags."""
    return CommandLineParser(
        (SourceArguments, ReportArguments),
        unnamed="dataset",
        prog="inspect_dataset.py",
        description=__doc__,
    )


def main(argv: list[str]) -> None:
    """Makes one report, from flags to both files."""
    source, arguments = make_parser().parse(argv)
    output = Path(arguments.output)
    with exit_on(DataError, OutputFolderError):
        check_report_place(output)
        audio = source.load(SAMPLING_RATE)
    report = describe_dataset(audio, " and ".join(map(short_name, source.dataset)) or BUILT_IN_NAME)
    examples = [make_example(audio, *typical) for typical in typical_recordings(audio, EXAMPLES_AT_MOST)]
    with exit_on(OSError), staged_folder(output.parent) as folder:
        write_report(report, examples, training_command(source, report), folder / output.name)
    print(f"report: {output} and {output.with_suffix('.json').name}; {report.headline}")


def short_name(source: str) -> str:
    """The name of a folder or file, or a Hub id as it is."""
    path = Path(source)
    return path.resolve().name if path.exists() else source


def training_command(source: SourceArguments, report: DatasetReport) -> list[str]:
    """The arguments to type to train on these recordings, with the suggested flags."""
    suggested = [flag for suggestion in report.suggestions for flag in suggestion.flags]
    command = ["accelerate", "launch", "scripts/train.py"]
    for argument in dataclasses.fields(source):
        value = getattr(source, argument.name)
        if argument.name == "fold_column" and "--num_folds" in suggested:
            continue  # folds that are made anew take the place of given ones
        if argument.name != "preparation_processes" and value not in (argument.default, []):
            command += [f"--{argument.name}", *(value if isinstance(value, list) else [str(value)])]
    return [*command, *suggested]


if __name__ == "__main__":
    run_script(main, "run it again: what is prepared is kept")
