"""Pushing a model while it is being trained."""

import logging
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from huggingface_hub import HfApi, ModelCard, ModelCardData

from hfaudio.hub.push import HubTarget, commit_files, hub_sentences
from hfaudio.hub.pushed_files import PushedFiles, PushError, files_to_push, is_known

__all__ = ["UnfinishedPush"]

logger = logging.getLogger(__name__)

CARD = """---
{card_data}
---

# {name}

Step {step} of {steps} of a training that had not ended when this was pushed: nothing has been measured. The finished
model takes this place, with its scores.
"""


class UnfinishedPush:
    """Pushes what a training has reached, one commit after another, in a thread beside it.

    It is not proved, as `push_model` proves the finished model, and one that fails is told of and forgotten: the next
    one has all that it had.

    Args:
        target: A repository that is there.
    """

    def __init__(self, target: HubTarget) -> None:
        self.target = target
        self._api = HfApi(token=target.token)
        self._running: Future[None] | None = None

    def push(self, folder: Path, step: int, steps: int) -> None:
        """Begins to push a model, unless the one before it is still on its way.

        Args:
            folder: Of the model; it may be removed afterwards.
            step: Of the training.
            steps: How many there are to be.
        """
        if self._running is not None and not self._running.done():
            logger.info("Step %d is not pushed: that of an earlier one has not ended", step)
            return
        card_data = ModelCardData(library_name="transformers", pipeline_tag="audio-classification", tags=["hfaudio"])
        card = CARD.format(card_data=card_data, name=self.target.repo_id, step=step, steps=steps)
        ModelCard(card).save(folder / "README.md")
        files = files_to_push(folder)
        files = replace(
            files,
            contents={
                name: content if isinstance(content, bytes) else content.read_bytes()
                for name, content in files.contents.items()
            },
        )
        self._running = self._api.run_as_future(self._commit, files, f"Step {step} of {steps}")

    def wait(self) -> None:
        """Waits for a push that is on its way."""
        if self._running is not None:
            self._running.result()

    def _commit(self, files: PushedFiles, message: str) -> None:
        try:
            with hub_sentences(self.target.repo_id):
                commit_files(self.target, files, message, is_known)
        except PushError as error:
            logger.warning("%s was not pushed, the training goes on: %s", message, error)
