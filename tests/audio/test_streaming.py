import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from encoded_audio import encode

from hfaudio.audio import UnreadableAudioError, decode_audio, has_torchcodec, opening, read_audio, stream_audio


@pytest.fixture(params=[1 << 20, 3_000])
def block_samples(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(opening, "BLOCK_SAMPLES", request.param)
    return request.param


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"rate": 16_000}),
        ("a.wav", {"rate": 44_100, "channels": 2}),
        ("a.wav", {"rate": 11_127}),
        ("a.flac", {"rate": 48_000, "channels": 6}),
        ("a.ogg", {"rate": 22_050}),
        ("a.mp3", {"rate": 44_100, "channels": 2}),
    ],
)
def test_all_blocks_together_are_the_recording(write_tone, name: str, options: dict, block_samples: int) -> None:
    path = write_tone(name, seconds=1.3, **options)
    blocks = list(stream_audio(path, 16_000))
    whole = decode_audio(path, 16_000)
    assert len(blocks) > (block_samples < 10_000) + 1
    assert all(block.dtype == np.float32 for block in blocks)
    # Where an MP3 decoder starts anew it rounds otherwise.
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-4 if name.endswith("mp3") else 2e-6)
    np.testing.assert_allclose(np.concatenate([*stream_audio(path.read_bytes(), 16_000)]), whole, atol=1e-4)


@pytest.mark.skipif(not has_torchcodec(), reason="torchcodec is not installed")
def test_torchcodec_gives_blocks_too(write_tone, monkeypatch) -> None:
    monkeypatch.setattr("hfaudio.audio.streaming.TORCHCODEC_BLOCK_SECONDS", 0.25)
    path = write_tone("a.flac", rate=44_100, channels=2, seconds=1.3)
    blocks = list(stream_audio(path, 16_000, decoder="torchcodec"))
    assert len(blocks) > 5
    np.testing.assert_allclose(np.concatenate(blocks), decode_audio(path, 16_000), atol=1e-4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"no audio at all", r"not readable as audio \(it is text\)"),
        (bytes([1, 2, 3]) * 100, r"not readable as audio \(Format not recognised\.\)"),
    ],
)
def test_what_cannot_be_heard_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    for source in (tmp_path / "a.wav", content):
        with pytest.raises(UnreadableAudioError, match=f"^{reason}"):
            list(stream_audio(source, 16_000))


def test_a_missing_file_and_one_without_samples_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudioError, match="^cannot be opened"):
        list(stream_audio(tmp_path / "gone.wav", 16_000))
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), 16_000)
    with pytest.raises(UnreadableAudioError, match="^holds no samples"):
        list(stream_audio(tmp_path / "a.wav", 16_000))


def test_what_is_not_finite_further_on_is_named_when_it_is_reached(monkeypatch) -> None:
    monkeypatch.setattr(opening, "BLOCK_SAMPLES", 1_000)
    samples = np.zeros(3_000, np.float32)
    samples[2_500] = np.nan
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV", subtype="FLOAT")
    blocks = stream_audio(file.getvalue(), 16_000)
    assert len(next(blocks)) == len(next(blocks)) == 1_000
    with pytest.raises(UnreadableAudioError, match="^holds NaN or infinite samples"):
        next(blocks)


def test_a_link_that_cannot_be_opened_is_named_when_it_is_reached() -> None:
    one, other = encode("OGG", "VORBIS"), encode("OGG", "OPUS", rate=48_000)
    content = one + other[:150] + one
    assert read_audio(content).truncated
    with pytest.raises(UnreadableAudioError, match=r"^damaged further on \((?!.*Pieces).+\)$"):
        list(stream_audio(content, 16_000))
