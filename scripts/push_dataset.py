"""Push a data set to the Hub as Parquet, from any source, and prove that it came back as it was.

Every recording goes there as it is encoded, with its class, fold and group; those that nothing can be learned from
stay here. It is one commit with a card, which is read back and compared; then `scripts/train.py --dataset owner/name`
trains from it. The token is the one of `hf auth login` or of HF_TOKEN.
"""

from dataclasses import dataclass, field

from hfaudio.command_line import exit_on, run_script

# isort: split
from hfaudio.data import DataError, prepare_listing
from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.hub import HubTarget, ProofError, PushError, open_repository, push_dataset
from hfaudio.training import SourceArguments

SAMPLING_RATE = 16_000  # Hz; that of training, so that both use the same cache
PROOF_FAILED = 1


@dataclass
class PushedSourceArguments(SourceArguments):
    """Which recordings to push."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trim_silence != "none":
            raise ValueError(f"--trim_silence must be none, found {self.trim_silence}: recordings go as they are.")


@dataclass
class PushArguments:
    """Where they go."""

    _argument_group_name = "hub"

    repo_id: str | None = field(default=None, metadata={"help": "owner/name, or a name in your own namespace."})
    private: bool = field(default=False, metadata={"help": "Make a new repository private."})
    revision: str | None = field(default=None, metadata={"help": "A branch, made if it is not there [main]."})
    create_pr: bool = field(default=False, metadata={"help": "Open a pull request, and leave the main branch alone."})
    tag: str | None = field(default=None, metadata={"help": "A name for the revision, given once it is proved."})
    license: str | None = field(default=None, metadata={"help": "An identifier of the Hub, such as cc-by-4.0."})

    def __post_init__(self) -> None:
        if self.repo_id is None:
            raise ValueError("Expected a --repo_id such as owner/name, found none.")


def make_parser() -> CommandLineParser:
    """The flags."""
    return CommandLineParser(
        (PushedSourceArguments, PushArguments), unnamed="dataset", prog="push_dataset.py", description=__doc__
    )


def main(argv: list[str]) -> None:
    """Pushes, from flags to the proof."""
    source, flags = make_parser().parse(argv)
    with exit_on(DataError, PushError), exit_on(ProofError, code=PROOF_FAILED):
        target = HubTarget(
            flags.repo_id, flags.private or None, flags.revision, flags.create_pr, flags.tag, repo_type="dataset"
        )
        listing = source.listing()
        target = open_repository(target)  # before minutes of decoding
        audio = prepare_listing(listing, source.settings(SAMPLING_RATE), source.preparation_processes)
        audio.report(source.on_bad)
        print(push_dataset(listing, audio, target, flags.license).describe())


if __name__ == "__main__":
    run_script(main, "run it again: what is prepared is kept")
