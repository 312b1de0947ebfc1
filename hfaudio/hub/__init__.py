"""What models and data sets need to stand on the Hub: a card, the push that proves itself, a page to try a model."""

from hfaudio.hub.dataset_push import PushedDataset, push_dataset
from hfaudio.hub.model_card import write_model_card
from hfaudio.hub.proof import ProofError
from hfaudio.hub.push import HubTarget, PushedModel, open_repository, push_model
from hfaudio.hub.pushed_files import PushError
from hfaudio.hub.shown_command import shown_command
from hfaudio.hub.space_folder import find_examples, write_space
from hfaudio.hub.space_push import PushedSpace, push_space
from hfaudio.hub.unfinished_push import UnfinishedPush

__all__ = [
    "HubTarget",
    "ProofError",
    "PushError",
    "PushedDataset",
    "PushedModel",
    "PushedSpace",
    "UnfinishedPush",
    "find_examples",
    "open_repository",
    "push_dataset",
    "push_model",
    "push_space",
    "shown_command",
    "write_model_card",
    "write_space",
]
