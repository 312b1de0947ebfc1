import base64
import dataclasses
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hfaudio.data import (
    DatasetReport,
    PreparedAudio,
    describe_dataset,
    load_audio_dataset,
    make_example,
    render_report,
    typical_recordings,
    write_report,
)
from hfaudio.data.findings import list_findings
from hfaudio.data.number_formats import as_duration, as_percent
from hfaudio.data.report import _length_edges
from hfaudio.data.suggestions import suggest_crop

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Reads a page strictly: every element that opens, closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data

    def attributes(self, name: str) -> list[str]:
        return [found for _, attributes in self.elements if (found := attributes.get(name)) is not None]


def write_noise(path: Path, seed: int, seconds: float = 1.0, gain: float = 0.1) -> np.ndarray:
    """Noise whose bands swell at other times for each seed, so that its fingerprint is its own."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16_000)) / 16_000
    samples = np.zeros(len(time))
    for center in np.linspace(150, 3600, 24):
        swell = np.interp(time, np.linspace(0, seconds, 12), rng.uniform(0, 1, 12)) ** 3
        samples += swell * np.sin(2 * np.pi * center * time + rng.uniform(0, 6))
    samples *= gain / np.abs(samples).max()
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16_000)
    return samples


@pytest.fixture
def constructed(tmp_path) -> PreparedAudio:
    """Eight recordings of two classes: a source in two folds, a copy, a louder copy with noise, a file of words."""
    folder = tmp_path / "constructed"
    rows = ["file_name,label,fold,source_id"]
    for index in range(6):
        label, fold, source = ("high", "low")[index >= 4], index % 2 + 1, f"s{0 if index < 2 else index}"
        write_noise(folder / f"{index}.wav", index, seconds=1.0 if index else 2.0)
        rows.append(f"{index}.wav,{label},{fold},{source}")
    (folder / "copy.wav").write_bytes((folder / "2.wav").read_bytes())
    rows.append("copy.wav,low,1,s2")
    samples = write_noise(folder / "3.wav", 3)
    soundfile.write(folder / "louder.wav", 3 * samples + np.random.default_rng(0).normal(0, 1e-4, 16_000), 16_000)
    rows.append("louder.wav,high,1,s9")
    (folder / "words.wav").write_text("words")
    rows.append("words.wav,high,1,s10")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return load_audio_dataset(folder, num_proc=1)


@pytest.fixture
def report(constructed) -> DatasetReport:
    return describe_dataset(constructed, "constructed")


def page_of(audio: PreparedAudio, name: str = "sounds") -> str:
    examples = [make_example(audio, *typical) for typical in typical_recordings(audio, 24)]
    return render_report(describe_dataset(audio, name), examples, ["train.py", "--dataset", name], "report.json")


def test_counts_and_lengths(report) -> None:
    assert (report.found, report.kept, len(report.left_out)) == (9, 8, 1)
    assert report.left_out[0].file_name == "words.wav"
    assert report.headline == "9 recordings found, 8 kept, 1 left out, 1 suspicious"
    assert report.seconds == report.seconds_in_files == 9.0
    assert [(own.name, own.recordings, own.seconds, own.groups) for own in report.classes] == [
        ("high", 5, 6.0, 4),
        ("low", 3, 3.0, 3),
    ]
    assert (report.lengths.minimum, report.lengths.median, report.lengths.maximum) == (1.0, 1.0, 2.0)
    assert (report.sampling_rates, report.channels) == ({"16000": 8}, {"1": 8})
    assert report.imbalance == pytest.approx(5 / 3)


def test_every_recording_stands_in_a_bin(report, audio) -> None:
    for facts in (report, describe_dataset(audio, "synthetic")):
        for distribution in (facts.lengths, facts.levels, facts.silence):
            assert sum(distribution.counts) == facts.kept
            assert len(distribution.edges) == len(distribution.counts) + 1


@pytest.mark.parametrize("seconds", [[1.0], [0.01, 0.02], [0.1, 3.0, 2000.0], [5.0, 5.0001], [1e-4, 30.0]])
def test_length_bins_hold_the_extremes(seconds) -> None:
    edges, _ = _length_edges(np.array(seconds))
    assert edges[0] <= min(seconds)
    assert max(seconds) <= edges[-1]
    assert np.all(np.diff(edges) > 0)
    assert len(edges) <= 32


def test_a_source_in_two_folds_is_found(report) -> None:
    (shared,) = report.overlaps.shared_groups
    assert (shared.group, shared.folds) == ("s0", {"1": 1, "2": 1})
    assert report.overlaps.with_siblings == 4 / 8
    assert report.overlaps.folds == {"1": 5, "2": 3}
    assert report.overlaps.folds_leak


def test_copies_are_found_with_what_contradicts(report) -> None:
    (copies,) = report.overlaps.copies
    assert [place.file_name for place in copies.recordings] == ["2.wav", "copy.wav"]
    assert copies.labels_differ
    assert not copies.folds_differ


def test_near_duplicates_are_found_without_copies(report) -> None:
    (own,) = report.overlaps.near_duplicates
    assert [place.file_name for place in own.recordings] == ["3.wav", "louder.wav"]
    assert own.similarity > 0.9
    assert (own.labels_differ, own.folds_differ, own.groups_differ) == (False, True, True)


def test_folds_share_what_was_put_there(report) -> None:
    (pair,) = report.overlaps.fold_pairs
    assert (pair.one, pair.other, pair.groups, pair.copies, pair.near_duplicates) == ("1", "2", 1, 0, 1)


def test_a_copy_in_another_fold_leaks(two_classes) -> None:
    rows = [f"{kind}/{index}.wav,{kind},{index}\n" for kind in ("high", "low") for index in range(4)]
    (two_classes / "low" / "3.wav").write_bytes((two_classes / "low" / "0.wav").read_bytes())
    (two_classes / "metadata.csv").write_text("file_name,label,fold\n" + "".join(rows))
    overlaps = describe_dataset(load_audio_dataset(two_classes, num_proc=1), "two").overlaps
    assert [(pair.one, pair.other, pair.copies) for pair in overlaps.fold_pairs if pair.copies] == [("0", "3", 1)]
    assert overlaps.folds_leak


@pytest.mark.parametrize(
    ("seconds", "crop"),
    [
        ([5.0] * 10, 3.0),
        ([4.0] * 10, 2.5),
        ([1.0] * 10, 1.0),
        ([0.98] * 10, 1.0),
        ([0.2] * 10, 0.5),
        ([100.0] * 10, 10.0),
        ([1.0] * 4 + [9.0] * 6, 1.0),
        ([1.0] * 2 + [9.0] * 8, 6.0),
    ],
)
def test_crop_is_filled_by_most_and_leaves_a_choice(seconds, crop: float) -> None:
    assert suggest_crop(np.array(seconds)) == crop


def flags(report: DatasetReport) -> str:
    return " ".join(flag for suggestion in report.suggestions for flag in suggestion.flags)


def test_flags_suit_the_data(report, audio, two_classes, write_tone) -> None:
    # Folds that leak are made anew, once there are enough sources; given ones that do not are kept.
    assert flags(report) == "--crop_seconds 1 --pad_mode zero --num_folds 5 --eval_folds 1"
    assert flags(describe_dataset(audio, "synthetic")).endswith("--eval_folds 5")
    for index in range(4, 12):
        write_tone(f"two/high/{index}.wav", frequency=2000 + 100 * index)
    unbalanced = describe_dataset(load_audio_dataset(two_classes, num_proc=1), "two")
    assert flags(unbalanced) == "--crop_seconds 0.5 --pad_mode repeat --class_weights balanced"
    assert "--group_column" in unbalanced.suggestions[-1].reason


def test_silence_suggests_to_trim_until_it_is_cut_out(tmp_path) -> None:
    for kind in ("a", "b"):
        for index in range(3):
            path = tmp_path / kind / f"{index}.wav"
            samples = write_noise(path, index)
            soundfile.write(path, np.concatenate([samples, np.zeros(64_000)]), 16_000)
    whole = describe_dataset(load_audio_dataset(tmp_path, num_proc=1), "whole")
    assert whole.crop_seconds == 3.0
    assert "--trim_silence ends" in flags(whole)
    trimmed = describe_dataset(load_audio_dataset(tmp_path, trim_silence="ends", num_proc=1), "trimmed")
    assert trimmed.crop_seconds == 1.0
    assert "--trim_silence" not in flags(trimmed)
    assert trimmed.seconds < 0.3 * trimmed.seconds_in_files


def test_multi_label(two_classes) -> None:
    rows = [f"high/{index}.wav,high|loud\nlow/{index}.wav,low\n" for index in range(4)]
    (two_classes / "metadata.csv").write_text("file_name,label\n" + "".join(rows))
    audio = load_audio_dataset(two_classes, label_separator="|", num_proc=1)
    report = describe_dataset(audio, "two")
    assert report.multi_label
    assert [(own.name, own.recordings) for own in report.classes] == [("high", 4), ("loud", 4), ("low", 4)]
    assert "A recording of several classes counts for each" in page_of(audio)


def test_the_page_needs_nothing_else(audio) -> None:
    page = Page(page_of(audio))
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe"})
    for reference in page.attributes("src"):
        assert reference.startswith("data:")
    for reference in page.attributes("href"):
        assert reference.startswith("#") or reference == "report.json"
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {reference[1:] for reference in page.attributes("href") if reference[0] == "#"} <= set(ids)
    assert "http" not in page_of(audio).replace("http-equiv", "")


def test_examples_can_be_heard_and_seen(audio) -> None:
    sources = Page(page_of(audio)).attributes("src")
    assert len(sources) == 2 * len(audio.class_names)
    for source in sources:
        kind, content = source.split(";base64,")
        decoded = base64.b64decode(content, validate=True)
        if kind == "data:audio/mpeg":
            samples, rate = soundfile.read(io.BytesIO(decoded))
            assert rate == 16_000
            assert np.abs(samples).max() > 0.4
        else:
            assert kind == "data:image/png"
            assert decoded.startswith(b"\x89PNG\r\n\x1a\n")


def test_examples_are_typical_and_the_same_each_time(constructed) -> None:
    typical = dict(typical_recordings(constructed, 24))
    assert typical == dict(typical_recordings(constructed, 24))
    names = {name: constructed.dataset[index]["file_name"] for name, index in typical.items()}
    assert names["high"] != "0.wav"  # twice as long as the others
    assert names["low"] != "copy.wav"  # suspicious
    assert len(list(typical_recordings(constructed, 1))) == 1


def test_an_excerpt_is_the_loudest(tmp_path, write_tone) -> None:
    write_tone("s/b/0.wav")
    samples = np.concatenate([np.zeros(48_000), 0.5 * np.sin(np.arange(80_000)), np.zeros(80_000)])
    path = tmp_path / "s" / "a" / "0.wav"
    path.parent.mkdir()
    soundfile.write(path, samples, 16_000)
    example = make_example(load_audio_dataset(tmp_path / "s", num_proc=1), "a", 0)
    assert (example.file_name, example.seconds, example.excerpt.seconds) == ("a/0.wav", 13.0, 5.0)
    assert example.excerpt.start == pytest.approx(3.0, abs=0.01)


def test_names_are_escaped(tmp_path, write_tone) -> None:
    for kind in ("<script>alert(1)<", "b&b"):
        for index in range(2):
            write_tone(f"s/{kind}/{index}'\"<b>.wav", frequency=300 * (index + 1) * len(kind))
    (tmp_path / "s" / "b&b" / "<i>.wav").write_text("words")
    text = page_of(load_audio_dataset(tmp_path / "s", num_proc=1), name="<u>")
    assert "<script>alert(1)<" in Page(text).text
    for tag in ("<script", "<b>.wav", "<i>", "<u>"):
        assert tag not in text


def test_many_rows_are_cut_in_the_page_and_whole_in_the_file(constructed, tmp_path) -> None:
    left_out = constructed.left_out * 70
    audio = PreparedAudio(constructed.dataset, left_out, constructed.sampling_rate)
    write_report(describe_dataset(audio, "many"), [], ["train.py"], tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "and 20 more, which page.json lists" in page.text
    facts = json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))
    assert len(facts["left_out"]) == 70
    assert facts["suspicious"] == 1
    assert facts["overlaps"]["near_duplicates"][0]["recordings"][0]["file_name"] == "3.wav"


def test_many_alike_are_cut_in_the_page_and_whole_in_the_file(constructed, tmp_path) -> None:
    report = describe_dataset(constructed, "alike")
    (own,) = report.overlaps.near_duplicates
    many = dataclasses.replace(own, recordings=own.recordings * 1000)
    report = dataclasses.replace(report, overlaps=dataclasses.replace(report.overlaps, near_duplicates=(many,) * 60))
    write_report(report, [], ["train.py"], tmp_path / "page.html")
    text = Page((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "60 groups of near-duplicates" in text
    assert "and 1,988 more, which page.json lists" in text  # of the recordings of a group
    assert "and 35 more, which page.json lists" in text  # of the groups
    assert "120,000 recordings sounding alike, in 60 groups, each with the same labels." in text
    assert (tmp_path / "page.html").stat().st_size < 500_000
    facts = json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))
    assert len(facts["overlaps"]["near_duplicates"][0]["recordings"]) == 2000


def test_many_classes_are_cut(write_tone, tmp_path) -> None:
    for index in range(45):
        write_tone(f"s/class_{index:02}/0.wav", frequency=200 + 40 * index, seconds=0.1)
    audio = load_audio_dataset(tmp_path / "s", num_proc=1)
    page = Page(page_of(audio))
    assert "5 classes between these are not shown" in page.text
    assert "the 24 largest of 45 classes" in page.text


def test_findings_name_what_leaks(constructed) -> None:
    text = Page(page_of(constructed)).text
    assert "The folds leak: 1 source in more than one." in text
    assert "1 set of exact copies, 1 of them with different labels." in text
    assert "1 recording (11%) cannot be used." in text


def test_small_shares_are_not_called_none() -> None:
    assert [as_percent(share) for share in (0.0, 0.004, 0.114, 1.0)] == ["0%", "0.4%", "11%", "100%"]


def test_durations_take_the_unit_that_reads_well() -> None:
    written = [as_duration(seconds) for seconds in (0.5, 90.0, 7050.0, 3.5986e6)]
    assert written == ["0.50 s", "1.5 min", "1.96 h", "1,000 h"]


def test_doubtful_names_of_classes_come_before_their_balance(write_tone, tmp_path) -> None:
    for index, label in enumerate(("bell", "Bell", "dog")):
        write_tone(f"s/{label}/a.wav", frequency=300 + 100 * index)
    report = describe_dataset(load_audio_dataset(tmp_path / "s", num_proc=1), "s")
    assert report.suspicious == 1
    texts = {finding.text: finding.status for finding in list_findings(report) if finding.section == "classes"}
    assert texts == {
        "Names of classes that may be wrong, and the counts with them: 'bell' differs from 'Bell' in spelling alone; "
        "recordings of this class: 1.": "bad"
    }
