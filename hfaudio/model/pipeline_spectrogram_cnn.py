"""The pipeline that comes with the weights: any recording to the probabilities of its classes."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.pipelines.audio_classification import AudioClassificationPipeline
from transformers.pipelines.base import ChunkPipeline

from .audio_sources_spectrogram_cnn import read_waveform
from .windows_spectrogram_cnn import average_windows

__all__ = ["SpectrogramCNNPipeline"]

FUNCTIONS = ("softmax", "sigmoid", "none")
UNKNOWN = "unknown"
NOT_GIVEN = object()  # of a number of classes, where None asks for all


class SpectrogramCNNPipeline(ChunkPipeline, AudioClassificationPipeline):
    """Classifies recordings of any format, rate, channel count and length, one or many, in batches.

    A recording of more than the feature extractor's `max_seconds` is cut into windows of that length, half a window
    apart, whose probabilities are averaged. A recording has the same scores alone and in a batch.

    Args:
        *args: As `AudioClassificationPipeline` has them.
        top_k: How many classes an answer names; None for all.
        **kwargs: As `AudioClassificationPipeline` has them.

    Example:
        >>> from transformers import pipeline  # doctest: +SKIP
        >>> classify = pipeline("audio-classification", "runs/sounds", trust_remote_code=True)  # doctest: +SKIP
        >>> classify("bark.wav", top_k=1)  # doctest: +SKIP
        [{'score': 0.98, 'label': 'dog_bark'}]
    """

    feature_extractor: Any  # the SpectrogramCNNFeatureExtractor, imported from here or from the model's folder

    def __init__(self, *args: Any, top_k: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, top_k=top_k, **kwargs)

    @staticmethod
    def custom_pipelines() -> dict[str, dict[str, Any]]:
        """Returns the entry of a configuration by which `pipeline` finds this class in a saved folder."""
        impl = f"{__name__.rpartition('.')[2]}.{SpectrogramCNNPipeline.__name__}"
        return {"audio-classification": {"impl": impl, "pt": ["AutoModelForAudioClassification"]}}

    def __call__(  # type: ignore[override]  # without further arguments by position, as AudioClassificationPipeline
        self, inputs: Any, batch_size: int | None = None, num_workers: int | None = None, **kwargs: Any
    ) -> Any:
        """Classifies recordings.

        Args:
            inputs: One recording or several, in a list, a column of a data set, a generator or a torch `Dataset`. A
                recording is a path, an http(s) address or the bytes of a file, which need the package soundfile; an
                array, `(samples,)` or `(channels, samples)`, at the feature extractor's rate; a decoder of
                torchcodec's; or a dictionary as `datasets` has it, of `array` or `raw` and their `sampling_rate`, or
                of `bytes` or `path`.
            batch_size: How many windows are scored at once; None for one, or what the pipeline was made with.
            num_workers: 1 reads recordings in another process meanwhile; None for 0.
            **kwargs: `top_k`, how many classes an answer names, None for all; and `function_to_apply`, `softmax`,
                `sigmoid` or `none` in place of the model's own.

        Returns:
            For a recording its classes, each a dictionary of `label` and `score`, the most probable first. With the
            configuration's `unknown_threshold`, the first label is `unknown` where its probability is lower. Of
            digital silence, which is no sound of any class, an empty list; silent windows take no part in the average.
            For a list or a column a list of such answers, else an iterator over them.

        Raises:
            ValueError: A recording cannot be read, or an argument lies outside its bounds.
        """
        if isinstance(inputs, Sequence) and not isinstance(inputs, (str, bytes)):
            # One after another: a column of a data set decodes a recording when it is asked for it.
            recordings: Any = (recording for recording in inputs)
            return list(super().__call__(recordings, batch_size=batch_size, num_workers=num_workers, **kwargs))
        return super().__call__(inputs, batch_size=batch_size, num_workers=num_workers, **kwargs)

    def _sanitize_parameters(
        self, top_k: Any = NOT_GIVEN, function_to_apply: str | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        parameters: dict[str, Any] = {}
        if top_k is not NOT_GIVEN:
            if top_k is not None and top_k < 1:
                raise ValueError(f"top_k must be at least 1, or None for all classes, found {top_k}.")
            parameters["top_k"] = top_k
        if function_to_apply is not None:
            if function_to_apply not in FUNCTIONS:
                names = ", ".join(FUNCTIONS)
                raise ValueError(f"function_to_apply must be one of {names}, found {function_to_apply!r}.")
            parameters["function_to_apply"] = function_to_apply
        return {}, {}, parameters

    def preprocess(self, inputs: Any) -> Iterator[dict[str, Any]]:  # type: ignore[override]  # a ChunkPipeline's yields
        """Reads a recording and cuts it into windows.

        Args:
            inputs: A recording, as `__call__` has it.

        Yields:
            `waveform`, `(samples,)` at the feature extractor's rate, and whether it is the last of its recording.
        """
        rate, seconds = self.feature_extractor.sampling_rate, self.feature_extractor.max_seconds
        window, hop = round(seconds * rate), round(seconds / 2 * rate)
        samples = read_waveform(inputs, rate)
        last_start = max(len(samples) - window, 0)
        for step in range(0, last_start + hop, hop):
            start = min(step, last_start)
            yield {"waveform": samples[start : start + window], "is_last": start == last_start}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]  # arrays and flags
        # Features are computed here and not before: transformers would pad those of a batch without a mask.
        waveforms, rate = model_inputs["waveform"], self.feature_extractor.sampling_rate
        features = self.feature_extractor(waveforms, sampling_rate=rate)
        sounding = features["attention_mask"].any(dim=1)
        logits = self.model(**features.to(self.device, dtype=self.dtype)).logits
        return {"logits": logits, "sounding": sounding, "is_last": model_inputs["is_last"]}

    def postprocess(  # type: ignore[override]  # a ChunkPipeline has several outputs
        self, model_outputs: Sequence[dict[str, Any]], top_k: int | None = None, function_to_apply: str | None = None
    ) -> list[dict[str, Any]]:
        """Makes one answer of what the windows of a recording score.

        Args:
            model_outputs: `logits` `(1, num_labels)` of each window, and `sounding` `(1,)`, whether it is not silent.
            top_k: How many classes are named; None for all.
            function_to_apply: `softmax`, `sigmoid` or `none`; None for the one of the model's `problem_type`.
        """
        config = self.model.config
        sounding = [window["logits"] for window in model_outputs if window["sounding"]]
        if not sounding:
            return []
        logits = torch.cat(sounding).float()
        counted = torch.ones(1, len(logits), dtype=torch.bool)
        if not torch.isfinite(logits).all():
            raise ValueError(
                "The model scores a recording NaN or infinity: expected finite weights, and samples in [-1, 1]."
            )
        multi_label = config.problem_type == "multi_label_classification"
        averaged = average_windows(logits, counted, multi_label)
        num_labels = averaged.shape[1]
        top_k = min(top_k or num_labels, num_labels)
        answer = super().postprocess(SequenceClassifierOutput(logits=averaged), top_k, function_to_apply)
        threshold = getattr(config, "unknown_threshold", None)
        # Other functions give no probability that the threshold could be compared with; and of several classes a
        # recording may have none as it is.
        comparable = function_to_apply in (None, "softmax") and not multi_label
        if threshold is not None and comparable and answer[0]["score"] < threshold:
            answer[0]["label"] = UNKNOWN
        return answer
