"""Hold out every fold once, and report what all folds together say.

Takes the flags of train.py. --fold_column names given folds, --num_folds makes some; --eval_folds runs some of them
alone. With --final_model a model is then trained on all recordings, for the Hub: the folds say what it is worth. A run
that was interrupted goes on where it stopped.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfaudio.command_line import exit_on, run_script

# isort: split
from hfaudio.data import DataError
from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.evaluation import HEADLINES
from hfaudio.hub import shown_command, write_model_card
from hfaudio.training import (
    FINAL_FOLDER,
    RARELY_USED,
    CheckpointError,
    CrossValidation,
    DivergedError,
    FlagError,
    OutputFolderError,
    RunArguments,
    claimed_folder,
    cross_validate,
    remove_checkpoints,
    staged_folder,
    staged_model,
    train_on_all,
    write_summary_page,
)

HOW_TO_GO_ON = "run it again, and it goes on where it stopped"


@dataclass
class FinalModelArguments:
    """What is trained when the folds are."""

    _argument_group_name = "cross-validation"

    final_model: bool = field(
        default=False,
        metadata={
            "help": f"Train a model on all recordings too, and leave it in {FINAL_FOLDER} in the --output_dir, with "
            "the scores of the folds and a temperature fitted to them."
        },
    )


@dataclass(frozen=True)
class CrossValidationArguments(RunArguments):
    """The settings of a run, and whether a final model is wanted."""

    final: FinalModelArguments

    @classmethod
    def parts(cls) -> list[Any]:
        """See `RunArguments.parts`."""
        return [*super().parts(), FinalModelArguments]


def make_parser() -> CommandLineParser:
    """The flags."""
    return CommandLineParser(
        CrossValidationArguments.parts(),
        rarely_used=RARELY_USED,
        unnamed="dataset",
        prog="cross_validate.py",
        description=__doc__,
        epilog="Every flag of transformers.TrainingArguments works too; --help_all shows them.",
    )


def main(argv: list[str]) -> None:
    """Runs all folds, from flags to the summary, and what follows them."""
    parser = make_parser()
    run = CrossValidationArguments.from_flags(parser, argv)
    is_first = run.training.process_index == 0
    with (
        exit_on(DataError, CheckpointError, DivergedError, FileExistsError, FlagError, OutputFolderError),
        claimed_folder(run.training.output_dir, run.data.dataset, is_first, HOW_TO_GO_ON),
    ):
        result = cross_validate(run, run.final.final_model)
        if is_first:
            leave_summary(result, Path(run.training.output_dir))
        if run.final.final_model:
            command = shown_command("scripts/cross_validate.py", parser.flags(argv), run.training.world_size)
            leave_final_model(run, result, command)


def leave_summary(result: CrossValidation, output_dir: Path) -> None:
    """Writes what all folds say, and prints it."""
    with staged_folder(output_dir) as folder:
        result.save(folder)
        write_summary_page(result, folder)
    report(result, output_dir)


def leave_final_model(run: RunArguments, result: CrossValidation, command: str) -> None:
    """Trains on all recordings and writes the model with its card, unless that is done."""
    output_dir = Path(run.training.output_dir)
    final_dir = output_dir / FINAL_FOLDER
    if not (final_dir / "config.json").is_file():
        trained = train_on_all(run, result)
        if run.training.process_index > 0:
            return
        with staged_model(final_dir) as folder:
            trained.save(folder)
            write_model_card(folder, run, trained, output_dir.resolve().name, command)
        remove_checkpoints(final_dir)
    if run.training.process_index == 0:
        print(f"model: {final_dir}, trained on all {sum(len(fold.file_names) for fold in result.folds)} recordings")


def report(result: CrossValidation, output_dir: Path) -> None:
    """Prints mean and deviation of each metric, and where the rest lies."""
    summary = result.summary()
    for name, scores in summary["metrics"].items():
        words, form = HEADLINES[name]
        spread = "" if scores["std"] is None else f" ± {form.format(scores['std'])}"
        of_folds = ", ".join(f"{fold}: {form.format(score)}" for fold, score in scores["folds"].items())
        print(f"{words} {form.format(scores['mean'])}{spread} over {len(result.folds)} folds ({of_folds})")
    if summary["temperature_refused"] is not None:
        print(
            f"expected calibration error {summary['ece_before']:.1%}; no temperature was kept: "
            f"{summary['temperature_refused']}"
        )
    else:
        print(
            f"expected calibration error {summary['ece_before']:.1%}, {summary['ece']:.1%} with a temperature "
            f"({summary['temperature']:.3f}; scripts/calibrate.py puts it into a model)"
        )
    seconds = sum(summary["train_seconds"].values())
    print(f"{summary['recordings']} recordings held out once each; trained for {seconds:.0f} s in all")
    print(f"summary: {output_dir / 'index.html'}")


if __name__ == "__main__":
    run_script(main, HOW_TO_GO_ON)
