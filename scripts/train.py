"""Train an audio classifier, evaluate it, and leave a folder that transformers' pipeline loads.

Without flags it trains on the built-in synthetic sounds, to show the way in a few minutes.
"""

from pathlib import Path

from hfaudio.command_line import exit_on, run_script

# isort: split
import transformers
from transformers.trainer_utils import HubStrategy

import hfaudio  # noqa: F401  makes the pipeline below know the model
from hfaudio.data import AudioCrops, DataError
from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.evaluation import describe_metrics
from hfaudio.hub import (
    HubTarget,
    ProofError,
    PushError,
    UnfinishedPush,
    open_repository,
    push_model,
    shown_command,
    write_model_card,
)
from hfaudio.model import SpectrogramCNNPipeline
from hfaudio.training import (
    RARELY_USED,
    CheckpointError,
    DivergedError,
    FlagError,
    OutputFolderError,
    RunArguments,
    TrainedClassifier,
    claimed_folder,
    remove_checkpoints,
    search_learning_rate,
    staged_folder,
    staged_model,
    train_classifier,
)

PROOF_FAILED = 1


def make_parser() -> CommandLineParser:
    """The flags."""
    return CommandLineParser(
        RunArguments.parts(),
        rarely_used=RARELY_USED,
        unnamed="dataset",
        prog="train.py",
        description=__doc__,
        epilog="Every flag of transformers.TrainingArguments works too; --help_all shows them.",
    )


def main(argv: list[str]) -> None:
    """Runs one training, from flags to the finished folder."""
    parser = make_parser()
    run = RunArguments.from_flags(parser, argv)
    output_dir = Path(run.training.output_dir)
    is_first = run.training.process_index == 0
    with (
        exit_on(DataError, CheckpointError, DivergedError, FileExistsError, FlagError, OutputFolderError, PushError),
        claimed_folder(output_dir, run.data.dataset, is_first),
    ):
        if run.training.find_lr:
            find_learning_rate(run)
            return
        target = hub_target(run)
        unfinished = UnfinishedPush(target) if target and run.training.hub_strategy != HubStrategy.END else None
        trained = train_classifier(run, unfinished.push if unfinished else None)
        if not is_first:
            return
        with staged_model(output_dir) as folder:
            trained.save(folder)
            name = target.repo_id if target is not None else output_dir.resolve().name
            command = shown_command("scripts/train.py", parser.flags(argv), run.training.world_size)
            write_model_card(folder, run, trained, name, command)
        remove_checkpoints(output_dir)
    report(trained, output_dir)
    if unfinished is not None:
        unfinished.wait()
    if target is not None:
        with exit_on(PushError), exit_on(ProofError, code=PROOF_FAILED):
            print(push_model(output_dir, target, run.training.push_recordings).describe())


def hub_target(run: RunArguments) -> HubTarget | None:
    """Where --push_to_hub sends the model; its repository is opened before anything is trained."""
    training = run.training
    if not training.push_to_hub or training.process_index > 0:
        return None
    target = HubTarget(
        training.hub_model_id or Path(training.output_dir).resolve().name,
        training.hub_private_repo,
        training.hub_revision,
        token=training.hub_token,
    )
    return open_repository(target)


def find_learning_rate(run: RunArguments) -> None:
    """Searches for a learning rate, draws the search, and prints what it suggests, if anything."""
    search = search_learning_rate(run)
    if run.training.process_index > 0:
        return
    with staged_folder(run.training.output_dir) as folder:
        search.plot().savefig(folder / "find_lr.png", dpi=120)
    drawn = f"({run.training.output_dir}/find_lr.png)"
    if search.suggestion is None:
        print(
            f"no suggestion: between the rates {search.rates[0]:.2g} and {search.rates[-1]:.2g} the loss does not "
            f"fall by more than its noise; keep --learning_rate {run.training.learning_rate:g}, look for a mistake in "
            f"labels, features or loss, or give larger batches {drawn}"
        )
    else:
        print(f"suggestion: --learning_rate {search.suggestion:.2g} {drawn}")


def report(trained: TrainedClassifier, output_dir: Path) -> None:
    """Prints the metrics, where the model lies, and what the pipeline makes of one held-out recording."""
    metrics = trained.metrics
    left_out = f", {len(trained.left_out)} left out" if trained.left_out else ""
    measured = ", ".join(f"{name} {value}" for name, value in describe_metrics(metrics).items())
    print(
        f"{measured} on {metrics['eval_recordings']} held-out recordings "
        f"(trained on {metrics.get('train_recordings', 'a stream')} in {metrics['train_runtime']:.0f} s{left_out})"
    )
    if metrics["temperature"] != 1.0:
        print(
            f"expected calibration error {metrics['eval_ece']:.1%} with a temperature of "
            f"{metrics['temperature']:.3f}, {metrics['eval_ece_before']:.1%} without"
        )
    elif metrics["temperature_refused"] is not None:
        print(
            f"expected calibration error {metrics['eval_ece']:.1%}; no temperature was kept: "
            f"{metrics['temperature_refused']}"
        )
    print(f"model: {output_dir} ({metrics['parameters']:,} parameters)")
    classify = transformers.pipeline(
        "audio-classification", model=str(output_dir), pipeline_class=SpectrogramCNNPipeline, device="cpu"
    )
    waveform = AudioCrops(trained.held_out)[0]["waveform"]
    answer = classify({"array": waveform, "sampling_rate": trained.feature_extractor.sampling_rate}, top_k=1)
    found = f"{answer[0]['label']} ({answer[0]['score']:.0%})" if answer else "silent"
    first = trained.predictions[0]
    label = first["label"] or "nothing"
    print(f"prediction: {first['file_name']} is {found}, labelled {label}")


if __name__ == "__main__":
    run_script(main, "run it again; with --resume_from_checkpoint true it goes on at the last checkpoint")
