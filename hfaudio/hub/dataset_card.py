"""Filling in the card of a data set."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import datasets
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData
from markupsafe import Markup

from hfaudio.data import PreparedAudio
from hfaudio.data.number_formats import as_channels, as_count, as_counted, as_duration, as_hertz
from hfaudio.hub.dataset_files import DatasetFiles
from hfaudio.hub.markdown import markdown_table, markdown_text

__all__ = ["dataset_card"]

TEMPLATE = Path(__file__).with_name("dataset_card.md")
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")


def dataset_card(repo_id: str, audio: PreparedAudio, files: DatasetFiles, license: str | None = None) -> str:
    """The card of a data set, with the metadata that the Hub reads.

    Args:
        repo_id: `owner/name`.
        audio: What was prepared.
        files: What was made of it.
        license: An identifier of the Hub, such as `cc-by-4.0`.
    """
    name = repo_id.rpartition("/")[2]
    counts = {part: Counter(label for row in rows for label in row.labels) for part, rows in files.parts.items()}
    classes = [(label, *(as_count(own[label]) for own in counts.values())) for label in audio.class_names]
    totals = (Markup("**recordings**"), *(as_count(len(rows)) for rows in files.parts.values()))
    measured = audio.dataset.select_columns(["seconds", "native_sampling_rate", "channels", "encoding"])[:]
    card = DatasetCard.from_template(
        _card_data(name, files, license),
        template_path=str(TEMPLATE),
        title=markdown_text(name),
        repo_id=repo_id,
        recordings=as_counted(len(audio.dataset), "recording"),
        duration=as_duration(sum(measured["seconds"])),
        class_count=f"{len(audio.class_names)} class{'es' * (len(audio.class_names) != 1)}",
        multi_label=audio.multi_label,
        class_table=markdown_table(["class", *files.parts], [*classes, totals]),
        measured=[
            ("sampling rates", _tally(map(as_hertz, measured["native_sampling_rate"]))),
            ("channels", _tally(as_channels(str(channels)) for channels in measured["channels"])),
            ("encodings", _tally(map(markdown_text, measured["encoding"]))),
        ],
        columns=list(files.features),
        left_out=len(audio.left_out),
        content_hash=audio.content_hash,
    )
    return card.content


def _card_data(name: str, files: DatasetFiles, license: str | None) -> DatasetCardData:
    size = {part: sum(row.size for row in rows) for part, rows in files.parts.items()}
    splits = {part: datasets.SplitInfo(part, size[part], len(rows)) for part, rows in files.parts.items()}
    info = datasets.DatasetInfo(
        features=files.features,
        splits=datasets.SplitDict(splits),
        download_size=sum(path.stat().st_size for path in files.paths.values()),
        dataset_size=sum(size.values()),
    )
    recordings = sum(map(len, files.parts.values()))
    card_data = DatasetCardData(
        license=license,
        pretty_name=name,
        size_categories=SIZES[max(0, len(str(recordings)) - 3)],
        tags=["audio", "hfaudio"],
        task_categories=["audio-classification"],
    )
    data_files = [{"split": part, "path": f"data/{part}-*"} for part in files.parts]
    MetadataConfigs({"default": {"data_files": data_files}}).to_dataset_card_data(card_data)
    DatasetInfosDict({"default": info}).to_dataset_card_data(card_data)
    return card_data


def _tally(values: Iterable[str]) -> str:
    return ", ".join(f"{value} ({as_count(count)})" for value, count in Counter(values).most_common())
