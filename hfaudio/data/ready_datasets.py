"""Data sets that are tables already: in memory, as Parquet files, or on the Hub."""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub.constants
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
from huggingface_hub.errors import HfHubHTTPError

from hfaudio.data.class_folders import find_files
from hfaudio.data.errors import DataError, named
from hfaudio.data.manifest import NO_COLUMN, USUAL_NAMES
from hfaudio.data.parts import folds_by_folder
from hfaudio.data.recordings import Columns, EmbeddedAudio, Listing, Recording
from hfaudio.data.table_cells import (
    as_text,
    check_label_lists,
    class_label_names,
    is_class_label,
    name_of_span,
    parse_span,
    split_labels,
)
from hfaudio.regular_files import NotRegularError, only_regular

__all__ = [
    "audio_and_label_columns",
    "holds_audio",
    "is_hub_id",
    "list_dataset",
    "list_hub_dataset",
    "list_parquet",
    "load_parts",
    "span_columns",
]

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")
TABLES_OF_DATASETS = (".csv", ".json", ".jsonl", ".parquet", ".tsv")
BATCH_ROWS = 100


def is_hub_id(source: str) -> bool:
    """Whether a text has the form of a Hub data set's id, `owner/name` or `owner/name@revision`."""
    return HUB_ID.fullmatch(source) is not None


def holds_audio(parquet: Path) -> bool:
    """Whether a Parquet file has a column of recordings, and not only of their paths."""
    try:
        with open(parquet, "rb", opener=only_regular) as file:
            features = datasets.Features.from_arrow_schema(pyarrow.parquet.read_schema(file))
    except (pa.ArrowException, OSError):
        return False
    return any(_is_audio(feature) for feature in features.values())


def list_hub_dataset(source: str, columns: Columns, token: str | None = None) -> Listing:
    """Lists a data set of the Hub, or of the Hub's cache where there is no network.

    Args:
        source: `owner/name` or `owner/name@revision`.
        columns: Which columns mean what.
        token: To read a private one; None takes the one that is logged in.

    Raises:
        DataError: It cannot be loaded or listed.
    """
    dataset = load_parts(source, token=token)
    # A table of strangers must not lead to other files of this machine.
    caches = (Path(huggingface_hub.constants.HF_HUB_CACHE), Path(datasets.config.HF_DATASETS_CACHE))
    return list_dataset(dataset, columns, confined_to=caches)


def load_parts(source: str, parts: Sequence[str] = (), streaming: bool = False, token: str | None = None) -> Any:
    """Loads the parts of a Hub data set or of a folder of Parquet files, without decoding anything.

    Args:
        source: A folder, or `owner/name`, or `owner/name@revision`.
        parts: The names of those to load; none for all.
        streaming: Read the rows when they are asked for, and download nothing.
        token: To read a private one; None takes the one that is logged in.

    Returns:
        A `DatasetDict`, or an `IterableDatasetDict`.

    Raises:
        DataError: It cannot be loaded.
    """
    if Path(source).is_dir():
        _check_tables(source)
        name, revision = source, ""
        sentence = f"Expected Parquet tables of recordings in {source}, found {{reason}}; save them again."
    else:
        name, _, revision = source.partition("@")
        sentence = (
            f"Expected a path or the id of a Hub data set, found nothing at the path {source} and no data set of that "
            "id that can be loaded ({reason}); check the path or the id, the network and your access."
        )

    def load() -> Any:
        chosen = list(parts) or None
        loaded = datasets.load_dataset(name, revision=revision or None, split=chosen, streaming=streaming, token=token)
        kind = datasets.IterableDatasetDict if streaming else datasets.DatasetDict
        return kind(zip(chosen, loaded, strict=True)) if chosen else loaded

    return _load(load, sentence)


def _check_tables(folder: str) -> None:
    """Raises a DataError for a table that would be waited for: `datasets` opens whatever is named like one."""
    for path in find_files(folder, TABLES_OF_DATASETS):
        try:
            with open(path, "rb", buffering=0, opener=only_regular):
                pass
        except NotRegularError as error:
            raise DataError(f"Expected a table at {path}, which {error}; remove it.") from error
        except OSError:  # which datasets says itself
            continue


def list_parquet(path: Path, columns: Columns, confined_to: Path | None = None) -> Listing:
    """Lists a Parquet file, or a folder of them as the Hub has it.

    Args:
        path: The file or the folder; relative paths in the tables start in the folder.
        columns: Which columns mean what.
        confined_to: A folder that no path in the tables may leave.

    Raises:
        DataError: It cannot be loaded or listed.
    """
    sentence = f"Expected Parquet tables of recordings in {path}, found {{reason}}; save them again."
    if path.is_dir():
        dataset = load_parts(str(path))
        folder = path
    else:
        dataset = _load(lambda: datasets.Dataset.from_parquet(str(path)), sentence)
        folder = path.parent
    return list_dataset(dataset, columns, folder, () if confined_to is None else (confined_to,))


def list_dataset(
    dataset: datasets.Dataset | datasets.DatasetDict,
    columns: Columns,
    folder: Path = Path(),
    confined_to: Sequence[Path] = (),
) -> Listing:
    """Lists the rows of a data set with an audio column.

    The audio column is found by its type, the labels by their usual name or else by their type (`ClassLabel`, or a
    list of them), unless a flag names them. A column `file_name` beside the audio names the files. The parts of a
    `DatasetDict` become folds.

    Args:
        dataset: With a column of type `datasets.Audio`, or of paths.
        columns: Which columns mean what.
        folder: Where relative paths start.
        confined_to: Folders, one of which no path may leave; none to take any path.

    Raises:
        DataError: There is no such column, or more than one, or a cell makes no sense.
    """
    if not isinstance(dataset, datasets.DatasetDict):
        return _list_part(dataset, columns, None, folder, confined_to)
    parts = [_list_part(part, columns, str(name), folder, confined_to) for name, part in dataset.items()]
    recordings = [recording for part in parts for recording in part.recordings]
    return Listing(recordings, any(part.multi_label for part in parts))


def audio_and_label_columns(features: Mapping[str, object], columns: Columns) -> tuple[str, str]:
    """The names of the audio column and of the label column of a data set; see `list_dataset`.

    Raises:
        DataError: There is no such column, or more than one.
    """
    audio = _column(features, "file", columns.file) or _only_column(features, _is_audio, "audio", "file")
    label = _column(features, "label", columns.label) or _only_column(features, is_class_label, "label", "label")
    return audio, label


def span_columns(features: Mapping[str, object], columns: Columns) -> tuple[str | None, str | None]:
    """The names of the columns of where a recording begins and ends in its file, if there are any.

    Raises:
        DataError: A column that is asked for is not there.
    """
    return _column(features, "start", columns.start), _column(features, "end", columns.end)


def _load(load: Callable[[], Any], sentence: str) -> Any:
    try:
        return load()
    # A RuntimeError is about data sets that come with code.
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError, HfHubHTTPError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise DataError(sentence.format(reason=reason)) from error


def _list_part(
    dataset: datasets.Dataset, columns: Columns, part: str | None, folder: Path, confined_to: Sequence[Path]
) -> Listing:
    # A format would give tensors and arrays for labels, hide columns, or put a transform before all of them.
    dataset = dataset.with_format(None)
    features = dataset.features
    audio_column, label_column = audio_and_label_columns(features, columns)
    table = dataset.select_columns([audio_column])
    if audio_column != "audio":
        table = table.rename_column(audio_column, "audio")
    if getattr(table.features["audio"], "dtype", None) == "large_string":  # of pandas and polars
        table = table.cast_column("audio", datasets.Value("string"))
    if not _is_audio(table.features["audio"]) and getattr(table.features["audio"], "dtype", None) != "string":
        raise DataError(
            f"Expected recordings or paths in column {audio_column!r}, found {table.features['audio']}; name another "
            "with --file_column, or cast it to datasets.Audio."
        )
    table = table.cast_column("audio", datasets.Audio(decode=False))
    paths, embedded = _audio_places(table)
    names = _unique_names(_file_names(dataset, audio_column, paths), part)
    multi_label = isinstance(features[label_column], datasets.List | datasets.LargeList) or bool(
        columns.label_separator
    )
    folds, groups, starts, ends = (
        _texts(dataset, _column(features, meaning, getattr(columns, meaning)))
        for meaning in ("fold", "group", "start", "end")
    )
    label_feature = features[label_column]
    labels_as_stored = dataset[label_column][:]
    check_label_lists(
        labels_as_stored,
        columns.label_separator,
        f"column {label_column!r}",
        getattr(label_feature, "feature", label_feature).names if is_class_label(label_feature) else (),
    )
    recordings = []
    for row, label in enumerate(labels_as_stored):
        where = f"row {row} ({names[row]})"
        if is_class_label(label_feature):
            label = class_label_names(label_feature, label)
        labels = split_labels(label, columns.label_separator)
        if not labels and not multi_label:
            raise DataError(
                f"Expected a label in column {label_column!r}, found none in {where}; filter such rows out."
            )
        start, end = parse_span(starts[row], ends[row], where)
        path = paths[row]
        recordings.append(
            Recording(
                name_of_span(names[row], start, end),
                labels,
                # A file may change under a table that does not, so its own path is kept.
                EmbeddedAudio(table, row) if embedded[row] or not path else _within(folder / path, confined_to, where),
                folds[row] or part,
                groups[row] or None,
                start,
                end,
            )
        )
    if part is None and columns.fold != NO_COLUMN and not any(folds):
        files = [path or name for path, name in zip(paths, names, strict=True)]
        folders = folds_by_folder(files, [recording.labels for recording in recordings])
        recordings = [replace(one, fold=fold) for one, fold in zip(recordings, folders, strict=True)]
    return Listing(recordings, multi_label)


def _is_audio(feature: object) -> bool:
    return isinstance(feature, datasets.Audio) or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def _column(features: Mapping[str, object], meaning: str, asked_for: str | None) -> str | None:
    if asked_for == NO_COLUMN:
        return None
    if asked_for is not None and asked_for not in features:
        raise DataError(
            f"Expected a column {asked_for!r} in the data set, found {named(features)}; see --{meaning}_column."
        )
    # A column of recordings is told by its type, and one beside it has the names that the files once had.
    usual = () if meaning == "file" and any(map(_is_audio, features.values())) else USUAL_NAMES.get(meaning, ())
    return asked_for or next((name for name in usual if name in features), None)


def _only_column(features: Mapping[str, object], is_wanted: Callable[[object], bool], kind: str, flag: str) -> str:
    found = [name for name, feature in features.items() if is_wanted(feature)]
    if len(found) != 1:
        raise DataError(
            f"Expected one {kind} column, found {named(found) or 'none'} among {named(features)}; "
            f"name it with --{flag}_column."
        )
    return found[0]


def _texts(dataset: datasets.Dataset, column: str | None) -> list[str]:
    if column is None:
        return [""] * len(dataset)
    feature = dataset.features[column]
    if is_class_label(feature):
        return [as_text(class_label_names(feature, value)) for value in dataset[column]]
    return [as_text(value) for value in dataset[column]]


def _audio_places(table: datasets.Dataset) -> tuple[list[str | None], list[bool]]:
    """The path of each row, and whether its recording stands in the table; only a few are in memory at a time."""
    paths: list[str | None] = []
    embedded: list[bool] = []
    for batch in table.with_format("arrow").iter(batch_size=BATCH_ROWS):
        for chunk in batch["audio"].chunks:
            paths += pa.compute.struct_field(chunk, "path").to_pylist()
            embedded += pa.compute.struct_field(chunk, "bytes").is_valid().to_pylist()
    return paths, embedded


def _file_names(dataset: datasets.Dataset, audio_column: str, paths: Sequence[str | None]) -> list[str]:
    """The names of the files that the rows were made from; empty where there is none."""
    names = [Path(path).name if path else "" for path in paths]
    feature = dataset.features.get("file_name")
    if audio_column == "file_name" or getattr(feature, "dtype", None) != "string":
        return names
    return [written or name for written, name in zip(_texts(dataset, "file_name"), names, strict=True)]


def _unique_names(names: Sequence[str], part: str | None) -> list[str]:
    """The names in a part, each once; of a row without one its number."""
    prefix = "" if part is None else f"{part}/"
    names = [prefix + (name or f"row-{row:06d}") for row, name in enumerate(names)]
    counts = Counter(names)
    return [
        name if counts[name] == 1 else f"{prefix}row-{row:06d}-{Path(name).name}" for row, name in enumerate(names)
    ]


def _within(path: Path, folders: Sequence[Path], where: str) -> str:
    if "\\" in str(path) and not path.exists() and (other := Path(str(path).replace("\\", "/"))).exists():
        path = other
    if folders and not any(path.resolve().is_relative_to(folder.resolve()) for folder in folders):
        raise DataError(
            f"Expected the recordings within the data set, found {path} in {where}; remove the row, if you trust the "
            "rest."
        )
    return os.fspath(path)
