"""Filling in the model card."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from hfaudio.evaluation import HEADLINES, describe_metrics
from hfaudio.model import SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

__all__ = ["CardFacts", "write_model_card"]

# In a checkout the template lies in model_card/; an installed wheel carries it beside this file.
TEMPLATE_PLACES = (
    Path(__file__).with_name("template.md"),
    Path(__file__).parents[2] / "model_card" / "template.md",
)

CALIBRATION = ("temperature", "eval_ece", "eval_ece_before", "unknown_threshold", "false_reject_rate")
"""The metrics that the card has of how far probabilities can be believed."""


@dataclass(frozen=True)
class CardFacts:
    """What the card says of the training run, beyond the model and its metrics.

    Attributes:
        model_name: Folder or repository of the model.
        dataset_name: What it was trained and evaluated on.
        split_description: Which part was held out, as in "fold 5".
        command: What made the model.
        synthetic: The recordings were synthesised.
        random_split: The held-out part was drawn at random, without regard to sources.
    """

    model_name: str
    dataset_name: str
    split_description: str
    command: str
    synthetic: bool = False
    random_split: bool = False


def write_model_card(
    folder: str | os.PathLike[str],
    model: SpectrogramCNNForAudioClassification,
    feature_extractor: SpectrogramCNNFeatureExtractor,
    metrics: Mapping[str, Any],
    facts: CardFacts,
) -> Path:
    """Writes `README.md`, the model's card, with the metadata that the Hub reads.

    Args:
        folder: The model's folder.
        model: The trained model.
        feature_extractor: With which it was trained.
        metrics: Of `hfaudio.training.TrainedClassifier`.
        facts: What the model does not know of itself.

    Returns:
        The card's path.
    """
    results = [
        EvalResult("audio-classification", "audiofolder", facts.dataset_name, name, metrics[f"eval_{name}"])
        for name in HEADLINES
        if f"eval_{name}" in metrics
    ]
    card_data = ModelCardData(
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["audio", "hfaudio"],
        model_name=facts.model_name,
        eval_results=results,
    )
    template = next(place for place in TEMPLATE_PLACES if place.is_file())
    card = ModelCard.from_template(
        card_data,
        template_path=str(template),
        **vars(facts),
        **{name: value for name, value in metrics.items() if name.endswith("_recordings")},
        **{name: metrics.get(name) for name in CALIBRATION},
        results=describe_metrics(metrics),
        multi_label=model.config.problem_type == "multi_label_classification",
        parameters=f"{model.num_parameters():,}",
        class_names=model.config.class_names,
        **{
            name: getattr(feature_extractor, name)
            for name in (
                "sampling_rate", "features", "feature_size", "n_fft", "win_length", "hop_length", "crop_seconds",
                "max_seconds",
            )
        },
    )  # fmt: skip
    path = Path(folder) / "README.md"
    path.write_text(card.content, encoding="utf-8")
    return path
