import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hfaudio.audio import AUDIO_EXTENSIONS, UnreadableAudioError, may_be_recording, read_audio, stream_audio
from hfaudio.audio.file_kinds import BESIDE_RECORDINGS, name_content

# What libsndfile opens by the first bytes, and the endings that such files have.
ENDINGS = {
    "AIFF": (".aif", ".aiff", ".aifc"),
    "AU": (".au", ".snd"),
    "AVR": (".avr",),
    "CAF": (".caf",),
    "FLAC": (".flac",),
    "HTK": (".htk",),
    "IRCAM": (".sf", ".ircam"),
    "MP3": (".mp3", ".mp2"),
    "NIST": (".nist", ".sph"),
    "OGG": (".ogg", ".oga", ".opus"),
    "PAF": (".paf",),
    "PVF": (".pvf",),
    "RF64": (".rf64",),
    "SDS": (".sds",),
    "SVX": (".svx", ".8svx", ".iff"),
    "VOC": (".voc",),
    "W64": (".w64",),
    "WAV": (".wav", ".wave", ".bwf"),
    "WAVEX": (".wav",),
    "WVE": (".wve",),
    "XI": (".xi",),
}
NO_RECORDINGS = {"MAT4", "MAT5", "MPC2K", "RAW", "SD2"}  # matrices, a sampler's, without a header, with two parts


def encoded(container: str) -> bytes:
    file = io.BytesIO()
    rate = 8_000 if container == "WVE" else 16_000
    encoding = {"WVE": "ALAW", "XI": "DPCM_16"}.get(container, soundfile.default_subtype(container))
    soundfile.write(file, np.random.default_rng(0).uniform(-0.5, 0.5, 8_000), rate, encoding, format=container)
    return file.getvalue()


def test_every_container_that_libsndfile_opens_has_its_endings() -> None:
    assert set(ENDINGS) | NO_RECORDINGS == set(soundfile.available_formats())
    assert {ending for own in ENDINGS.values() for ending in own} <= AUDIO_EXTENSIONS
    assert not AUDIO_EXTENSIONS & BESIDE_RECORDINGS


@pytest.mark.parametrize("container", ENDINGS)
def test_recordings_are_known_by_any_name(tmp_path: Path, container: str) -> None:
    content = encoded(container)
    for name in (f"a{ENDINGS[container][0].upper()}", "a", "a.unknown"):
        (tmp_path / name).write_bytes(content)
        assert may_be_recording(tmp_path / name)
        assert len(read_audio(tmp_path / name).samples) > 7_000
    assert len(read_audio(content).samples) > 7_000


def test_what_lies_beside_recordings_is_none(tmp_path: Path) -> None:
    contents = {
        "README": b"words", "a.TXT": bytes(range(99)), "cover": b"\x89PNG\r\n\x1a\n" + bytes(99), "b.jpg": bytes(9),
        "noise": b"", "page": b"<!DOCTYPE html><html>", "c.xyz": "größer\n".encode() * 200, "list": b"[1, 2]",
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert not may_be_recording(tmp_path / name)
    assert not may_be_recording(tmp_path / "gone")
    assert may_be_recording(tmp_path / "gone.wav")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            "a pointer of Git LFS, .* git lfs pull",
        ),
        (b"\n<!DOCTYPE html>\n<html><title>404</title>", "a web page, as where a download failed"),
        (b"<html>" + b"words " * 200, "a web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><a/>", "text"),
        (b'{"error": "not found"}', "JSON"),
        (b"[1, 2, 3]", "JSON"),
        ("Vögel\n".encode() * 100, "text"),
        (b"PK\x03\x04" + bytes(50), "a zip archive: unpack it"),
        (b"\x1f\x8b\x08" + bytes(50), "a gzip archive: unpack it"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "a picture"),
        (b"%PDF-1.7\n" + bytes([200] * 50), "a PDF document"),
        (bytes(3_000), "nothing but zeros, as where a download or a copy was interrupted"),
    ],
)
def test_what_is_no_audio_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(UnreadableAudioError, match=rf"^not readable as audio \(it is {kind}"):
            read_audio(source, "soundfile")
        with pytest.raises(UnreadableAudioError, match=rf"^not readable as audio \(it is {kind}"):
            list(stream_audio(source, 16_000))


def test_recordings_are_not_taken_for_anything_else() -> None:
    for container in ENDINGS:
        assert name_content(encoded(container)) is None
    for content in (b"", bytes(100), b"\1\2\3", "ö".encode("latin-1") * 100):
        assert name_content(content) is None
    assert name_content(("ab" * 255 + "x" + "ö").encode()) == "text"  # a character is cut in two
