"""How often recordings are said to sound alike that do not, and how often those that do are found.

python benchmarks/near_duplicates.py ../shared/data/esc10 ../shared/data/urbansound8k [--words FOLDER]

Each data set is a folder with a metadata.csv that has file_name and source_id: two recordings of one source are not
compared. Words lie in the folder as VOICE_WORD_SPEED_PITCH.wav; where there is none, espeak-ng speaks them.
"""

import argparse
import csv
import io
import itertools
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from hfaudio.audio import resample
from hfaudio.data.near_duplicates import SIMILARITY_THRESHOLD, acoustic_fingerprint

RATE = 16_000
CHANGED = 200  # recordings of each data set that are changed and looked for
THRESHOLDS = (0.45, 0.5, 0.55, SIMILARITY_THRESHOLD, 0.65, 0.7)
BLOCK = 2048

ENGLISH = (
    "yes no stop go on off up down left right one two three four five six seven eight nine zero cat dog bird house "
    "tree bed wow happy rain door light open close"
)
GERMAN = (
    "ja nein halt links rechts oben unten eins zwei drei vier fünf sechs sieben acht neun null katze hund vogel haus "
    "baum bett regen tür licht auf zu"
)
FRENCH = (
    "oui non stop gauche droite haut bas deux trois quatre cinq six sept huit neuf zéro chat chien oiseau maison "
    "arbre pluie porte"
)
VOICES = {
    ENGLISH: ("en-us", "en-gb", "en-us+f2", "en-us+f4", "en-us+m3", "en-gb+m5", "en-gb-scotland", "en-us+croak"),
    GERMAN: ("de", "de+f3", "de+m1", "de+f1"),
    FRENCH: ("fr", "fr+m2", "fr+f2"),
}
SPEEDS_AND_PITCHES = ((140, 50), (175, 50), (175, 35), (210, 60))

Change = Callable[[np.ndarray], tuple[np.ndarray, int]]


def encoded(kind: str, subtype: str) -> Change:
    """A change: encoded and decoded again."""

    def change(samples: np.ndarray) -> tuple[np.ndarray, int]:
        file = io.BytesIO()
        soundfile.write(file, np.clip(samples, -1, 1), RATE, format=kind, subtype=subtype)
        file.seek(0)
        return soundfile.read(file, dtype="float32")

    return change


def noisier(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """A change: white noise 30 dB below the recording."""
    noise = np.random.default_rng(len(samples)).standard_normal(len(samples)).astype(np.float32)
    return samples + noise * np.float32(10 ** (-30 / 20) * np.sqrt(np.mean(np.square(samples)))), RATE


def later(seconds: float) -> Change:
    """A change: silence before it."""
    return lambda samples: (np.pad(samples, (round(seconds * RATE), 0)), RATE)


def cut(seconds: float) -> Change:
    """A change: without its beginning."""
    return lambda samples: (samples[round(seconds * RATE) :], RATE)


CHANGES: dict[str, Change] = {
    "MP3": encoded("MP3", "MPEG_LAYER_III"),
    "Ogg": encoded("OGG", "VORBIS"),
    "8 kHz": lambda samples: (resample(samples, RATE, 8_000), 8_000),
    "-12 dB": lambda samples: (samples * np.float32(10 ** (-12 / 20)), RATE),
    "noise at 30 dB": noisier,
    "0.1 s of silence before": later(0.1),
    "0.5 s of silence before": later(0.5),
    "0.05 s cut off": cut(0.05),
    "0.1 s cut off": cut(0.1),
    "0.5 s cut off": cut(0.5),
}


def speak(folder: Path) -> None:
    """Has espeak-ng speak all words with all voices."""
    folder.mkdir(parents=True, exist_ok=True)

    def one(voice: str, word: str, speed: int, pitch: int) -> None:
        path = folder / f"{voice}_{word}_{speed}_{pitch}.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(path), word]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    spoken = [
        (voice, word, *setting)
        for words, voices in VOICES.items()
        for voice, word, setting in itertools.product(voices, words.split(), SPEEDS_AND_PITCHES)
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda arguments: one(*arguments), spoken))


def read(path: Path) -> np.ndarray:
    """A recording as one channel at 16 kHz, `(samples,)`."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return resample(samples.mean(axis=1), rate, RATE)


def loudest(samples: np.ndarray, seconds: float) -> np.ndarray:
    """The loudest part of a length, or all where it is shorter."""
    length = round(seconds * RATE)
    if len(samples) <= length:
        return samples
    summed = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(summed[length:] - summed[:-length]))
    return samples[start : start + length]


def similarities(fingerprints: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Indices of pairs, the lower first, and their cosines, a block at a time; fingerprints of zeros are left out."""
    rows = np.flatnonzero(fingerprints.any(axis=1))
    for first in range(0, len(rows), BLOCK):
        one = rows[first : first + BLOCK]
        cosines = fingerprints[one] @ fingerprints[rows].T
        pairs = np.nonzero(one[:, None] < rows[None])
        yield one[pairs[0]], rows[pairs[1]], cosines[pairs]


def false_alarms(
    fingerprints: np.ndarray, kinds: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]
) -> dict[str, dict[str, object]]:
    """Of each kind of pairs how many there are, how many lie above each threshold, and the highest."""
    pairs = dict.fromkeys(kinds, 0)
    above = {kind: np.zeros(len(THRESHOLDS), int) for kind in kinds}
    highest = dict.fromkeys(kinds, -1.0)
    for one, other, cosines in similarities(fingerprints):
        for kind, belongs in kinds.items():
            own = cosines[belongs(one, other)]
            pairs[kind] += len(own)
            above[kind] += [int((own >= threshold).sum()) for threshold in THRESHOLDS]
            highest[kind] = max(highest[kind], float(own.max(initial=-1.0)))
    return {
        kind: {
            "pairs": pairs[kind],
            "above": dict(zip(map(str, THRESHOLDS), above[kind].tolist(), strict=True)),
            "highest": round(highest[kind], 2),
        }
        for kind in kinds
    }


def hits(recordings: Sequence[np.ndarray], fingerprints: np.ndarray) -> dict[str, str]:
    """Of each change how many of the recordings are found again at each threshold, in percent."""
    telling = np.flatnonzero(fingerprints.any(axis=1))
    chosen = np.random.default_rng(0).permutation(telling)[:CHANGED]
    found = {}
    for name, change in CHANGES.items():
        cosines = []
        for index in chosen:
            changed, rate = change(recordings[index])
            other = acoustic_fingerprint(changed, rate).astype(np.float32)
            if other.any():  # too short by now
                cosines.append(fingerprints[index] @ other)
        if cosines:
            shares = [f"{100 * np.mean(np.array(cosines) >= threshold):.0f}" for threshold in THRESHOLDS]
            found[name] = f"{' '.join(shares)} % of {len(cosines)}"
        else:
            found[name] = "none is long enough"
    return found


def report(name: str, recordings: Sequence[np.ndarray], kinds: dict[str, Callable[..., np.ndarray]]) -> None:
    """Prints one JSON object."""
    fingerprints = np.stack([acoustic_fingerprint(samples, RATE) for samples in recordings]).astype(np.float32)
    facts = {
        "data": name,
        "recordings": len(recordings),
        "with a fingerprint": int(fingerprints.any(axis=1).sum()),
        "false alarms": false_alarms(fingerprints, kinds),
        f"found again at {', '.join(map(str, THRESHOLDS))}": hits(recordings, fingerprints),
    }
    print(json.dumps(facts, indent=1), flush=True)


def main() -> None:
    """Prints the figures of each data set and of the words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", help="data sets with sources")
    parser.add_argument("--words", help="folder of spoken words; they are spoken where it is empty")
    arguments = parser.parse_args()
    for folder in map(Path, arguments.folders):
        with (folder / "metadata.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        recordings = [read(folder / row["file_name"]) for row in rows]
        sources = np.array([row["source_id"] for row in rows])
        kinds = {"of different sources": lambda one, other, sources=sources: sources[one] != sources[other]}
        report(folder.name, recordings, kinds)
        for seconds in (2.0, 0.7):
            report(f"{folder.name}, the loudest {seconds} s", [loudest(own, seconds) for own in recordings], kinds)
    if arguments.words:
        folder = Path(arguments.words)
        if not any(folder.glob("*.wav")):
            speak(folder)
        paths = sorted(folder.glob("*.wav"))
        voices, words, speeds, _ = np.array([path.stem.split("_") for path in paths]).T
        report(
            "words",
            [read(path) for path in paths],
            {
                "other word, same voice": lambda one, other: (
                    (words[one] != words[other]) & (voices[one] == voices[other])
                ),
                "other word, other voice": lambda one, other: (
                    (words[one] != words[other]) & (voices[one] != voices[other])
                ),
                "same word, other voice": lambda one, other: (
                    (words[one] == words[other]) & (voices[one] != voices[other])
                ),
                "same word and voice, other speed": lambda one, other: (
                    (words[one] == words[other]) & (voices[one] == voices[other]) & (speeds[one] != speeds[other])
                ),
            },
        )


if __name__ == "__main__":
    main()
