import pytest
from huggingface_hub import ModelCard

from hfaudio.hub import CardFacts, write_model_card

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
        "| 80 | 87.5 % | 0.864 |",
        "Measured on fold 5 of esc10, after training on the other 320 recordings",
        "(1 were left out as unreadable)",
        "log_mel: 16 bands, FFT 1024, window 800, hop 320 samples",
        "`accelerate launch scripts/train.py --dataset esc10`",
    ):
        assert part in card.content
    assert "synthetic" not in card.text
    assert "drawn at random" not in card.text


def test_caveats_follow_the_facts(tmp_path, tiny_model, extractor) -> None:
    facts = CardFacts("latest", "sounds", "20%", "train", synthetic=True, random_split=True)
    text = write_model_card(tmp_path, tiny_model, extractor, METRICS, facts).read_text(encoding="utf-8")
    assert "The training sounds are synthetic." in text
    assert "The split was drawn at random" in text
