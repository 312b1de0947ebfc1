import pytest
from huggingface_hub import ModelCard

from hfaudio.hub import CardFacts, write_model_card
from hfaudio.model import SpectrogramCNNForAudioClassification

METRICS = {
    "eval_accuracy": 0.875,
    "eval_macro_f1": 0.8641,
    "eval_recordings": 80,
    "train_recordings": 320,
    "left_out_recordings": 1,
}


@pytest.fixture
def card(tmp_path, tiny_model, extractor) -> ModelCard:
    facts = CardFacts("esc", "esc10", "fold 5", "accelerate launch scripts/train.py --dataset esc10")
    return ModelCard.load(write_model_card(tmp_path, tiny_model, extractor, METRICS, facts))


def test_metadata_is_what_the_hub_reads(card) -> None:
    assert card.data.pipeline_tag == "audio-classification"
    assert card.data.library_name == "transformers"
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results == {"accuracy": 0.875, "macro_f1": 0.8641}


def test_text_says_what_happened(card) -> None:
    for part in (
        "# esc\n",
        "3 classes: LABEL_0, LABEL_1, LABEL_2.",
        "| 80 | 87.5% | 0.864 |",
        "Measured on fold 5 of esc10, after training on the other 320 recordings",
        "(1 that nothing can be learned from were left out)",
        "log_mel: 16 bands, FFT 1024, window 800, hop 320 samples",
        "`accelerate launch scripts/train.py --dataset esc10`",
    ):
        assert part in card.content
    assert "synthetic" not in card.text
    assert "drawn at random" not in card.text


def test_caveats_follow_the_facts(tmp_path, tiny_model, extractor) -> None:
    facts = CardFacts("latest", "sounds", "20% (recordings at random)", "train", synthetic=True, random_split=True)
    text = write_model_card(tmp_path, tiny_model, extractor, METRICS, facts).read_text(encoding="utf-8")
    assert "The training sounds are synthetic." in text
    assert "The split was drawn at random" in text
    assert "Measured on 20% (recordings at random) of sounds, after" in text


def test_a_validation_part_is_told_of(card, tmp_path, tiny_model, extractor) -> None:
    facts = CardFacts("latest", "sounds", "fold 2", "train")
    metrics = {**METRICS, "validation_recordings": 7}
    text = write_model_card(tmp_path, tiny_model, extractor, metrics, facts).read_text(encoding="utf-8")
    assert "(7 more were watched on the way)" in text
    assert "were watched" not in card.text


def table_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_the_table_has_a_column_for_each_metric(card) -> None:
    assert table_of(card.text) == [
        "| held-out recordings | accuracy | macro-F1 |",
        "|---|---|---|",
        "| 80 | 87.5% | 0.864 |",
    ]
    assert "sorts a recording into one of\n3 classes:" in card.text
    assert "One label a recording" in card.text


def test_a_model_of_several_classes_says_so(tmp_path, tiny_config, extractor) -> None:
    tiny_config.problem_type = "multi_label_classification"
    model = SpectrogramCNNForAudioClassification(tiny_config)
    metrics = {name: value for name, value in METRICS.items() if name != "eval_accuracy"}
    metrics["eval_mean_average_precision"] = 0.75
    path = write_model_card(tmp_path, model, extractor, metrics, CardFacts("several", "sounds", "fold 1", "train"))
    card = ModelCard.load(path)
    assert "tells which of\n3 classes a recording holds, any number of them: LABEL_0, LABEL_1, LABEL_2." in card.text
    assert "One label a recording" not in card.text
    assert "\n\n- A score on recordings that share" in card.text
    assert table_of(card.text) == [
        "| held-out recordings | mean average precision | macro-F1 |",
        "|---|---|---|",
        "| 80 | 0.750 | 0.864 |",
    ]
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results == {"mean_average_precision": 0.75, "macro_f1": 0.8641}


CALIBRATED = {**METRICS, "temperature": 0.5412, "eval_ece_before": 0.1261, "eval_ece": 0.0214}


def test_the_card_says_how_far_probabilities_can_be_believed(card, tmp_path, tiny_model, extractor) -> None:
    facts = CardFacts("esc", "esc10", "fold 5", "train")

    def text_of(metrics: dict) -> str:
        return " ".join(write_model_card(tmp_path, tiny_model, extractor, metrics, facts).read_text().split())

    text = text_of(CALIBRATED)
    assert "error is 2.1 %; without the temperature of 0.541, by which the model divides" in text
    assert "logits, it is 12.6 %." in text
    assert "fitted on the held-out part, and each fifth of it judged by one that was fitted on the others." in text
    watched = text_of({**CALIBRATED, "validation_recordings": 7})
    assert "fitted on the recordings that were watched on the way." in watched
    plain = text_of({**CALIBRATED, "temperature": 1.0, "eval_ece": 0.1261})
    assert "The expected calibration error is 12.6 %. `eval/calibration.png` shows it." in plain
    assert "calibration" not in card.text


def test_the_card_says_what_is_called_unknown(tmp_path, tiny_model, extractor) -> None:
    metrics = {**CALIBRATED, "unknown_threshold": 0.6406, "false_reject_rate": 0.05}
    facts = CardFacts("esc", "esc10", "fold 5", "train")
    text = " ".join(write_model_card(tmp_path, tiny_model, extractor, metrics, facts).read_text().split())
    assert "has a probability below 0.641, a recording is to be called unknown." in text
    assert "of recordings of the classes above, at most 5 % are;" in text
    assert "One label a recording" not in text
