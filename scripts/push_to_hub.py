"""Push a saved model to the Hub, and prove that it works there.

Weights, configuration, code, card, tables, pictures and graphs go in one commit, by the names under which training and
export write them; other files and links stay, and are listed. What an earlier push left there and this one does not
write is removed. The tables name the recordings; their sounds go with --push_recordings alone. Then a process that has
not got hfaudio pulls the commit, and its scores have to be those of the local model. With --space a page follows, on
which anyone can try that revision. The token is the one of `hf auth login` or of HF_TOKEN.
"""

from dataclasses import dataclass, field

from hfaudio.command_line import exit_on, run_script

# isort: split
from hfaudio.dataclass_parser import CommandLineParser
from hfaudio.hub import HubTarget, ProofError, PushError, find_examples, push_model, push_space

PROOF_FAILED = 1


@dataclass
class PushArguments:
    """What goes where."""

    model: str = field(default="runs/latest", metadata={"help": "The folder of a saved model."})
    repo_id: str | None = field(default=None, metadata={"help": "owner/name, or a name in your own namespace."})
    private: bool = field(default=False, metadata={"help": "Make a new repository private."})
    revision: str | None = field(default=None, metadata={"help": "A branch, made if it is not there [main]."})
    create_pr: bool = field(default=False, metadata={"help": "Open a pull request, and leave the main branch alone."})
    tag: str | None = field(default=None, metadata={"help": "A name for the revision, given once it is proved."})
    push_recordings: bool = field(
        default=False,
        metadata={
            "help": "Push the page that plays the highest losses too: it makes a dozen held-out recordings public."
        },
    )
    space: str | None = field(
        default=None,
        metadata={
            "nargs": "?",
            "const": "",
            "help": "Push a page to try the model too: owner/name, or nothing for the model's with -space.",
        },
    )
    space_examples: str | None = field(
        default=None, metadata={"help": "A folder of recordings to try on the page [built-in sounds]."}
    )

    def __post_init__(self) -> None:
        if self.repo_id is None:
            raise ValueError("Expected a --repo_id such as owner/name, found none.")
        if self.space_examples is not None and self.space is None:
            raise ValueError("Expected --space beside --space_examples, found none.")


def make_parser() -> CommandLineParser:
    """The flags."""
    return CommandLineParser((PushArguments,), unnamed="model", prog="push_to_hub.py", description=__doc__)


def main(argv: list[str]) -> None:
    """Pushes, from flags to the proof."""
    (flags,) = make_parser().parse(argv)
    with exit_on(PushError), exit_on(ProofError, code=PROOF_FAILED):
        target = HubTarget(flags.repo_id, flags.private or None, flags.revision, flags.create_pr, flags.tag)
        examples = find_examples(flags.space_examples) if flags.space_examples is not None else []
        pushed = push_model(flags.model, target, flags.push_recordings)
        print(pushed.describe())
        if flags.space is not None:
            space = push_space(pushed, flags.model, flags.space or None, examples, target.private)
            print(f"\n{space.describe()}")


if __name__ == "__main__":
    run_script(main, "run it again")
