"""What is known of the recordings on both sides of a split: how many, from how many sources, and their hash."""

from collections.abc import Sequence
from dataclasses import dataclass

import datasets
import numpy as np

from hfaudio.data import PreparedAudio
from hfaudio.data.leakage import shared_values
from hfaudio.training import TrainedClassifier

__all__ = ["Part", "SplitDescription"]

COLUMNS = ["label", "group", "content_hash"]


@dataclass(frozen=True)
class Part:
    """One part of a split.

    Attributes:
        name: As `split.csv` has it.
        recordings: How many.
        sources: How many of these are known; 0 where none is.
        sha256: See `PreparedAudio.content_hash`; None where they were streamed, and thus never read as a whole.
    """

    name: str
    recordings: int
    sources: int
    sha256: str | None


@dataclass(frozen=True)
class SplitDescription:
    """The recordings that a model was trained on, and those that were held out.

    Attributes:
        parts: Those that are not empty. A `train` that was streamed from a table is not known.
        together: All of them.
        shared_sources: How many sources stand in `train` and in `test`.
        training_counts: Of each class in `train`, in the order of the classes; None if it is not known.
    """

    parts: tuple[Part, ...]
    together: Part
    shared_sources: int
    training_counts: tuple[int, ...] | None

    @classmethod
    def of(cls, trained: TrainedClassifier) -> "SplitDescription":
        """Looks at the recordings of a training."""
        split = {name: part.select_columns(COLUMNS) for name, part in trained.split.items() if len(part)}
        train, test = (set(split[name]["group"]) if name in split else set() for name in ("train", "test"))
        return cls(
            tuple(_part(name, rows) for name, rows in split.items()),
            _part("together", datasets.concatenate_datasets(list(split.values()))),
            len(shared_values(train, test)),
            _counts(split["train"], len(trained.model.config.class_names)) if "train" in split else None,
        )

    @property
    def streamed(self) -> bool:
        """Whether what was trained on was decoded each time it was needed."""
        return self.training_counts is None or self.together.sha256 is None

    @property
    def sources_known(self) -> bool:
        """Whether it is known of any recording what it was cut from."""
        return self.together.sources > 0

    def rarest_class(self, class_names: Sequence[str]) -> tuple[str, int, int] | None:
        """The class with the fewest recordings to train on, how many, and how many the most frequent one has.

        None where all have as many, or nobody knows.

        Args:
            class_names: In the order of their indices.
        """
        counts = self.training_counts
        if counts is None or min(counts) == max(counts):
            return None
        return class_names[counts.index(min(counts))], min(counts), max(counts)


def _part(name: str, rows: datasets.Dataset) -> Part:
    streamed = None in rows["content_hash"]
    sources = {group for group in rows["group"] if group is not None}
    return Part(name, len(rows), len(sources), None if streamed else PreparedAudio(rows, (), 0).content_hash)


def _counts(train: datasets.Dataset, num_labels: int) -> tuple[int, ...]:
    labels = train["label"][:]
    flat = [label for own in labels for label in (own if isinstance(own, list) else [own])]
    return tuple(np.bincount(np.array(flat, np.int64), minlength=num_labels).tolist())
