"""Predicting recordings of any kind and length, one or a million, in bounded memory."""

import io
import logging
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Literal, Protocol, get_args

import numpy as np

from hfaudio.audio import UnreadableAudioError, is_silent
from hfaudio.available_cores import available_cores
from hfaudio.inference.classifier_settings import ClassifierSettings, ModelError
from hfaudio.inference.graph_origin import WEIGHTS_FILE
from hfaudio.inference.model_folder import find_model
from hfaudio.inference.onnx_backend import ONNX_FILE, ONNX_INT8_FILE, OnnxBackend, StaleGraphError
from hfaudio.inference.pooling import POOLINGS, Pooling, WindowPool, to_probabilities
from hfaudio.inference.prediction import Prediction
from hfaudio.inference.recording_reader import Audio, RecordingReader

__all__ = ["BACKENDS", "Predictor"]

logger = logging.getLogger(__name__)

Backend = Literal["auto", "torch", "onnx", "onnx_int8"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

NOT_FINITE = "the model scores it NaN or infinity: its weights, or the samples, are out of bounds"
ONE_RECORDING = (str, bytes, bytearray, memoryview, os.PathLike, Mapping, io.IOBase)
NOTHING = np.empty(0, np.float32)  # the probabilities of silence, and of what cannot be read


class _Scorer(Protocol):
    def score(self, waveforms: Sequence[np.ndarray]) -> np.ndarray: ...


class Predictor:
    """Predicts recordings: paths, bytes or arrays, of any rate, channel count and length.

    A recording is scored as it is in the evaluation: as a whole up to `max_seconds` of the model, which is 30 seconds
    unless it was trained otherwise. A longer one is cut into overlapping windows of that length, whose probabilities
    are pooled. With `window_seconds` every recording is cut into windows of that length. Digital silence is no sound
    of any class: a silent window takes no part in the pooling, and a silent recording has no label.

    Recordings are read by some threads while others are scored, in batches that go across recordings. Memory holds a
    few windows of a few recordings, however long and many they are.

    Args:
        scorer: Turns waveforms into logits.
        settings: Of the model.
        batch_size: Windows that are scored at once; one longer than a training crop counts as several, so that the
            memory of the scoring is bounded too.
        window_seconds: Length of a window, in seconds; None for the model's `max_seconds`.
        hop_seconds: Step from window to window; None for half a window.
        pooling: What the probabilities of windows become: their `mean`, their `max`, or the share of windows in which
            a class is the first (`vote`; with several classes a recording, above one half).
        threads: That read recordings; None for one a core.
        unknown_threshold: What is less probable, a recording or a window, is called unknown; 0 calls nothing so, and
            None takes the model's threshold.

    Raises:
        ValueError: A number lies outside its bounds, there is no such pooling, or a recording can have several
            classes, and thus none, but a threshold is given.

    Example:
        >>> predictor = Predictor.from_pretrained("runs/sounds")  # doctest: +SKIP
        >>> predictor.predict("bark.wav").label  # doctest: +SKIP
        'dog_bark'
    """

    def __init__(
        self,
        scorer: _Scorer,
        settings: ClassifierSettings,
        *,
        batch_size: int = 32,
        window_seconds: float | None = None,
        hop_seconds: float | None = None,
        pooling: Pooling = "mean",
        threads: int | None = None,
        unknown_threshold: float | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {batch_size}.")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, found {pooling!r}.")
        window = settings.max_seconds if window_seconds is None else window_seconds
        hop = window / 2 if hop_seconds is None else hop_seconds
        if not 0.0 < window <= settings.max_seconds:
            raise ValueError(
                f"window_seconds must be above 0 and at most {settings.max_seconds:g}, the model's max_seconds, found "
                f"{window:g}."
            )
        if not 0.0 < hop <= window:
            raise ValueError(f"hop_seconds must be above 0 and at most a window, {window:g}, found {hop:g}.")
        if unknown_threshold is not None:
            if not 0.0 <= unknown_threshold < 1.0:
                raise ValueError(f"unknown_threshold must be at least 0 and below 1, found {unknown_threshold:g}.")
            if settings.multi_label:
                raise ValueError(
                    "unknown_threshold needs a model of one class a recording, found one of several, of which there "
                    "may be none; leave it out."
                )
            settings = replace(settings, unknown_threshold=unknown_threshold)
        self.settings = settings
        self.batch_size = batch_size
        self.pooling: Pooling = pooling
        self._scorer = scorer
        rate = settings.sampling_rate
        self._reader = RecordingReader(
            rate, max(1, round(window * rate)), max(1, round(hop * rate)), threads or available_cores()
        )

    @property
    def backend(self) -> str:
        """The name of the class that scores, such as `OnnxBackend`."""
        return type(self._scorer).__name__

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        backend: Backend = "auto",
        device: str | None = None,
        **settings: Any,
    ) -> "Predictor":
        """Loads a model to predict with.

        Args:
            name_or_path: A folder, or `owner/name` or `owner/name@revision` on the Hub.
            backend: `torch`, `onnx` (needs a `model.onnx`, which `scripts/export_onnx.py` writes, and does not import
                torch), `onnx_int8` (the same with its `model_int8.onnx`), or `auto`: `onnx` where the file and the
                package are there. A graph that was not made of the weights and settings beside it is refused; `auto`
                then takes `torch`, and logs why.
            device: For torch, such as `cuda:0`; None takes a GPU if there is one.
            **settings: Further arguments of `Predictor`.

        Raises:
            ModelError: There is no such model, or none that this backend can load.
            ValueError: An argument lies outside its bounds.
        """
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, found {backend!r}.")
        if backend in ("onnx", "onnx_int8") and device not in (None, "cpu"):
            raise ValueError(
                f"A device needs the backend torch, found {device} with {backend}; leave one of them out."
            )
        folder = find_model(name_or_path)
        model = ClassifierSettings.read(folder)
        if backend == "auto":
            onnx = device is None and (folder / ONNX_FILE).is_file() and find_spec("onnxruntime") is not None
            backend = "torch"
            if onnx:
                try:
                    return cls(OnnxBackend(folder / ONNX_FILE, model), model, **settings)
                except StaleGraphError as error:
                    if find_spec("torch") is None or not (folder / WEIGHTS_FILE).is_file():
                        raise
                    logger.warning(f"{str(error).rstrip('.')}. PyTorch answers in its place.")
        if backend in ("onnx", "onnx_int8"):
            graph = folder / (ONNX_FILE if backend == "onnx" else ONNX_INT8_FILE)
            return cls(OnnxBackend(graph, model), model, **settings)
        if find_spec("torch") is None:
            raise ModelError(
                f"Expected torch for the weights in {folder}, found it not installed; write {ONNX_FILE} with "
                "scripts/export_onnx.py and leave out --backend and --device, or install torch."
            )
        # Imported when it is needed: torch takes seconds, and with ONNX need not even be installed.
        from hfaudio.inference.torch_backend import TorchBackend

        return cls(TorchBackend(folder, device), model, **settings)

    def predict(self, audio: Audio, sampling_rate: int | None = None) -> Prediction:
        """Predicts one recording.

        Args:
            audio: See `Audio`; or an array `(samples,)` or `(channels, samples)` with its rate.
            sampling_rate: Of an array, in Hz.

        Raises:
            UnreadableAudioError: It cannot be read; the message begins with its name, if it has one.
        """
        (prediction,) = self.stream([_with_rate(audio, sampling_rate)])
        _raise_error(prediction)
        return prediction

    def predict_windows(self, audio: Audio, sampling_rate: int | None = None) -> list[Prediction]:
        """Predicts each window of one recording; see `predict`."""
        (predictions,) = self.stream_windows([_with_rate(audio, sampling_rate)])
        _raise_error(predictions[-1])
        return predictions

    def stream(self, recordings: Iterable[Audio]) -> Iterator[Prediction]:
        """Predicts recordings one after another, in their order.

        One that cannot be read becomes a prediction with an error, and ends nothing; so does one whose scores are not
        finite.

        Args:
            recordings: Any number; they are asked for as they are needed, some ahead of their turn.

        Raises:
            ValueError: It is one recording.
        """
        for (prediction,) in self._run(recordings, windows=False):
            yield prediction

    def stream_windows(self, recordings: Iterable[Audio]) -> Iterator[list[Prediction]]:
        """Predicts the windows of recordings; see `stream`.

        Args:
            recordings: Any number.

        Yields:
            The predictions of one recording's windows. Where it cannot be read further the last has an error.
        """
        return self._run(recordings, windows=True)

    def _run(self, recordings: Iterable[Audio], windows: bool) -> Iterator[list[Prediction]]:
        waiting: deque[_Pending] = deque()
        batch: list[tuple[_Pending, int, np.ndarray]] = []
        size = 0
        if not isinstance(recordings, Iterable) or isinstance(recordings, ONE_RECORDING) or _is_waveform(recordings):
            raise ValueError(
                f"Expected several recordings, such as a list of paths, found one {type(recordings).__name__}; put it "
                "into a list, or call predict."
            )
        for reading in self._reader.read(recordings):
            pool = None if windows else WindowPool(self.pooling, self.settings.multi_label)
            pending = _Pending(reading.name, pool, self.settings)
            waiting.append(pending)
            while (item := reading.windows.get()) is not None:
                if isinstance(item, UnreadableAudioError):
                    pending.error = str(item)
                    continue
                if is_silent(item[1]):
                    pending.add(item[0], item[0] + len(item[1]), NOTHING)
                else:
                    batch.append((pending, *item))
                    pending.unscored += 1
                # Silence counts too, so that a recording before much of it need not wait for a full batch.
                size += math.ceil(len(item[1]) / self.settings.crop_samples)
                if size >= self.batch_size:
                    self._score(batch)
                    batch, size = [], 0
            pending.silent = reading.watch.silent
            pending.complete = True
            yield from _finished(waiting)
        self._score(batch)
        yield from _finished(waiting)

    def _score(self, batch: Sequence[tuple["_Pending", int, np.ndarray]]) -> None:
        if not batch:
            return
        logits = self._scorer.score([samples for _, _, samples in batch])
        with np.errstate(invalid="ignore"):
            probabilities = to_probabilities(logits, self.settings.multi_label)
        probabilities[~np.isfinite(logits).all(axis=1)] = np.nan  # also where the sigmoid of infinity is 1
        for (pending, start, samples), own in zip(batch, probabilities, strict=True):
            pending.unscored -= 1
            pending.add(start, start + len(samples), own)


class _Pending:
    """A recording of which not all windows are scored."""

    def __init__(self, name: str | None, pool: WindowPool | None, settings: ClassifierSettings) -> None:
        self.error: str | None = None
        self.unscored = 0
        self.complete = False
        self.silent = False  # as a whole, before it was resampled
        self._name = name
        self._pool = pool  # none where each window is to be given
        self._settings = settings
        self._windows: list[Prediction] = []
        self._end = 0

    @property
    def done(self) -> bool:
        """Whether all windows are read and scored."""
        return self.complete and self.unscored == 0

    def add(self, start: int, end: int, probabilities: np.ndarray) -> None:
        """Takes in what a window scored, which is nothing if it is silent."""
        self._end = max(self._end, end)
        if not np.isfinite(probabilities).all():
            self.error = self.error or NOT_FINITE
        elif self._pool is None:
            self._windows.append(self._prediction(start, end, probabilities))
        elif len(probabilities):
            self._pool.add(probabilities)

    def predictions(self) -> list[Prediction]:
        """Of all windows, or the one of the recording."""
        windows = sorted(self._windows, key=lambda window: window.start)  # silent ones did not wait for a batch
        if self.silent:
            windows = [replace(window, probabilities=NOTHING) for window in windows]
        if self.error is not None:
            return [*windows, self._prediction(0, 0, NOTHING, self.error)]
        if self._pool is None:
            return windows
        heard = self._pool.count > 0 and not self.silent
        return [self._prediction(0, self._end, self._pool.result() if heard else NOTHING)]

    def _prediction(self, start: int, end: int, probabilities: np.ndarray, error: str | None = None) -> Prediction:
        rate = self._settings.sampling_rate
        names, threshold = self._settings.class_names, self._settings.unknown_threshold
        return Prediction(self._name, start / rate, end / rate, names, probabilities, error, threshold)


def _finished(waiting: deque[_Pending]) -> Iterator[list[Prediction]]:
    """What is settled, in the order of the recordings."""
    while waiting and waiting[0].done:
        yield waiting.popleft().predictions()


def _is_waveform(recordings: Any) -> bool:
    """Whether it is an array or a tensor of numbers; one of paths is several recordings."""
    return hasattr(recordings, "ndim") and getattr(getattr(recordings, "dtype", None), "kind", "f") in "biufc"


def _with_rate(audio: Any, sampling_rate: int | None) -> Audio:
    if sampling_rate is not None and isinstance(audio, ONE_RECORDING):
        raise UnreadableAudioError(
            f"Expected a sampling_rate of an array alone, found one of {type(audio).__name__}; leave it out."
        )
    if sampling_rate is not None:
        return {"array": audio, "sampling_rate": sampling_rate}
    if hasattr(audio, "ndim"):
        raise UnreadableAudioError("Expected the sampling_rate of the array, in Hz, found none; give it too.")
    return audio


def _raise_error(prediction: Prediction) -> None:
    if prediction.error is not None:
        name = "" if prediction.file is None else f"{prediction.file}: "
        raise UnreadableAudioError(f"{name}{prediction.error}")
