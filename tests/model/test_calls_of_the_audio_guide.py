"""The calls of Hugging Face's audio classification guide and of unit 4 of its audio course, with one of our models.

Whatever they pass to a feature extractor runs, or is refused by a sentence that says what to leave out.
"""

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from transformers import (
    AudioClassificationPipeline,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    AutoProcessor,
    Trainer,
    TrainingArguments,
    pipeline,
)

from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

RATE = 16_000
CROP = 8_000  # samples
FRAMES = 1 + CROP // 320


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guide")
    torch.manual_seed(0)
    config = SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], num_labels=3, logit_temperature=0.5)
    SpectrogramCNNForAudioClassification(config).save_pretrained(folder)
    SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.5).save_pretrained(folder)
    return folder


@pytest.fixture
def feature_extractor(folder: Path) -> SpectrogramCNNFeatureExtractor:
    return AutoFeatureExtractor.from_pretrained(folder, do_normalize=True, return_attention_mask=True)


@pytest.fixture
def clips(rng) -> list[np.ndarray]:
    return [0.1 * rng.standard_normal(samples) for samples in (20_000, 9_000, 3_000)]


def test_lengths_are_in_samples(feature_extractor, clips) -> None:
    def frames(**settings) -> tuple[int, list[int]]:
        batch = feature_extractor(clips, sampling_rate=RATE, **settings)
        return batch["input_features"].shape[-1], batch["attention_mask"].sum(dim=1).tolist()

    assert frames() == (63, [63, 29, 10])
    assert frames(padding=True) == frames(padding="longest") == frames(truncation=True) == frames()
    assert frames(max_length=16_000, truncation=True) == frames(max_length=16_000) == (51, [51, 29, 10])
    assert frames(max_length=16_000, truncation=False) == frames()
    assert frames(max_length=5_000, truncation=True) == (FRAMES, [16, 16, 10])  # as long as a training crop
    assert frames(max_length=32_000, padding="max_length", truncation=True) == (101, [63, 29, 10])
    assert frames(max_length=16_000, padding="max_length") == (51, [51, 29, 10])
    assert frames(pad_to_multiple_of=6_400) == (81, [63, 29, 10])
    cut = feature_extractor(clips, sampling_rate=RATE, max_length=16_000, truncation=True)["input_features"]
    first = feature_extractor(clips[0][:16_000], sampling_rate=RATE)["input_features"]
    torch.testing.assert_close(cut[:1], first)


def test_arguments_have_the_names_and_forms_of_others(feature_extractor, clips) -> None:
    assert feature_extractor.sampling_rate == RATE
    assert feature_extractor.model_input_names == ["input_features", "attention_mask"]
    clip = clips[1]
    right = feature_extractor(clip, sampling_rate=RATE)
    assert set(right) == {"input_features", "attention_mask"}
    forms = [clip.tolist(), tuple(clip), clip.astype(np.float32), torch.from_numpy(clip), [clip], [clip.tolist()]]
    for raw_speech in [*forms, clip[None], clip[None, None]]:
        features = feature_extractor(raw_speech=raw_speech, sampling_rate=RATE, return_tensors="pt", device="cpu")
        torch.testing.assert_close(features["input_features"], right["input_features"], rtol=0, atol=1e-4)
    assert isinstance(feature_extractor(clip, sampling_rate=RATE, return_tensors="np")["input_features"], np.ndarray)
    quiet = feature_extractor(clip, sampling_rate=RATE, return_attention_mask=False, padding=False, do_normalize=False)
    assert set(quiet) == {"input_features"}
    assert len(feature_extractor([clip, clip], sampling_rate=RATE, padding=False)["input_features"]) == 2
    assert len(feature_extractor(list(np.stack([clip, clip])), sampling_rate=RATE)["input_features"]) == 2


@pytest.mark.parametrize(
    ("waveforms", "arguments", "sentence"),
    [
        (
            None,
            {"padding": False},
            "padding=False needs clips of one length, found 8000 to 20000 samples; leave it out",
        ),
        (None, {"padding": "max_length"}, "padding='max_length' needs a max_length in samples, found none"),
        (None, {"padding": "shortest"}, "padding must be one of None, True, longest, max_length, False, do_not_pad"),
        (None, {"max_length": 0}, "max_length must be an integer from 1 to"),
        (None, {"max_length": 1.5}, "max_length must be an integer from 1 to"),
        (None, {"do_normalize": True}, "leave it out"),
        (None, {"return_attention_mask": False}, "leave it out, or the model hears padding as sound"),
        (None, {"pad_to_multiple_of": 0}, "pad_to_multiple_of must be an integer from 1"),
        (None, {"sampling_rate": 44_100}, "expects waveforms at 16000 Hz, found 44100 Hz; resample them first"),
        (None, {"truncate": True}, "The feature extractor knows no truncate; leave it out."),
        (
            [3, -5, 7],
            {},
            "Recording 0 must hold floating-point samples in [-1, 1], found torch.int64; divide integers",
        ),
        ([[3, -5], [7, 9]], {}, "Recording 0 must hold floating-point samples in [-1, 1], found torch.int64;"),
        (np.ones(9, np.int16), {}, "found torch.int16; divide integers by their largest value first."),
        ([np.ones(9, np.int16)], {}, "found torch.int16; divide integers by their largest value first."),
        (torch.ones(9, dtype=torch.int16), {}, "found torch.int16; divide integers by their largest value first."),
        (np.ones((2, 9)), {}, "may be a batch or the channels of one recording; pass list(array) for a batch"),
        (np.ones((20, 9)), {}, "pass a batch as a list or as (batch, channels, samples)."),
        ([[[0.1, 0.2], [0.3]]], {}, "Recording 0 must have channels of one length, found several lengths."),
        ("bark.wav", {}, "Recording 0 must be an array, a tensor or a list of numbers, found str;"),
        (["bark.wav"], {}, "Recording 0 must be an array, a tensor or a list of numbers, found str;"),
        ({"array": np.ones(9)}, {}, "found dict; of a row of a data set pass audio['array']"),
        ([{"array": np.ones(9)}], {}, "found dict; of a row of a data set pass audio['array']"),
        (np.array(["a"]), {}, "Recording 0 must hold numbers, found <U1."),
    ],
)
def test_what_cannot_be_followed_is_a_sentence(feature_extractor, clips, waveforms, arguments, sentence: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        feature_extractor(clips if waveforms is None else waveforms, **{"sampling_rate": RATE} | arguments)
    assert sentence in str(caught.value)


def test_features_are_padded_where_examples_become_a_batch(feature_extractor, folder, clips) -> None:
    model = AutoModelForAudioClassification.from_pretrained(folder)
    right = model(**feature_extractor(clips, sampling_rate=RATE)).logits
    examples = [
        {**{name: value[0] for name, value in feature_extractor(clip, sampling_rate=RATE).items()}, "label": index}
        for index, clip in enumerate(clips)
    ]
    listed = [{name: torch.as_tensor(value).tolist() for name, value in example.items()} for example in examples]
    for some in (examples, listed):
        batch = feature_extractor.pad(some, padding=True, pad_to_multiple_of=8, return_tensors="pt")
        assert batch["input_features"].shape[-1] == 64
        assert batch.pop("label").tolist() == [0, 1, 2]
        torch.testing.assert_close(model(**batch).logits, right, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="leave max_length and truncation out"):
        feature_extractor.pad(examples, max_length=9)
    with pytest.raises(ValueError, match="Expected input_features to pad, found label; extract them first"):
        feature_extractor.pad([{"label": 0}])


@pytest.mark.parametrize("processing_class", [True, False])
def test_the_guide_trains_and_predicts(folder, feature_extractor, tmp_path, rng, processing_class: bool) -> None:
    labels = ["no", "yes", "zoo", "out"]
    samples = [(0.1 * rng.standard_normal(9_000 + 1_000 * (index % 3))).astype(np.float32) for index in range(8)]
    rows = datasets.Dataset.from_dict(
        {"array": samples, "intent_class": [index % 4 for index in range(8)]},
        datasets.Features(
            {"array": datasets.List(datasets.Value("float32")), "intent_class": datasets.ClassLabel(names=labels)}
        ),
    ).train_test_split(0.5, seed=0)

    def preprocess_function(examples):
        settings = {} if processing_class else {"max_length": 9_000, "truncation": True}
        arrays = [np.asarray(array) for array in examples["array"]]
        return feature_extractor(
            arrays, sampling_rate=feature_extractor.sampling_rate, return_attention_mask=True, **settings
        )

    encoded = rows.map(preprocess_function, remove_columns="array", batched=True, batch_size=1)
    encoded = encoded.rename_column("intent_class", "label")
    model = AutoModelForAudioClassification.from_pretrained(
        folder,
        num_labels=len(labels),
        label2id={label: str(index) for index, label in enumerate(labels)},
        id2label={str(index): label for index, label in enumerate(labels)},
        ignore_mismatched_sizes=True,
    )
    assert (model.config.logit_temperature, model.config.class_names) == (1.0, labels)

    def compute_metrics(eval_pred):
        predictions = np.argmax(eval_pred.predictions, axis=1)
        return {"accuracy": float((predictions == eval_pred.label_ids).mean())}

    trainer = Trainer(
        model=model,
        args=TrainingArguments(str(tmp_path), max_steps=2, per_device_train_batch_size=2, use_cpu=True, report_to=[]),
        train_dataset=encoded["train"],
        eval_dataset=encoded["test"],
        processing_class=feature_extractor if processing_class else None,
        compute_metrics=compute_metrics,
    )
    trainer.train()
    assert 0.0 <= trainer.evaluate()["eval_accuracy"] <= 1.0
    trainer.save_model(tmp_path / "saved")
    feature_extractor.save_pretrained(tmp_path / "saved")

    saved = AutoModelForAudioClassification.from_pretrained(tmp_path / "saved")
    stock = AudioClassificationPipeline(model=saved, feature_extractor=feature_extractor, device="cpu")
    answer = stock({"array": samples[0], "sampling_rate": RATE}, top_k=2)
    assert len(answer) == 2
    assert {one["label"] for one in answer} < set(labels)
    classify = pipeline("audio-classification", model=saved, feature_extractor=feature_extractor, device="cpu")
    assert len(classify(samples[0])) == 4
    inputs = feature_extractor(samples[0], sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        predicted = int(torch.argmax(saved(**inputs).logits))
    assert saved.config.id2label[predicted] in labels


def test_the_processor_is_the_feature_extractor(folder, clips) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    assert processor(clips[0], sampling_rate=RATE, return_tensors="pt")["input_features"].shape[-1] == 63


def test_nothing_is_not_padded(feature_extractor) -> None:
    with pytest.raises(ValueError, match="^Expected at least one example to pad, found none"):
        feature_extractor.pad([])
