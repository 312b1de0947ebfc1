"""Calibrate a model that was trained on all recordings, by what a cross-validation of its settings predicted.

A model with a held-out part is calibrated by train.py. One that was trained on every fold has none: it gets the
temperature of the out-of-fold predictions where that is shown to help, and with --false_reject_rate a threshold below
which a recording is called unknown. Both are written to its config.json.
"""

from hfaudio.command_line import FlagParser, exit_on, run_script

# isort: split
from hfaudio.data import DataError
from hfaudio.training import calibrate_saved_model, read_out_of_fold


def make_parser() -> FlagParser:
    """The flags."""
    parser = FlagParser(unnamed="model", prog="calibrate.py", description=__doc__)
    parser.add_argument("--model", default="runs/latest", help="A folder.")
    parser.add_argument("--predictions", required=True, help="The out_of_fold.parquet of cross_validate.py.")
    parser.add_argument(
        "--false_reject_rate",
        type=float,
        help="Share of recordings of the known classes that may be called unknown [nothing is called unknown].",
    )
    return parser


def main(argv: list[str]) -> None:
    """Calibrates, from flags to the configuration."""
    parser = make_parser()
    flags = parser.parse_args(parser.flags(argv))
    with exit_on(DataError):
        predictions = read_out_of_fold(flags.predictions)
        calibration, threshold = calibrate_saved_model(flags.model, predictions, flags.false_reject_rate)
    if calibration.refusal is None:
        print(
            f"temperature {calibration.temperature:.3f}, fitted on {len(predictions.labels)} out-of-fold predictions"
        )
        print(
            f"expected calibration error {calibration.error_before:.1%}, with it {calibration.error_after:.1%} (each "
            "fold by a temperature of the others)"
        )
    else:
        print(f"temperature 1, which changes nothing: {calibration.refusal}")
        print(f"expected calibration error {calibration.error_before:.1%}")
    if threshold is not None:
        print(f"unknown below {threshold:.3f}, for {flags.false_reject_rate:.1%} false rejects")
    print(f"model: {flags.model}; README.md, all_results.json and eval/ tell of the scores as they were")


if __name__ == "__main__":
    run_script(main, "run it again; the model is as it was")
