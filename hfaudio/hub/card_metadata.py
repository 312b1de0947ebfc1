"""What the Hub reads at the head of a model's card."""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from hfaudio.data.ready_datasets import is_hub_id
from hfaudio.evaluation import HEADLINES
from hfaudio.training import RunArguments, TrainedClassifier

__all__ = ["card_metadata", "dataset_name", "hub_datasets", "is_same_model", "without_itself"]

TASK = "audio-classification"
LOCAL_FOLDER = "audiofolder"  # the builder of datasets that reads one
METRICS: dict[str, tuple[str, dict[str, str] | None]] = {
    "accuracy": ("accuracy", None),
    "mean_average_precision": ("mean_average_precision", None),
    "macro_f1": ("f1", {"average": "macro"}),
}
"""The name on the Hub of each headline, and what it was computed with."""

GIVEN_PART = "the given part "
OUR_LICENSE = "apache-2.0"
NO_LICENSE = "unknown"


def card_metadata(name: str, run: RunArguments, trained: TrainedClassifier) -> ModelCardData:
    """Collects the metadata.

    Unless `--model_license` says otherwise the licence is `unknown`, as the Hub calls what nobody has decided: whether
    weights may be passed on depends on what they were trained on. The built-in sounds are the package's own, and so
    are weights that have seen nothing else.

    Args:
        name: Of the model: that of its folder, or `owner/name`.
        run: All settings.
        trained: The model and what was measured of it.
    """
    ours = not run.data.dataset and run.model.model_name_or_path is None and run.model.backbone_weights is None
    results = _results(run, trained)
    return ModelCardData(
        license=run.training.model_license or (OUR_LICENSE if ours else NO_LICENSE),
        library_name="transformers",
        pipeline_tag=TASK,
        tags=["audio", "hfaudio", "generated_from_trainer"],
        base_model=None if is_same_model(run.base_model, name) else run.base_model,
        datasets=[source.partition("@")[0] for source in hub_datasets(run)] or None,
        metrics=[result.metric_type for result in results],
        model_name=name.rpartition("/")[2],
        eval_results=results,
        co2_eq_emissions=_emissions(run, trained),
    )


def hub_datasets(run: RunArguments) -> list[str]:
    """Those of the data sets that came from the Hub, as `owner/name` or `owner/name@revision`."""
    return [source for source in run.data.dataset if is_hub_id(source) and not Path(source).exists()]


def is_same_model(base: str | None, name: str) -> bool:
    """Whether a model was trained further from an earlier revision of the repository it goes to, by their ids."""
    return base is not None and base.casefold() == name.casefold()


def without_itself(card: str, name: str) -> str:
    """The text of a card that does not name its own repository as the base of its model, which the Hub would show.

    Args:
        card: With metadata.
        name: `owner/name`, where it goes.
    """
    if "base_model:" not in card:
        return card
    own = ModelCard(card, ignore_metadata_errors=True)
    base = getattr(own.data, "base_model", None)
    if not isinstance(base, str) or not is_same_model(base, name):
        return card
    setattr(own.data, "base_model", None)  # noqa: B010  # not declared, as all fields of a card's data
    return str(own)


def dataset_name(run: RunArguments) -> str:
    """What people call the data set: its id, or the name of its folder or file."""
    hub = hub_datasets(run)
    names = [source if source in hub else Path(source).resolve().name for source in run.data.dataset]
    return " and ".join(names) or "the built-in synthetic sounds"


def _results(run: RunArguments, trained: TrainedClassifier) -> list[EvalResult]:
    hub = hub_datasets(run)
    from_hub = len(hub) == len(run.data.dataset) == 1
    dataset_id, _, revision = hub[0].partition("@") if from_hub else (LOCAL_FOLDER, "", "")
    folds = (trained.cross_validation or {}).get("metrics", {})
    results = []
    for metric, (words, _) in HEADLINES.items():
        if f"eval_{metric}" not in trained.metrics:
            continue
        kind, arguments = METRICS[metric]
        results.append(
            EvalResult(
                task_type=TASK,
                task_name="Audio Classification",
                dataset_type=dataset_id,
                dataset_name=dataset_name(run),
                dataset_split=trained.split_description.removeprefix(GIVEN_PART),
                dataset_revision=revision or None,
                metric_type=kind,
                metric_name=f"{words}, mean of the folds" if folds else words,
                metric_args=arguments,
                metric_value=folds[metric]["mean"] if folds else trained.metrics[f"eval_{metric}"],
            )
        )
    return results


def _emissions(run: RunArguments, trained: TrainedClassifier) -> dict[str, Any] | None:
    record = trained.record
    if record.co2_kg is None:
        return None
    return {
        "emissions": 1000 * record.co2_kg,  # in grams
        "source": "codecarbon",
        "training_type": "pre-training" if run.model.model_name_or_path is None else "fine-tuning",
        "hardware_used": record.device,
    }
