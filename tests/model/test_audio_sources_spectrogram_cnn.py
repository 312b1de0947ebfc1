import functools
import http.server
import io
import logging
import re
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from hfaudio.audio import decode_audio
from hfaudio.model.audio_sources_spectrogram_cnn import read_waveform

RATE = 16_000


@pytest.fixture
def stereo(rng) -> np.ndarray:
    return (0.1 * rng.standard_normal((2, 4_410))).astype(np.float32)


@pytest.fixture
def wav(tmp_path: Path, stereo) -> Path:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, stereo.T, 44_100, subtype="FLOAT")
    return path


def test_every_form_of_a_recording_gives_the_samples_of_the_preparation(wav: Path, stereo) -> None:
    expected = decode_audio(wav, RATE)
    content = wav.read_bytes()
    forms = [
        wav,
        str(wav),
        content,
        {"path": str(wav), "bytes": None},
        {"path": "gone.wav", "bytes": content},
        {"array": stereo, "sampling_rate": 44_100},
        {"array": stereo.mean(axis=0), "sampling_rate": 44_100, "path": None},
        {"raw": torch.from_numpy(stereo), "sampling_rate": 44_100},
        {"array": stereo.mean(axis=0).tolist(), "sampling_rate": 44_100.0},
        SimpleNamespace(get_all_samples=lambda: SimpleNamespace(data=torch.from_numpy(stereo), sample_rate=44_100)),
    ]
    for form in forms:
        waveform = read_waveform(form, RATE)
        assert waveform.dtype == np.float32
        np.testing.assert_allclose(waveform, expected, atol=1e-6)


def test_an_array_without_a_rate_is_taken_as_it_is(stereo) -> None:
    np.testing.assert_allclose(read_waveform(stereo, RATE), stereo.mean(axis=0), atol=1e-7)
    assert np.array_equal(read_waveform(stereo[0].astype(np.float64), RATE), stereo[0])


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3"])
def test_compressed_files_are_read_as_they_were_prepared(tmp_path: Path, rng, name: str) -> None:
    soundfile.write(tmp_path / name, 0.1 * rng.standard_normal((40_000, 2)), 48_000)
    expected = decode_audio(tmp_path / name, RATE)
    np.testing.assert_allclose(read_waveform(tmp_path / name, RATE), expected, atol=1e-6)


def test_more_channels_than_an_array_may_have_are_averaged_from_a_file(tmp_path: Path, rng) -> None:
    samples = 0.1 * rng.standard_normal((1_000, 12))
    soundfile.write(tmp_path / "many.wav", samples, RATE, subtype="DOUBLE")
    np.testing.assert_allclose(read_waveform(tmp_path / "many.wav", RATE), samples.mean(axis=1), atol=1e-6)


def test_an_address_is_fetched(wav: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(wav.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert np.array_equal(read_waveform(f"{address}/stereo.wav", RATE), read_waveform(wav, RATE))
        with pytest.raises(ValueError, match=r"gone.wav cannot be opened \(HTTP Error 404: File not found\)"):
            read_waveform(f"{address}/gone.wav", RATE)
        server.shutdown()


def test_without_soundfile_it_says_what_to_install_and_still_takes_arrays(wav: Path, stereo, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(
        ImportError, match="needs the package soundfile .*; run pip install soundfile, or give an array"
    ):
        read_waveform(wav, RATE)
    assert len(read_waveform({"array": stereo, "sampling_rate": 44_100}, RATE)) == 1_600


def flac_without_a_length() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(20_000), RATE, format="FLAC")
    content = bytearray(buffer.getvalue())
    content[21] &= 0xF0  # 36 bits of STREAMINFO: RFC 9639, section 8.2
    content[22:26] = bytes(4)
    return bytes(content)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("/nowhere/rain.wav", "/nowhere/rain.wav cannot be opened (No such file or directory); check the path."),
        ({"path": "/nowhere/rain.wav"}, "/nowhere/rain.wav cannot be opened (No such file or directory)"),
        (b"", "The recording cannot be read as audio (Format not recognised); expected what soundfile reads"),
        ({"path": "rain.m4a", "bytes": b"nonsense"}, "rain.m4a cannot be read as audio (Format not recognised);"),
        (flac_without_a_length(), "The recording cannot be read as audio (array is too big"),
        ({"array": np.zeros(9)}, "Expected the sampling_rate of the array beside it, in Hz, found none."),
        ({"array": np.zeros(9), "sampling_rate": 0}, "must have a rate from 1000 to 2000000 Hz, found 0 Hz."),
        ({"path": None, "bytes": None}, "or a mapping with array and sampling_rate, bytes or path, found NoneType."),
        (7, "Expected a recording as a path, bytes, an array,"),
        (np.zeros(9, np.int16), "The recording must hold floating-point samples in [-1, 1], found torch.int16;"),
        (np.zeros((9, 2)), "The recording must have the shape (samples,) or (channels, samples)"),
        (np.zeros(0), "The recording must have at least one sample, found none."),
        (np.array([0.0, 1e25]), "The recording must hold samples of at most 2.1e+09 times full scale, found 1e+25;"),
        ("/dev/zero", "/dev/zero cannot be opened (it is a pipe, a socket or a device, no file); check the path."),
        (np.array([0.0, np.nan]), "The recording must hold finite samples, found NaN or infinity."),
    ],
)
def test_what_cannot_be_heard_is_refused_in_one_sentence(source, sentence: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        read_waveform(source, RATE)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.flac"])
def test_where_soundfile_reads_less_than_the_file_holds_it_is_said(tmp_path: Path, rng, name: str, caplog) -> None:
    sound = 0.1 * rng.standard_normal(60_000)
    soundfile.write(tmp_path / name, sound, RATE)
    one = (tmp_path / name).read_bytes()
    logging.getLogger("hfaudio").addHandler(caplog.handler)
    try:
        read_waveform(one + b"TAG" + bytes(125), RATE)
        assert caplog.messages == []
        assert len(read_waveform(one + one, RATE)) == 60_000
        assert re.match(
            r"Of The recording soundfile reads 3\.75 s and leaves \d+ of \d+ bytes unread", caplog.messages[0]
        )
    finally:
        logging.getLogger("hfaudio").removeHandler(caplog.handler)


def test_the_pipeline_refuses_what_a_float_cannot_square(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(9_000, 1e25), RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match="at most 2.1e\\+09 times full scale"):
        read_waveform(tmp_path / "a.wav", RATE)
