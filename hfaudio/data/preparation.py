"""From any source to a cached `datasets.Dataset` of 16 kHz waveforms."""

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import datasets

from hfaudio.available_cores import available_cores
from hfaudio.data.errors import DataError, named
from hfaudio.data.prepared_cache import DecodingSettings, cached_shards
from hfaudio.data.recordings import Columns, LeftOut, Listing
from hfaudio.data.sources import Source, list_recordings
from hfaudio.data.suspicions import class_doubts, find_suspicions

__all__ = ["ON_BAD", "PreparedAudio", "describe_listing", "load_audio_dataset", "prepare_listing"]

logger = logging.getLogger(__name__)

DEFAULT_SETTINGS = DecodingSettings()
ON_BAD = ("skip", "fail")


@dataclass(frozen=True)
class PreparedAudio:
    """Recordings ready to learn from.

    Attributes:
        dataset: One row a recording: `file_name`, `waveform` (float32 samples, mono), `label` (a `ClassLabel`, or a
            list of them in a multi-label data set), `fold` and `group` (text, or None where unknown), and what was
            measured of it (`hfaudio.data.measurements.MEASUREMENTS`).
        left_out: The recordings that could not be used.
        sampling_rate: Of every waveform, in Hz.
    """

    dataset: datasets.Dataset
    left_out: tuple[LeftOut, ...]
    sampling_rate: int

    @property
    def multi_label(self) -> bool:
        """Whether a recording can have any number of classes."""
        return not isinstance(self.dataset.features["label"], datasets.ClassLabel)

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of their indices."""
        feature = self.dataset.features["label"]
        names: list[str] = (feature.feature if self.multi_label else feature).names
        return names

    @property
    def content_hash(self) -> str:
        """A hash of all decoded recordings and their classes, whatever their order, names and places."""
        names, multi_label = self.class_names, self.multi_label
        rows = zip(self.dataset["content_hash"][:], self.dataset["label"][:], strict=True)
        lines = sorted(
            f"{content} {' '.join(names[index] for index in (label if multi_label else [label]))}\n"
            for content, label in rows
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def summary(self) -> str:
        """One line: how many recordings were found, kept and left out."""
        kept, left_out = len(self.dataset), len(self.left_out)
        return f"{kept + left_out} recordings found, {kept} kept, {left_out} left out; {len(self.class_names)} classes"

    def report(self, on_bad: str = "skip") -> None:
        """Logs the summary, and warns of what was left out and of what is worth a look.

        Args:
            on_bad: `skip` to warn of recordings that are left out, `fail` to make an error of them.

        Raises:
            DataError: Some are, and `on_bad` is `fail`.
            ValueError: `on_bad` is neither.
        """
        if on_bad not in ON_BAD:
            raise ValueError(f"on_bad must be one of {', '.join(ON_BAD)}, found {on_bad!r}.")
        if self.left_out and on_bad == "fail":
            raise DataError(
                f"Expected every recording to be usable (on_bad is fail), found {_reasons(self.left_out)}; replace or "
                "remove them."
            )
        logger.info("%s", self.summary)
        if self.left_out:
            found = len(self.dataset) + len(self.left_out)
            logger.warning("Left out %d of %d recordings: %s", len(self.left_out), found, _reasons(self.left_out))
        if doubts := class_doubts(self.dataset):
            logger.warning("Look at the names of the classes: %s", named(doubts))
        kinds = Counter(suspicion.kind for suspicion in find_suspicions(self.dataset))
        if kinds:
            logger.warning(
                "Kept, but worth a look: %s (scripts/inspect_dataset.py shows them)",
                ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
            )


def load_audio_dataset(
    source: Source | Sequence[Source],
    *,
    file_column: str | None = None,
    label_column: str | None = None,
    fold_column: str | None = None,
    group_column: str | None = None,
    start_column: str | None = None,
    end_column: str | None = None,
    label_separator: str | None = None,
    group_pattern: str | None = None,
    sampling_rate: int = 16_000,
    decoder: str = "auto",
    trim_silence: str = "none",
    on_bad: str = "skip",
    allow_large_archives: bool = False,
    num_proc: int | None = None,
) -> PreparedAudio:
    """Lists, decodes and resamples recordings, once: a second call reads the cache.

    Args:
        source: A folder, a table, an archive, a Hub id, a `datasets.Dataset` or `DatasetDict`, or a list of such; see
            `hfaudio.data.sources.list_recordings`.
        file_column: Column of the paths, or of the audio.
        label_column: Column of the classes.
        fold_column: Column of given folds.
        group_column: Column of sources or speakers; `none` to know none.
        start_column: Column of where a recording begins in its file, in seconds.
        end_column: Column of where it ends.
        label_separator: What separates several classes in one cell.
        group_pattern: A regular expression over the file name, whose first group is the source.
        sampling_rate: The rate wanted, in Hz.
        decoder: `auto`, `soundfile` or `torchcodec`; see `hfaudio.audio.read_audio`.
        trim_silence: `none`, `ends` or `throughout`; see `hfaudio.data.silence.trim_silence`.
        on_bad: `skip` leaves out what cannot be learned from, `fail` makes an error of it.
        allow_large_archives: Also unpack archives that hold more than 20 times their size, and more than a GiB.
        num_proc: Processes that decode; None takes one for each CPU core.

    Raises:
        DataError: Nothing there can be learned from.
        ValueError: An argument is none of its choices.

    Example:
        >>> audio = load_audio_dataset("sounds")  # doctest: +SKIP
        >>> audio.dataset.train_test_split(test_size=0.2)  # doctest: +SKIP
    """
    settings = DecodingSettings(sampling_rate, decoder, trim_silence)
    columns = Columns(
        file_column,
        label_column,
        fold_column,
        group_column,
        start_column,
        end_column,
        label_separator,
        group_pattern,
    )
    audio = prepare_listing(list_recordings(source, columns, allow_large_archives), settings, num_proc)
    audio.report(on_bad)
    return audio


def prepare_listing(
    listing: Listing,
    settings: DecodingSettings = DEFAULT_SETTINGS,
    num_proc: int | None = None,
    class_names: Sequence[str] | None = None,
) -> PreparedAudio:
    """Decodes and resamples the recordings of a listing into the cache; see `cached_shards`.

    Args:
        listing: What `list_recordings` found.
        settings: How to decode.
        num_proc: Processes that decode; None takes one for each CPU core.
        class_names: The classes, in the order of their indices, where the listing is a part of a larger one that has
            them all; None takes those that occur, each of which must then have a readable recording.

    Raises:
        DataError: No recording is readable, or too few classes are left.
    """
    recordings = listing.recordings
    described = describe_listing(listing, class_names)
    shards = cached_shards(recordings, settings, num_proc or available_cores())
    decoded = datasets.concatenate_datasets([datasets.Dataset.from_file(str(shard)) for shard in shards])
    reasons = decoded["unreadable"][:]
    unreadable = [
        LeftOut(recording.file_name, reason)
        for recording, reason in zip(recordings, reasons, strict=True)
        if reason is not None
    ]
    readable = [index for index, reason in enumerate(reasons) if reason is None]
    left_out = (*listing.left_out, *unreadable)
    if not readable:
        raise DataError(
            f"Expected at least one readable recording, found none among {len(recordings)}: {_reasons(left_out)}; "
            "replace the files."
        )
    if class_names is None:
        named = listing.left_out_labels.union(*(recording.labels for recording in recordings))
        remaining = {label for index in readable for label in recordings[index].labels}
        gone = named - remaining
        labels_of = {recording.file_name: recording.labels for recording in recordings}
        of_gone = [one for one in unreadable if gone.intersection(labels_of[one.file_name])]
        _check_classes_remain(sorted(gone), [*of_gone, *listing.left_out])
    dataset = datasets.concatenate_datasets([described, decoded], axis=1)
    dataset = dataset.remove_columns("unreadable")
    if unreadable:
        dataset = dataset.select(readable)
    return PreparedAudio(dataset, left_out, settings.sampling_rate)


def describe_listing(listing: Listing, class_names: Sequence[str] | None = None) -> datasets.Dataset:
    """What is known of recordings without decoding them: `file_name`, `label`, `fold` and `group`.

    Args:
        listing: What `list_recordings` found.
        class_names: The classes, in the order of their indices; None takes those that occur.

    Raises:
        DataError: There are too few classes.
    """
    recordings = listing.recordings
    names = list(class_names or sorted({label for recording in recordings for label in recording.labels}))
    if len(names) < (1 if listing.multi_label else 2):
        raise DataError(
            f"Expected recordings of at least two classes, found only {named(names) or 'none'}; add another class, or "
            "give the folder or the table that has them all."
        )
    index = {name: position for position, name in enumerate(names)}
    label = datasets.ClassLabel(names=names)
    return datasets.Dataset.from_dict(
        {
            "file_name": [recording.file_name for recording in recordings],
            "label": [
                sorted(index[name] for name in recording.labels) if listing.multi_label else index[recording.labels[0]]
                for recording in recordings
            ],
            "fold": [recording.fold for recording in recordings],
            "group": [recording.group for recording in recordings],
        },
        features=datasets.Features(
            {
                "file_name": datasets.Value("string"),
                "label": datasets.List(label) if listing.multi_label else label,
                "fold": datasets.Value("string"),
                "group": datasets.Value("string"),
            }
        ),
    )


def _check_classes_remain(gone: Sequence[str], left_out: Sequence[LeftOut]) -> None:
    if gone:
        raise DataError(
            f"Expected at least one readable recording of every class, found none of {named(gone)}: "
            f"{left_out[0].file_name} {left_out[0].reason}"
            + (f", and {len(left_out) - 1} more" if len(left_out) > 1 else "")
            + "; replace the files or remove the class."
        )


def _reasons(left_out: Sequence[LeftOut]) -> str:
    return named(f"{recording.file_name} ({recording.reason})" for recording in left_out)
