"""Training on recordings that are decoded when they are needed, for data whose waveforms no disk would hold."""

from collections.abc import Sequence
from dataclasses import replace

import datasets
import numpy as np

from hfaudio.audio import UnreadableAudioError, audio_seconds, read_audio, resample
from hfaudio.data.crops import Augmentation, CropRule, Crops, ExampleKey, label_targets
from hfaudio.data.errors import DataError
from hfaudio.data.left_out_log import LeftOutLog
from hfaudio.data.prepared_cache import DecodingSettings
from hfaudio.data.recordings import Recording
from hfaudio.data.silence import trim_silence

__all__ = ["StreamedCrops"]

LONG = 4.0  # crops; of recordings longer than this only a span is read
SPAN = 1.5  # crops; some of it may be lost to trimmed silence
MOST_DRAWS = 20  # recordings on end that cannot be read


class StreamedCrops(Crops):
    """Crops of recordings that are read from their files each time; of long ones only a span is read.

    A recording that nothing can be learned from is left out, and another one, drawn from the example's seed, takes its
    place.

    Args:
        recordings: What to read.
        rows: One row for each, with `label`.
        settings: How to decode.
        crop: How training crops are cut; None where there are none.
        augmentation: Maps a float32 waveform `(samples,)` and a seed to a waveform of the same length.
        left_out: Where to note what is left out; None warns of it alone.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        rows: datasets.Dataset,
        settings: DecodingSettings,
        crop: CropRule | None = None,
        augmentation: Augmentation | None = None,
        left_out: LeftOutLog | None = None,
    ) -> None:
        super().__init__(label_targets(rows), crop, augmentation)
        self.settings = settings
        self._recordings = recordings
        self._left_out = left_out or LeftOutLog()

    def __getitem__(self, key: int | ExampleKey) -> dict[str, object]:
        """Returns an example, as `Crops` has it."""
        index, seed, progress = ExampleKey(*key) if isinstance(key, tuple) else ExampleKey(key, 0)
        others = np.random.default_rng([seed, index])
        for _ in range(MOST_DRAWS):
            try:
                return super().__getitem__(ExampleKey(index, seed, progress) if isinstance(key, tuple) else index)
            except UnreadableAudioError as error:
                self._left_out.add(self._recordings[index].file_name, str(error))
                index = int(others.integers(len(self)))
        raise DataError(
            f"Expected recordings that can be read, found {MOST_DRAWS} on end that cannot, the last "
            f"{self._recordings[index].file_name}; scripts/inspect_dataset.py shows what is wrong."
        )

    def _waveform(self, index: int) -> np.ndarray:
        recording = self._recordings[index]
        return self._read(recording, recording.start, recording.end)

    def _crop(self, index: int, crop: CropRule, rng: np.random.Generator, progress: float) -> np.ndarray:
        recording = self._recordings[index]
        seconds = crop.length(progress) / self.settings.sampling_rate
        start = recording.start or 0.0
        duration = _duration(recording) - start
        if duration > LONG * seconds:
            span = SPAN * crop.speed * seconds
            start += float(rng.uniform(0.0, duration - span))
            samples = self._read(recording, start, start + span)
            crop = replace(crop, margin=0)  # the ends of a span are not the recording's
        else:
            samples = self._waveform(index)
        return crop.draw(samples, rng, progress)

    def _read(self, recording: Recording, start: float | None, end: float | None) -> np.ndarray:
        native = read_audio(recording.encoded(), self.settings.decoder, start, end)
        samples = resample(native.samples, native.sampling_rate, self.settings.sampling_rate)
        return trim_silence(samples, self.settings.sampling_rate, self.settings.trim_silence)


def _duration(recording: Recording) -> float:
    """Seconds from the file's beginning to the recording's end; 0 where libsndfile cannot tell."""
    if recording.end is not None:
        return recording.end
    return audio_seconds(recording.encoded())
