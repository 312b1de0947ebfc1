"""Damaged files of every format: each ends in sound samples or in a reason, never in a crash, a hang or full memory.

The cases run in a process of their own, whose end the tests survive. More of them by hand, with the numbers of the
first and of the one after the last: `python tests/data/test_decoding_fuzz.py 0 50000`, and if wanted a folder of
recordings and a decoder. The last line on stderr is the number of the case that ended the process, if one did.
"""

import faulthandler
import io
import json
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile

resource = pytest.importorskip("resource", reason="limits on memory are those of Unix")

FORMATS = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
    ("WAV", "ULAW"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("W64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]
JOINABLE = (b"RIFF", b"fLaC", b"OggS", b"\xff")
EXTREMES = (0, 1, 3, 1_000, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
CASES = 2_400
REAL_CASES = 200
MOST_FILES = 50
SECONDS_PER_CASE = 10
ADDRESS_SPACE = 1 << 30  # bytes, beyond what the imported libraries take
RESIDENT = 300 << 20  # bytes, likewise
LONGEST = 3_000_000  # frames; the recordings have a few thousand, a damaged header can make each byte several


def recordings() -> list[bytes]:
    """Of each format, one in mono and one in stereo, of 0.1 to 0.3 s; and files that are two of these in one."""
    rng = np.random.default_rng(0)
    contents = []
    for number, (container, encoding) in enumerate(FORMATS):
        for channels in (1, 2):
            rate = (16_000, 44_100)[(number + channels) % 2] if encoding != "OPUS" else 48_000
            time = np.arange(round(rate * rng.uniform(0.1, 0.3))) / rate
            sound = 0.4 * np.sin(2 * np.pi * rng.uniform(200, 2_000) * time) + rng.normal(0, 0.05, len(time))
            file = io.BytesIO()
            soundfile.write(file, np.stack([sound] * channels, axis=1), rate, encoding, format=container)
            contents.append(file.getvalue())
    joined = [contents[place] + contents[place + 1] for place in range(0, len(contents), 2)]
    return contents + [one for one in joined if one.startswith(JOINABLE)]


def flip(content: bytearray, rng: np.random.Generator, last: int) -> None:
    for place in rng.integers(0, max(1, min(last, len(content))), rng.integers(1, 51)):
        content[place] ^= 1 << int(rng.integers(8))


def damaged(contents: list[bytes], rng: np.random.Generator) -> bytes:
    """One of the recordings, damaged in one of seven ways, some of them twice."""
    content = bytearray(contents[rng.integers(len(contents))])
    for _ in range(rng.integers(1, 3)):
        first = int(rng.integers(0, len(content) + 1))
        past = min(len(content), first + int(rng.integers(1, 2_000)))
        match rng.integers(7):
            case 0:
                del content[first:]
            case 1:
                flip(content, rng, len(content))
            case 2:
                flip(content, rng, 100)
            case 3:
                content[first:past] = bytes(past - first)
            case 4:
                del content[first:past]
            case 5:
                other = contents[rng.integers(len(contents))]
                content[first:] = other[int(rng.integers(0, len(other))) :]
            case _:
                width = int(rng.choice([2, 4, 8]))
                number = int(rng.choice(EXTREMES)) & ((1 << 8 * width) - 1)
                place = int(rng.integers(0, 100))
                content[place : place + width] = number.to_bytes(width, "little" if rng.integers(2) else "big")
        if not content:
            break
    return bytes(content)


def outcome(read: Callable[[], np.ndarray]) -> str:
    """What came of one case in a word or two, which begins with `WRONG` where it must not be so."""
    from hfaudio.audio.decoding import UnreadableAudioError

    try:
        samples = read()
    except UnreadableAudioError as error:
        reason = str(error)
        return "unreadable" if reason and reason.isprintable() else f"WRONG reason {reason!r}"
    except Exception as error:
        return f"WRONG exception {error!r}"
    if samples.dtype != np.float32 or samples.ndim != 1 or not np.isfinite(samples).all():
        return f"WRONG samples {samples.dtype} {samples.shape}"
    return "samples" if 0 < len(samples) < LONGEST else f"WRONG length {len(samples)}"


def case(contents: list[bytes], number: int, path: Path, decoder: str) -> str:
    from hfaudio.audio.decoding import decode_audio, read_audio

    rng = np.random.default_rng([1, number])
    content = damaged(contents, rng)
    path.write_bytes(content)
    source = content if number % 3 else path
    start = float(rng.uniform(0, 0.2)) if number % 5 == 0 else None
    end = start + float(rng.uniform(0.01, 0.2)) if start is not None and number % 2 else None
    if number % 4:
        return outcome(lambda: read_audio(source, decoder, start, end).samples)
    return outcome(lambda: decode_audio(source, 16_000, decoder, start, end))


def main(first: int, past: int, folder: str = "", decoder: str = "soundfile") -> None:
    """Runs the cases in this process and prints a JSON object: how often each outcome came, and the memory."""
    import hfaudio.audio.decoding  # noqa: F401

    files = sorted(Path(folder).rglob("*.*"))[:MOST_FILES] if folder else []
    contents = [file.read_bytes() for file in files] or recordings()
    if sys.platform == "linux":
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + ADDRESS_SPACE, taken + ADDRESS_SPACE))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts: Counter[str] = Counter()
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(first, past):
            print(f"case {number}", file=sys.stderr, flush=True)
            faulthandler.dump_traceback_later(SECONDS_PER_CASE, exit=True)
            word = case(contents, number, Path(scratch) / "a.wav", decoder)
            counts[word.split()[0]] += 1
            if word.startswith("WRONG"):
                wrong.append(f"case {number}: {word}")
    faulthandler.cancel_dump_traceback_later()
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"counts": counts, "wrong": wrong, "peak": peak}))


def run(first: int, past: int, folder: str = "") -> dict[str, int]:
    arguments = [sys.executable, __file__, str(first), str(past), folder]
    process = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stderr[-2_000:]
    found = json.loads(process.stdout)
    assert found["wrong"] == []
    assert found["peak"] < RESIDENT
    return found["counts"]


def test_damaged_files_end_in_samples_or_in_a_reason() -> None:
    counts = run(0, CASES)
    # Were nearly all refused, or none, the damage would test little.
    assert counts["samples"] > CASES // 4
    assert counts["unreadable"] > CASES // 8
    assert sum(counts.values()) == CASES


def overwrite(content: bytes, place: int, number: int, width: int, order: Literal["little", "big"]) -> bytes:
    return content[:place] + number.to_bytes(width, order) + content[place + width :]


@pytest.mark.parametrize(
    ("container", "encoding", "place", "number", "width", "order"),
    [
        pytest.param("WAV", "PCM_16", 22, 1_000, 2, "little", id="a thousand channels"),
        pytest.param("WAV", "PCM_16", 22, 65_535, 2, "little", id="65535 channels"),
        pytest.param("AIFF", "PCM_16", 20, 1_000, 2, "big", id="a thousand channels of AIFF"),
        pytest.param("AU", "PCM_16", 20, 1_000, 4, "big", id="a thousand channels of AU"),
        pytest.param("WAV", "PCM_16", 40, 0x7FFFFFFE, 4, "little", id="2 GiB of samples"),
        pytest.param("W64", "PCM_16", 96, 1 << 40, 8, "little", id="2**40 bytes of samples"),
        pytest.param("FLAC", "PCM_16", 22, 0xFFFFFFFF, 4, "big", id="2**32 frames of FLAC"),
        pytest.param("AIFF", "PCM_16", 22, 0xFFFFFFFF, 4, "big", id="2**32 frames of AIFF"),
        pytest.param("MP3", "MPEG_LAYER_III", -1, 0x7FFFFFFF, 4, "big", id="2**31 frames of MP3"),
    ],
)
def test_headers_that_promise_much_take_little_memory(
    container: str, encoding: str, place: int, number: int, width: int, order: Literal["little", "big"]
) -> None:
    from hfaudio.audio.decoding import read_audio

    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).uniform(-0.5, 0.5, 4_000), 16_000, encoding, format=container)
    content = file.getvalue()
    at = place if place >= 0 else content.index(b"Xing") + 8
    tracemalloc.start()
    try:
        word = outcome(lambda: read_audio(overwrite(content, at, number, width, order), "soundfile").samples)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not word.startswith("WRONG")
    assert peak < 32 << 20


@pytest.mark.realdata
def test_damaged_real_files_end_in_samples_or_in_a_reason() -> None:
    counts = run(0, REAL_CASES, str(Path(__file__).parents[3] / "shared" / "data" / "esc10" / "audio"))
    assert sum(counts.values()) == REAL_CASES


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
