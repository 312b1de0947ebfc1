"""Hold out every fold once, and report what all folds together say.

Takes the flags of train.py. --fold_column names given folds, --num_folds makes some; --eval_folds runs some of them
alone. A run that was interrupted goes on where it stopped.
"""

import sys
from pathlib import Path

from hfaudio.command_line import exit_on
from hfaudio.data import DataError
from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.evaluation import HEADLINES
from hfaudio.training import (
    RARELY_USED,
    CheckpointError,
    CrossValidation,
    DivergedError,
    RunArguments,
    cross_validate,
    staged_folder,
    write_summary_page,
)


def main(argv: list[str]) -> None:
    """Runs all folds, from flags to the summary."""
    parser = CommandLineParser(
        RunArguments.parts(),
        rarely_used=RARELY_USED,
        prog="cross_validate.py",
        description=__doc__,
        epilog="Every flag of transformers.TrainingArguments works too; --help_all shows them.",
    )
    run = RunArguments.from_flags(parser, argv)
    with exit_on(DataError, CheckpointError, DivergedError, FileExistsError):
        result = cross_validate(run)
    if run.training.process_index > 0:
        return
    output_dir = Path(run.training.output_dir)
    with staged_folder(output_dir) as folder:
        result.save(folder)
        write_summary_page(result, folder)
    report(result, output_dir)


def report(result: CrossValidation, output_dir: Path) -> None:
    """Prints mean and deviation of each metric, and where the rest lies."""
    summary = result.summary()
    for name, scores in summary["metrics"].items():
        words, form = HEADLINES[name]
        spread = "" if scores["std"] is None else f" ± {form.format(scores['std'])}"
        of_folds = ", ".join(f"{fold}: {form.format(score)}" for fold, score in scores["folds"].items())
        print(f"{words} {form.format(scores['mean'])}{spread} over {len(result.folds)} folds ({of_folds})")
    if summary["ece"] is not None:
        print(
            f"expected calibration error {summary['ece_before']:.1%}, {summary['ece']:.1%} with a temperature "
            f"({summary['temperature']:.3f}; scripts/calibrate.py puts it into a model)"
        )
    seconds = sum(summary["train_seconds"].values())
    print(f"{summary['recordings']} recordings held out once each; trained for {seconds:.0f} s in all")
    print(f"summary: {output_dir / 'index.html'}")


if __name__ == "__main__":
    main(sys.argv[1:])
