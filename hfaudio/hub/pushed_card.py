"""What a model's card says in the repository that it is pushed to, where the training could not know it."""

import re

from hfaudio.hub.markdown import python_text, shell_text

__all__ = ["pushed_card"]

NAMED_IN_CODE = re.compile(
    r"""(pipeline\("audio-classification",\ model=|Predictor\.from_pretrained\()   # in Python
        ("(?:[^"\\\n]|\\.)*")""",
    re.VERBOSE,
)
NAMED_IN_SHELL = re.compile(
    r"""^(python\ scripts/(?:export_onnx|predict)\.py\ --model\ )
        .*?
        (\ recordings/\ --output\ predictions\.csv|)$""",
    re.MULTILINE | re.VERBOSE,
)
STANDS_FOR = re.compile(
    r"^Here .* stands for the path of this folder, or for the `owner/name` of this repository\.\n", re.MULTILINE
)
PLAYED = re.compile(r"; `eval/top_losses\.html` plays the worst(?=\.$)", re.MULTILINE)
WITH_RECORDINGS = "; `eval/top_losses.html` plays the worst, and holds these recordings"
WITHOUT_RECORDINGS = "; the recordings themselves are not in this repository"


def pushed_card(card: str, repo_id: str, recordings: bool) -> str:
    """The card with the repository's id in its examples, and without a page that is not pushed.

    Only lines of the template are changed, and those as it wrote them: what its owner wrote stays.

    Args:
        card: The text of `README.md`.
        repo_id: `owner/name`.
        recordings: Whether the page of the highest losses, which plays held-out recordings, is pushed too.
    """
    card = NAMED_IN_CODE.sub(lambda found: f"{found[1]}{python_text(repo_id)}", card)
    card = NAMED_IN_SHELL.sub(lambda found: f"{found[1]}{shell_text(repo_id)}{found[2]}", card)
    card = STANDS_FOR.sub("", card)
    return PLAYED.sub(WITH_RECORDINGS if recordings else WITHOUT_RECORDINGS, card)
