"""The page of a Space in a real browser: `apt-get install chromium`, then `pytest tests/hub/test_space_page.py`."""

import csv
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import numpy as np
import pytest
import soundfile
import torch

from hfaudio.hub import write_space
from hfaudio.inference import Predictor
from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNFeatureExtractor, SpectrogramCNNForAudioClassification

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e '.[space]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

# Chromium refuses its sandbox to root; the others keep it from looking for hosts of its own. The microphone beeps.
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
PATIENCE = 120_000  # ms; such machines as run tests are busy


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """A low tone and a high one, and what is no sound."""
    folder = tmp_path_factory.mktemp("sounds")
    for name, frequency in (("low", 150), ("high", 3_000)):
        samples = 0.5 * np.sin(2 * np.pi * frequency * np.arange(48_000) / 16_000)
        soundfile.write(folder / f"{name}.wav", samples, 16_000)
    (folder / "broken.wav").write_bytes(b"not a sound" * 50)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, sounds) -> Path:
    """A model that tells the two tones apart."""
    folder = tmp_path_factory.mktemp("model") / "tones"
    torch.manual_seed(0)
    config = SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], id2label={0: "high", 1: "low"})
    classifier = SpectrogramCNNForAudioClassification(config).eval()
    extractor = SpectrogramCNNFeatureExtractor(n_mels=16, crop_seconds=0.5)
    # The classifier's weights point from what it makes of one tone to what it makes of the other.
    tones = [soundfile.read(sounds / f"{name}.wav", dtype="float32")[0] for name in ("high", "low")]
    pooled = []
    hook = classifier.classifier.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0]))
    with torch.no_grad():
        classifier(**extractor(tones, sampling_rate=16_000))
        hook.remove()
        (high, low) = pooled[0]
        direction = 3 * (high - low) / (high - low).norm() ** 2
        classifier.classifier.weight.copy_(torch.stack([direction, -direction]))
        middle = direction @ (high + low) / 2
        classifier.classifier.bias.copy_(torch.stack([-middle, middle]))
    classifier.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory, model, sounds) -> Iterator[str]:
    """Of the page, served by a process of its own."""
    folder = tmp_path_factory.mktemp("space")
    write_space(folder, model, "owner/tones", "main", [sounds / "low.wav", sounds / "broken.wav"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(folder / "cache"),
        "MODEL": str(model),
        "NO_PROXY": "127.0.0.1,localhost",
    }
    log = folder / "log.txt"
    with open(log, "w") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_for(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)
    assert "Traceback" not in log.read_text()


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = build_opener(ProxyHandler({}))
    for _ in range(PATIENCE // 250):
        assert process.poll() is None, log.read_text()
        try:
            opener.open(address).close()
        except URLError:
            time.sleep(0.25)
        else:
            return
    pytest.fail(log.read_text())


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address) -> Iterator["sync_api.Page"]:
    """The page, opened; it asks no other host for anything."""
    context = browser.new_context(permissions=["microphone"])
    context.set_default_timeout(PATIENCE)
    sync_api.expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#recording")
    yield page
    context.close()
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]


def upload(page: "sync_api.Page", *paths: Path, into: str = "#recording") -> None:
    page.locator(f"{into} input[type=file]").set_input_files([str(path) for path in paths])


def test_an_uploaded_recording_is_named(page, model, sounds) -> None:
    upload(page, sounds / "high.wav")
    verdict = page.locator("#verdict")
    sync_api.expect(verdict).to_have_text("high")
    expected = Predictor.from_pretrained(model).predict(sounds / "high.wav")
    bars = page.locator("#bars")
    sync_api.expect(bars).to_contain_text(f"{round(100 * expected.score)}%")
    sync_api.expect(page.locator("#picture img")).to_be_visible()
    threshold = page.get_by_label("number input for Threshold")
    threshold.fill("0.99")
    threshold.press("Enter")
    sync_api.expect(verdict).to_have_text("unknown")


def test_a_broken_file_is_told_in_a_sentence_and_takes_the_place_of_what_was_heard(page, sounds) -> None:
    upload(page, sounds / "broken.wav")
    sentence = "broken.wav cannot be read as audio (Format not recognised): use WAV, FLAC, Ogg or MP3."
    sync_api.expect(page.get_by_text(sentence)).to_be_visible()
    assert "Traceback" not in page.content()
    verdict = page.locator("#verdict")
    page.get_by_role("button", name="low").click()
    sync_api.expect(verdict).to_have_text("low")
    page.get_by_role("button", name="broken").click()
    sync_api.expect(verdict).to_have_text("")


def test_the_microphone_is_heard(page) -> None:
    page.get_by_label("Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(1_500)
    page.get_by_role("button", name="Stop", exact=True).click()
    sync_api.expect(page.locator("#verdict")).to_have_text(re.compile("high|low"))


def test_many_files_become_a_table_and_a_csv_file(page, sounds) -> None:
    page.get_by_role("tab", name="Many files").click()
    upload(page, sounds / "low.wav", sounds / "broken.wav", sounds / "high.wav", into="#files")
    sync_api.expect(page.locator("#files")).to_contain_text(re.compile(r"high\s*\.wav"))
    page.get_by_role("button", name="Classify").click()
    sync_api.expect(page.locator("#table")).to_contain_text("broken.wav cannot be read as audio")
    with page.expect_download() as download:
        page.get_by_text("Download CSV").click()
    assert download.value.suggested_filename == "predictions.csv"
    with open(download.value.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["label"]) for row in rows] == [
        ("low.wav", "low"),
        ("broken.wav", ""),
        ("high.wav", "high"),
    ]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
