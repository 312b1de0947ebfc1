"""The flags that say which recordings to take, and how to divide them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import datasets

from hfaudio.data import (
    DECODERS,
    ON_BAD,
    TRIM_MODES,
    Columns,
    DataError,
    DecodingSettings,
    LeftOut,
    Listing,
    PreparedAudio,
    built_in_dataset,
    given_test_parts,
    list_recordings,
    make_folds,
    prepare_listing,
    split_by_file,
    split_by_folds,
    split_by_groups,
    split_randomly,
)
from hfaudio.data.errors import named
from hfaudio.data.manifest import NO_COLUMN

__all__ = ["DataArguments", "SourceArguments"]

logger = logging.getLogger(__name__)

AUTO_SPLIT = "auto"
RANDOM_SPLIT = "random"


@dataclass
class SourceArguments:
    """Which recordings to take, and how to read them."""

    _argument_group_name = "data"

    dataset: list[str] = field(
        default_factory=list,
        metadata={
            "help": "A folder with one sub-folder of recordings a class, or with a metadata.csv (file_name, label); a "
            "CSV, TSV, JSONL or Parquet table; a .zip or .tar.gz of these; a Hub data set owner/name[@revision]; or "
            "several of them. Without it the built-in synthetic data set is used."
        },
    )
    file_column: str | None = field(
        default=None, metadata={"help": "Column of the paths, or of the audio [file_name, path, filename]."}
    )
    label_column: str | None = field(default=None, metadata={"help": "Column of the classes [label, labels]."})
    label_separator: str | None = field(
        default=None, metadata={"help": "What separates several classes in one cell; makes the data set multi-label."}
    )
    fold_column: str | None = field(default=None, metadata={"help": "Column of given folds [fold, split]."})
    group_column: str | None = field(
        default=None,
        metadata={
            "help": "Column of sources or speakers: none stands in both parts of the split "
            "[group, source_id, speaker_id, ...]; 'none' to know none."
        },
    )
    group_pattern: str | None = field(
        default=None,
        metadata={"help": "Regular expression over the file name, whose first group is the source or speaker."},
    )
    start_column: str | None = field(
        default=None, metadata={"help": "Column of where a recording begins in its file, in seconds [span_start]."}
    )
    end_column: str | None = field(default=None, metadata={"help": "Column of where it ends, in seconds [span_end]."})
    decoder: str = field(
        default="auto", metadata={"help": "What reads the files; auto prefers soundfile.", "choices": list(DECODERS)}
    )
    trim_silence: str = field(
        default="none", metadata={"help": "Which silence is cut out.", "choices": list(TRIM_MODES)}
    )
    on_bad: str = field(
        default="skip",
        metadata={"help": "What to do with recordings that nothing can be learned from.", "choices": list(ON_BAD)},
    )
    allow_large_archives: bool = field(
        default=False,
        metadata={"help": "Also unpack archives that hold more than 20 times their size, and more than a GiB."},
    )
    preparation_processes: int | None = field(
        default=None, metadata={"help": "Processes that decode the recordings [one for each core]."}
    )

    def __post_init__(self) -> None:
        for name, choices in (("decoder", DECODERS), ("trim_silence", TRIM_MODES), ("on_bad", ON_BAD)):
            if getattr(self, name) not in choices:
                raise ValueError(f"--{name} must be one of {', '.join(choices)}, found {getattr(self, name)!r}.")
        if self.preparation_processes is not None and self.preparation_processes < 1:
            raise ValueError(f"--preparation_processes must be at least 1, found {self.preparation_processes}.")
        if self.group_column is not None and self.group_pattern is not None:
            raise ValueError("--group_column and --group_pattern both name the sources: give one of them.")
        for flag in (
            "file_column", "label_column", "label_separator", "fold_column", "group_column", "group_pattern",
            "start_column", "end_column",
        ):  # fmt: skip
            if not self.dataset and getattr(self, flag) is not None:
                raise ValueError(f"--{flag} needs a --dataset, found none.")

    def listing(self) -> Listing:
        """Lists the recordings; without a data set the built-in synthetic ones.

        Raises:
            hfaudio.data.DataError: They cannot be listed as asked.
        """
        if not self.dataset:
            return list_recordings(built_in_dataset())
        return list_recordings(
            self.dataset[0] if len(self.dataset) == 1 else self.dataset,
            self.columns(),
            self.allow_large_archives,
        )

    def columns(self) -> Columns:
        """Which columns of a table mean what."""
        return Columns(
            self.file_column,
            self.label_column,
            self.fold_column,
            self.group_column,
            self.start_column,
            self.end_column,
            self.label_separator,
            self.group_pattern,
        )

    def settings(self, sampling_rate: int) -> DecodingSettings:
        """How the recordings are decoded, at a rate in Hz."""
        return DecodingSettings(sampling_rate, self.decoder, self.trim_silence)

    def load(self, sampling_rate: int) -> PreparedAudio:
        """Lists and decodes the recordings.

        Args:
            sampling_rate: The rate wanted, in Hz.

        Raises:
            hfaudio.data.DataError: They cannot be used as asked.
        """
        audio = prepare_listing(self.listing(), self.settings(sampling_rate), self.preparation_processes)
        audio.report(self.on_bad)
        return audio


@dataclass
class DataArguments(SourceArguments):
    """Which recordings to learn from, and which to hold out."""

    split: str = field(
        default="auto",
        metadata={
            "help": "auto: --eval_folds, or a given part named test, or whole sources at random where they are known, "
            "or recordings at random; random: recordings at random even where sources are known; or the split.csv "
            "of an earlier run."
        },
    )
    eval_folds: list[str] = field(
        default_factory=list, metadata={"help": "Folds to evaluate on; the others are trained on."}
    )
    num_folds: int | None = field(
        default=None, metadata={"help": "Make this many folds, 1 and up, of which --eval_folds are held out."}
    )
    test_size: float = field(
        default=0.2, metadata={"help": "Share to hold out at random; not used with --eval_folds."}
    )
    validation_size: float = field(
        default=0.0,
        metadata={
            "help": "Share of the part to train on that is evaluated on the way, and that --early_stopping_patience "
            "watches; 0: the held-out part is evaluated on the way."
        },
    )
    streaming: bool = field(
        default=False,
        metadata={"help": "Decode the recordings to train on each time they are needed, and keep none on the disk."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.test_size <= 0.5:
            raise ValueError(f"--test_size must be above 0 and at most 0.5, found {self.test_size}.")
        if not 0.0 <= self.validation_size <= 0.5:
            raise ValueError(f"--validation_size must be from 0 to 0.5, found {self.validation_size}.")
        if self.streaming and self.validation_size:
            raise ValueError("--validation_size decodes all recordings first, --streaming does not: give one of them.")
        if self.num_folds is not None and self.num_folds < 2:
            raise ValueError(f"--num_folds must be at least 2, found {self.num_folds}.")
        if self.num_folds is not None and self.fold_column not in (None, NO_COLUMN):
            raise ValueError("--num_folds makes folds and --fold_column names given ones: give one of them.")
        if self.streaming and self.on_bad == "fail":
            raise ValueError("--on_bad fail decodes all recordings first, --streaming does not: give one of them.")
        if self.eval_folds and self.split != AUTO_SPLIT:
            raise ValueError(f"--eval_folds and --split {self.split} both say what to hold out: give one of them.")

    def divide(
        self, dataset: datasets.Dataset, seed: int, left_out: Sequence[LeftOut] = ()
    ) -> tuple[datasets.DatasetDict, str]:
        """Divides the recordings into what is trained on and what is held out.

        Args:
            dataset: Of a `PreparedAudio`.
            seed: Of a random split, or of the folds that are made.
            left_out: The recordings that cannot be used, which an earlier split may name.

        Returns:
            The parts `train` and `test`, and a few words on how they were chosen.

        Raises:
            hfaudio.data.DataError: They cannot be divided as asked.
        """
        share = f"{100 * self.test_size:g}%"
        if self.split not in (AUTO_SPLIT, RANDOM_SPLIT):
            return split_by_file(dataset, self.split, left_out), f"what {Path(self.split).name} holds out"
        if self.split == RANDOM_SPLIT:
            return split_randomly(dataset, self.test_size, seed), f"{share} (recordings at random)"
        if self.num_folds is not None and not self.eval_folds:
            raise DataError("--num_folds needs --eval_folds, found none; name the fold to hold out, such as 1.")
        if self.num_folds is not None:
            made = f"fold {', '.join(self.eval_folds)} of {self.num_folds} made with seed {seed}"
            return split_by_folds(dataset, self.eval_folds, make_folds(dataset, self.num_folds, seed)), made
        if self.eval_folds:
            return split_by_folds(dataset, self.eval_folds), f"fold {', '.join(self.eval_folds)}"
        if parts := given_test_parts(dataset):
            return split_by_folds(dataset, parts), f"the given part {', '.join(parts)}"
        if self.fold_column not in (None, NO_COLUMN):
            raise DataError(
                f"Expected --eval_folds with --fold_column {self.fold_column}, found none, and no fold named test; "
                "name the folds to hold out."
            )
        given = sorted({fold for fold in dataset["fold"] if fold is not None})
        if self.dataset and len(given) > 1:
            logger.warning("The given folds %s are not used: name those to hold out with --eval_folds.", named(given))
        if any(group is not None for group in dataset["group"]):
            return split_by_groups(dataset, self.test_size, seed), f"{share} (whole sources)"
        return split_randomly(dataset, self.test_size, seed), f"{share} (recordings at random)"
