"""Pushing the page of a model that is on the Hub."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi

from hfaudio.hub.name_list import name_list
from hfaudio.hub.push import PushedModel, hub_sentences
from hfaudio.hub.space_folder import write_space

__all__ = ["PushedSpace", "push_space"]


@dataclass(frozen=True)
class PushedSpace:
    """A page on the Hub.

    Attributes:
        url: Its address.
        needs_token: The model is private: the page needs a token that may read it.
        examples: The names of the recordings that it plays; none if these are built-in sounds.
    """

    url: str
    needs_token: bool
    examples: Sequence[str] = ()

    def describe(self) -> str:
        """Where it is, what it plays, and what it lacks."""
        examples = f"; it plays the recordings {name_list(self.examples)}" if self.examples else ""
        if self.needs_token:
            secret = "the model is private: give the Space a secret HF_TOKEN that may read it"
            return f"page: {self.url}{examples}; {secret}"
        return f"page: {self.url}{examples}"


def push_space(
    model: PushedModel,
    model_folder: str | os.PathLike[str],
    space_id: str | None = None,
    examples: Sequence[Path] = (),
    private: bool | None = None,
    token: str | None = None,
) -> PushedSpace:
    """Pushes a page that uses one revision of a pushed model, in one commit; examples of an earlier page go.

    Args:
        model: What was pushed.
        model_folder: From where.
        space_id: `owner/name`, or a name in the namespace of whose the token is; None is the model's with `-space`.
        examples: Recordings to try; see `write_space`.
        private: Whether only its owner may see it; None leaves that to the Hub.
        token: None takes the one that is logged in.

    Raises:
        PushError: The Hub does not take it.
    """
    api = HfApi(token=token)
    wanted = space_id or f"{model.repo_id}-space"
    again = f"; the model is on the Hub: run the same command again, or take another --space than {wanted}"
    with TemporaryDirectory(prefix="hfaudio-space-") as folder, hub_sentences(wanted, again):
        write_space(folder, model_folder, model.repo_id, model.revision, examples)
        url = api.create_repo(wanted, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        api.upload_folder(
            folder_path=folder,
            repo_id=url.repo_id,
            repo_type="space",
            commit_message=f"Use {model.repo_id} at {model.revision}",
            delete_patterns="examples/*",
        )
        needs_token = bool(api.model_info(model.repo_id).private)
    return PushedSpace(str(url), needs_token, [path.name for path in examples])
