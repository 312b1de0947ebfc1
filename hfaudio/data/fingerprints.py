"""The acoustic fingerprints of a data set, computed once and kept by content."""

from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import xxhash

from hfaudio.available_cores import available_cores
from hfaudio.data.near_duplicates import FINGERPRINT_SIZE, acoustic_fingerprint

__all__ = ["fingerprints_of"]

FINGERPRINT_VERSION = 1  # raise it whenever the same waveform would have another fingerprint
AT_ONCE = 16  # recordings
WORTH_PROCESSES = 2000  # recordings; fewer take less time than processes to start


def fingerprints_of(dataset: datasets.Dataset) -> np.ndarray:
    """The fingerprint of every recording.

    They are computed apart from decoding: only a split or a report asks for them. The cache knows them by the contents
    of all recordings, in their order.

    Args:
        dataset: Of a `PreparedAudio`.

    Returns:
        `(recordings, FINGERPRINT_SIZE)` in float16; see `hfaudio.data.near_duplicates.acoustic_fingerprint`.
    """
    sounds = dataset.select_columns(["waveform", "sampling_rate"])
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "hfaudio" / f"fingerprints-{FINGERPRINT_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    table = sounds.with_format("arrow").map(
        _describe,
        batched=True,
        batch_size=AT_ONCE,
        remove_columns=sounds.column_names,
        features=datasets.Features(fingerprint=datasets.Value("binary")),
        cache_file_name=str(folder / f"{_key(dataset)}.arrow"),
        num_proc=available_cores() if len(sounds) >= WORTH_PROCESSES else None,
        desc="Comparing",
    )
    joined = b"".join(value.as_py() for value in table.data.column("fingerprint"))
    return np.frombuffer(joined, np.float16).reshape(len(sounds), FINGERPRINT_SIZE)


def _key(dataset: datasets.Dataset) -> str:
    digest = xxhash.xxh3_128()
    # Of the same content other silence may have been cut out.
    for row in zip(dataset["content_hash"], dataset["samples"], dataset["sampling_rate"], strict=True):
        digest.update(f"{row}\n".encode())
    return digest.hexdigest()


def _describe(batch: pa.Table) -> pa.Table:
    waveforms = [value.values.to_numpy() for value in batch.column("waveform")]
    rates = batch.column("sampling_rate").to_pylist()
    fingerprints = [acoustic_fingerprint(*sound).tobytes() for sound in zip(waveforms, rates, strict=True)]
    return pa.table({"fingerprint": pa.array(fingerprints, pa.binary())})
