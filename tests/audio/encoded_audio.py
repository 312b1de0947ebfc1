"""Encoded recordings for tests, and changes to their bytes."""

import io

import numpy as np
import soundfile

RATE = 44_100
SECONDS = 2.0
TAG = b"ID3\x03\0\0\0\0\x07\x68" + bytes(1_000)
"""An ID3v2 tag."""


def encode(
    container: str,
    encoding: str | None = None,
    seed: int = 0,
    rate: int = RATE,
    channels: int = 1,
    seconds: float = SECONDS,
    **options,
) -> bytes:
    """A sound of which the second half is loud noise: with a variable bit rate, its frames are longer."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.4 * np.sin(2 * np.pi * 300 * time)
    half = len(sound) // 2
    sound[:half] *= 1e-3
    sound[half:] += 0.3 * rng.standard_normal(len(sound) - half)
    file = io.BytesIO()
    samples = np.stack([np.clip(sound, -1, 1)] * channels, axis=1)
    soundfile.write(file, samples, rate, encoding, format=container, **options)
    return file.getvalue()


def mp3(seed: int = 0, rate: int = RATE, channels: int = 1, mode: str = "VARIABLE", level: float = 0.5) -> bytes:
    return encode("MP3", seed=seed, rate=rate, channels=channels, bitrate_mode=mode, compression_level=level)


def put(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


def with_last_position(ogg: bytes, position: int) -> bytes:
    """An Ogg file whose last page tells another position."""
    last = ogg.rindex(b"OggS")
    page = bytearray(ogg[last:])
    page[6:14] = position.to_bytes(8, "little", signed=True)
    page[22:26] = bytes(4)
    page[22:26] = ogg_checksum(page).to_bytes(4, "little")
    return ogg[:last] + bytes(page)


def ogg_checksum(page: bytes | bytearray) -> int:
    """The checksum of a page whose own is zero, bit by bit as RFC 3533 describes it."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = value << 1 ^ (0x104C11DB7 if value & 0x80000000 else 0)
    return value
