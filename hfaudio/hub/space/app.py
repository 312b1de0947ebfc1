"""A page that names the sounds of recordings: one with its spectrogram, or many in a table.

Which model it uses stands in settings.json beside it, as `model` and `revision`. The environment variables MODEL, a
folder or a repository, and REVISION stand in for the file: `MODEL=runs/latest python app.py`.
"""

import csv
import html
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from drawing import draw
from gradio.processing_utils import save_bytes_to_cache
from listening import SILENT, Classifier, Heard, classify, judge, listen, read_recording
from matplotlib.figure import Figure
from transformers import pipeline

__all__ = ["build_page", "load_classifier", "make_theme", "read_settings", "table_columns", "table_rows", "write_csv"]

HERE = Path(__file__).parent
LARGEST_FILE = "200mb"
KEPT_SECONDS = 3600  # what visitors upload, and what was heard in it
RANKS = 3  # classes named in the CSV file
SEEN_COLUMNS = ("file", "label", "score", "error")  # of those that the CSV file has
MOST_BARS = 10
PLUM = gr.themes.Color(
    *("#fbf5fb", "#f4e6f5", "#e8cdea", "#d9b8dd", "#c288c8", "#a54fad"),
    *("#7d2a86", "#6b2273", "#571b5e", "#43144a", "#2a0a2f"),
)
HEADER = """
<p class="kind">Audio classification</p>
<h1>{title}</h1>
<p>Names {number} sounds: {names}. {link}</p>
"""


def read_settings() -> tuple[str, str | None]:
    """Reads which model and which revision of it are used.

    Raises:
        SystemExit: Neither settings.json nor MODEL says so.
    """
    if "MODEL" in os.environ:
        return os.environ["MODEL"], os.environ.get("REVISION")
    path = HERE / "settings.json"
    if not path.is_file():
        raise SystemExit(f"error: Expected settings.json in {HERE} or MODEL in the environment, found neither.")
    settings = json.loads(path.read_text(encoding="utf-8"))
    return settings["model"], settings["revision"]


def load_classifier(model: str, revision: str | None) -> tuple[Classifier, float]:
    """Loads the pipeline that comes with a model, and the threshold below which it calls a recording unknown.

    Args:
        model: A folder or a repository, whose code is run.
        revision: A commit, a tag or a branch.
    """
    classifier = pipeline("audio-classification", model=model, revision=revision, trust_remote_code=True)
    config = classifier.model.config
    threshold = getattr(config, "unknown_threshold", None)
    if threshold is None:
        threshold = 0.5 if _is_multi_label(classifier) else 0.0
    config.unknown_threshold = None  # the page's slider decides
    return classifier, threshold


def table_columns(ranks: int) -> list[str]:
    """The columns of the table, as `scripts/predict.py` of hfaudio names them."""
    ranked = [f"{name}_{rank}" for rank in range(2, ranks + 1) for name in ("label", "score")]
    return ["file", "start", "end", "label", "score", *ranked, "error"]


def table_rows(
    classifier: Classifier, paths: Sequence[str], threshold: float, progress: gr.Progress | None = None
) -> list[list[Any]]:
    """Classifies files; one that cannot be read, or is silent, has a row with an error.

    Args:
        classifier: The pipeline that comes with the model.
        paths: Of the files.
        threshold: Below it a recording is unknown.
        progress: Told of each file.

    Returns:
        A row a file, with `table_columns`.
    """
    ranks = min(RANKS, classifier.model.config.num_labels)
    rows = []
    for path in progress.tqdm(paths, unit="files") if progress else paths:
        row = dict.fromkeys(table_columns(ranks)) | {"file": Path(path).name}
        try:
            samples, rate = read_recording(path)
            scores = classify(classifier, samples, rate)
        except ValueError as error:
            row["error"] = str(error)
        else:
            row |= {"start": 0.0, "end": round(len(samples) / rate, 3)}
            for rank, (label, score) in enumerate(list(scores.items())[:ranks], start=1):
                suffix = "" if rank == 1 else f"_{rank}"
                row |= {f"label{suffix}": label, f"score{suffix}": round(score, 6)}
            if scores:
                row["label"] = judge(scores, threshold, _is_multi_label(classifier))
            else:
                row["error"] = SILENT
        rows.append(list(row.values()))
    return rows


def write_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """A table as the bytes of a CSV file, in UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue().encode()


def build_page(classifier: Classifier, model: str, threshold: float) -> gr.Blocks:
    """Builds the page.

    Args:
        classifier: The pipeline that comes with the model.
        model: Its folder or repository.
        threshold: Where the slider stands at first.
    """
    title = Path(model).name
    with gr.Blocks(title=title, delete_cache=(KEPT_SECONDS, KEPT_SECONDS), analytics_enabled=False) as page:
        gr.HTML(_header(classifier, model, title), elem_id="header", padding=False)
        with gr.Row():
            slider = gr.Slider(
                0, 0.99, threshold, step=0.01, label="Threshold", info="Less probable sounds are called unknown."
            )
            labels = classifier.model.config.num_labels
            top_k = gr.Slider(1, min(labels, MOST_BARS), min(labels, 5), step=1, label="Classes shown")
        with gr.Tab("One recording"):
            _build_recording_tab(classifier, slider, top_k)
        with gr.Tab("Many files"):
            _build_table_tab(classifier, slider)
    return page


def make_theme() -> gr.themes.Base:
    """The colours and fonts of the page; nothing is fetched from elsewhere."""
    return gr.themes.Soft(
        primary_hue=PLUM, secondary_hue=PLUM, neutral_hue="zinc", font=("system-ui", "sans-serif")
    ).set(
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_shadow="none",
        block_label_text_color="*neutral_500",
        block_label_text_color_dark="*neutral_400",
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_text_color="*neutral_500",
        block_title_text_color_dark="*neutral_400",
        block_title_padding="0",
        block_radius="12px",
    )


def _build_recording_tab(classifier: Classifier, threshold: gr.Slider, top_k: gr.Slider) -> None:
    multi_label = _is_multi_label(classifier)

    def hear(path: str | None) -> Heard | None:
        try:
            return None if path is None else listen(classifier, path)
        except ValueError as error:
            # Not gr.Error: what was heard before has to go from the page.
            gr.Warning(html.escape(str(error)), title="Not heard")
            return None

    def show(
        heard: Heard | None, threshold: float, top_k: int
    ) -> tuple[str | None, dict[str, float] | None, Figure | None]:
        if heard is None:
            return None, None, None
        verdict = f"<p>{html.escape(judge(heard.scores, threshold, multi_label))}</p>"
        return verdict, dict(list(heard.scores.items())[:top_k]), draw(heard, top_k, threshold)

    with gr.Row():
        with gr.Column(scale=2):
            audio = gr.Audio(type="filepath", label="Recording", elem_id="recording")
            clips = sorted(map(str, (HERE / "examples").glob("*")))
            if clips:
                gr.Examples(clips, audio, label="Examples", example_labels=[Path(clip).stem for clip in clips])
        with gr.Column(scale=3):
            verdict = gr.HTML(elem_id="verdict", padding=False)
            bars = gr.Label(label="Probabilities", show_heading=False, elem_id="bars")
            picture = gr.Plot(label="Spectrogram and scores over time", show_label=False, elem_id="picture")
    heard = gr.State(time_to_live=KEPT_SECONDS)
    shown = {"fn": show, "inputs": [heard, threshold, top_k], "outputs": [verdict, bars, picture]}
    audio.change(hear, audio, heard, api_name="hear").then(**shown, api_visibility="private")
    gr.on(
        [threshold.change, top_k.change],
        **shown,
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )


def _build_table_tab(classifier: Classifier, threshold: gr.Slider) -> None:
    columns = table_columns(min(RANKS, classifier.model.config.num_labels))
    seen = [columns.index(name) for name in SEEN_COLUMNS]

    def classify_files(
        paths: list[str] | None,
        threshold: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[list[list[Any]], Any]:
        if not paths:
            raise gr.Error("Choose some files first.", print_exception=False)
        rows = table_rows(classifier, paths, threshold, progress)
        path = save_bytes_to_cache(write_csv(columns, rows), "predictions.csv", download.GRADIO_CACHE)
        return [[row[index] for index in seen] for row in rows], gr.DownloadButton(value=path, interactive=True)

    files = gr.File(file_count="multiple", label="Recordings", elem_id="files")
    with gr.Row():
        button = gr.Button("Classify", variant="primary")
        download = gr.DownloadButton("Download CSV", interactive=False)
    table = gr.Dataframe(
        headers=list(SEEN_COLUMNS),
        column_widths=["26%", "18%", "12%", "44%"],
        label="Predictions",
        interactive=False,
        wrap=True,
        elem_id="table",
    )
    button.click(classify_files, [files, threshold], [table, download], api_name="classify_files")


def _is_multi_label(classifier: Classifier) -> bool:
    return classifier.model.config.problem_type == "multi_label_classification"


def _header(classifier: Classifier, model: str, title: str) -> str:
    names = list(classifier.model.config.id2label.values())
    address = f'<a href="https://huggingface.co/{model}">The model and how it was judged</a>'
    return HEADER.format(
        title=html.escape(title),
        number=len(names),
        names=html.escape(", ".join(names)),
        link="" if Path(model).is_dir() else address,
    )


def main() -> None:
    """Loads the model and opens the page."""
    model, revision = read_settings()
    classifier, threshold = load_classifier(model, revision)
    build_page(classifier, model, threshold).launch(
        theme=make_theme(),
        css_paths=HERE / "style.css",
        max_file_size=LARGEST_FILE,
        footer_links=["gradio"],
    )


if __name__ == "__main__":
    main()
