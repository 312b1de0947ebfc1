"""Opening a recording with libsndfile and reading all of it, also where its headers tell less or another follows."""

import io
import itertools
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import numpy as np
import soundfile

from hfaudio.audio.flac_links import flac_layout
from hfaudio.audio.mp3_length import after_tags, mp3_layout
from hfaudio.audio.ogg_links import ogg_layout
from hfaudio.audio.pieces import Layout, Part, Pieces
from hfaudio.audio.resampling import Resampler
from hfaudio.audio.truncation import is_truncated, uncompressed_layout
from hfaudio.regular_files import only_regular

__all__ = ["HIGHEST_RATE", "LOWEST_RATE", "OpenAudio", "is_possible_rate", "open_audio", "open_bytes"]

BLOCK_SAMPLES = 1 << 20  # so that a long file, or one whose header lies, is never held with all its channels
PREROLL_FRAMES = {"MPEG_LAYER_III": 24_576, "OPUS": 3_840}
"""What a decoder must have read before its samples are right. An MP3 frame borrows bits from up to 511 bytes of those
before it, which at 8 kbit/s are 23 frames of 576 samples; Opus settles within 80 ms (RFC 7845, section 4.2)."""
LOWEST_RATE, HIGHEST_RATE = 1_000, 2_000_000  # Hz; elephants and bats lie within, the rates of damaged headers do not
UNKNOWN_FRAMES = 1 << 36  # FLAC counts in 36 bits; of a stream without a length libsndfile tells a number above
UNKNOWN_ERROR = 1  # of libsndfile, "unrecognised format"
MP3_FRAMES_SPARED = 2 * 1_152  # frames that a decoder may leave out at the ends of an MP3 stream
UNCOMPRESSED = (b"RIFF", b"RIFX", b".snd", b"caff")
ZEROS_AT_MOST = 1 << 16  # bytes before a stream, as copies of damaged disks have them
MP3_BEGINNINGS = (b"ID3", b"APETAGEX", *(bytes([0xFF, second]) for second in range(0xE0, 0x100)))


class _ForwardFile(soundfile.SoundFile):
    """A file that is read from one place on; in others soundfile seeks after every read, and decoders start again."""

    def seekable(self) -> bool:
        return False


class OpenAudio:
    """A recording that is open: one stream or several, one after another.

    Attributes:
        samplerate: Of the first stream, in Hz.
        channels: Of the first stream.
        encoding: Container and sample format, such as `WAV PCM_16`.
        damage: Why one that follows could not be opened, if so; of what has been read.
    """

    def __init__(self, content: BinaryIO, layout: Layout, first: soundfile.SoundFile) -> None:
        self.samplerate: int = first.samplerate
        self.channels: int = first.channels
        self.encoding = f"{first.format} {first.subtype}"
        self._content = content
        self._layout = layout
        self._first = first
        self._truncated = layout.incomplete
        self.damage: soundfile.LibsndfileError | None = None

    def blocks(self, first: int = 0, past: int | None = None) -> Iterator[np.ndarray]:
        """The samples from one frame to another, `(frames, channels)` in float32, in blocks.

        Streams of another rate are mixed and resampled to that of the first.

        Args:
            first: The frame with which to begin.
            past: The frame before which to end; None for the end.

        Raises:
            soundfile.LibsndfileError: It is damaged.
        """
        begin = 0
        for part, file in self._files():
            if past is not None and begin >= past:
                return
            declared = file.frames
            end = begin + math.ceil(declared * self.samplerate / file.samplerate)
            read = 0
            if end > first:
                start = max(0, first - begin)
                stop = declared if past is None else min(declared, past - begin)
                if file.samplerate == self.samplerate:
                    wanted = stop - start
                    for block in _read_blocks(file, start, stop):
                        read += len(block)
                        yield block
                else:
                    wanted = declared
                    yield from _resampled_blocks(file, self.samplerate, start, None if past is None else past - begin)
                    read = wanted
                known = part.length_known and declared < UNKNOWN_FRAMES
                spared = MP3_FRAMES_SPARED if file.format == "MP3" else 0
                self._note(part, wanted, read + spared if known else None)
                if not known and start == 0:
                    end = begin + read
            begin = end

    @property
    def truncated(self) -> bool:
        """Whether the file, or one of those in it, ends before its own headers say so; of what has been read."""
        return self._truncated or self.damage is not None

    def seconds(self) -> float | None:
        """Length, in seconds; None if the headers do not tell it."""
        total = 0.0
        for part, file in self._files():
            if not part.length_known or file.frames >= UNKNOWN_FRAMES:
                return None
            total += file.frames / file.samplerate
        return total

    def _note(self, part: Part, declared: int, read: int | None) -> None:
        content = cast(BinaryIO, Pieces(self._content, part.pieces)) if part.pieces else self._content
        self._truncated = is_truncated(content, declared, read) or self._truncated

    def _files(self) -> Iterator[tuple[Part, soundfile.SoundFile]]:
        yield self._layout.parts[0], self._first
        for part in self._layout.parts[1:]:
            try:
                file = _open_part(self._content, part)
            except soundfile.LibsndfileError as error:
                self.damage = error
                return
            with file:
                if not is_possible_rate(file.samplerate):
                    self.damage = soundfile.LibsndfileError(UNKNOWN_ERROR)
                    return
                yield part, file


def is_possible_rate(sampling_rate: int) -> bool:
    """Whether a rate in Hz may be that of a recording, and not only that of a damaged header."""
    return LOWEST_RATE <= sampling_rate <= HIGHEST_RATE


def open_bytes(source: str | os.PathLike[str] | bytes) -> BinaryIO:
    """Opens a regular file, or bytes.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb", buffering=0, opener=only_regular)


@contextmanager
def open_audio(source: str | os.PathLike[str] | bytes) -> Iterator[OpenAudio]:
    """Opens a recording.

    Args:
        source: A path, or the bytes of a file.

    Raises:
        OSError: It cannot be opened, or is no regular file.
        soundfile.LibsndfileError: libsndfile does not know what it is.
    """
    with open_bytes(source) as content:
        layout = _layout(content)
        try:
            first = _open_part(content, layout.parts[0])
        except soundfile.LibsndfileError:
            # There may be something before the first frame.
            later = mp3_layout(content) if layout == Layout() else None
            if later is None or later == layout:
                raise
            layout = later
            first = _open_part(content, layout.parts[0])
        with first:
            yield OpenAudio(content, layout, first)


def _layout(content: BinaryIO) -> Layout:
    """How a file is to be read, by what it begins with, after tags and zeros."""
    begin, head = 0, content.read(32)
    if head.startswith(UNCOMPRESSED):
        return uncompressed_layout(content)
    begins_as_mp3 = head.startswith(MP3_BEGINNINGS)
    while length := after_tags(head) or (len(head) - len(head.lstrip(b"\0")) if begin < ZEROS_AT_MOST else 0):
        begin += length
        content.seek(begin)
        head = content.read(32)
    if head.startswith(b"OggS"):
        return ogg_layout(content)
    if head.startswith(b"fLaC"):
        return flac_layout(content)
    return (mp3_layout(content) if begins_as_mp3 else None) or Layout()


def _open_part(content: BinaryIO, part: Part) -> soundfile.SoundFile:
    if part.pieces:
        return _ForwardFile(Pieces(content, part.pieces))
    content.seek(0)
    # By its number, libsndfile reads a file itself, and what is at the path meanwhile does not matter.
    return _ForwardFile(content if isinstance(content, io.BytesIO) else content.fileno(), closefd=False)


def _read_blocks(file: soundfile.SoundFile, first: int, past: int) -> Iterator[np.ndarray]:
    """The samples of a stream from one frame to another, `(frames, channels)` in float32, in blocks."""
    position = first - min(first, PREROLL_FRAMES.get(file.subtype, 0))
    if position > 0:
        file.seek(position)
    while position < past:
        frames = min(past - position, max(1, BLOCK_SAMPLES // file.channels))
        block = np.empty((frames, file.channels), np.float32)
        if file.format == "FLAC":
            block[:, 0] = np.nan
        try:
            block = block[: file.buffer_read_into(block, "float32")]
        except soundfile.LibsndfileError:
            if file.format != "FLAC":
                raise
            # A stream that was cut off, or does not tell its length: what came before the error is good.
            past = position
            block = block[: frames - np.count_nonzero(np.isnan(block[:, 0]))]
            if position == first and len(block) == 0:
                raise
        if len(block) == 0:
            return
        yield block[max(0, first - position) :]
        position += len(block)


def _resampled_blocks(
    file: soundfile.SoundFile, sampling_rate: int, first: int, past: int | None
) -> Iterator[np.ndarray]:
    """The mean of the channels, `(frames, 1)`, from one frame to another at another rate."""
    resampler = Resampler(file.samplerate, sampling_rate)
    position = 0
    for block in itertools.chain(_read_blocks(file, 0, file.frames), [None]):
        mix = np.empty(0, np.float32) if block is None else block.mean(axis=1, dtype=np.float32)
        resampled = resampler.push(mix, last=block is None)
        wanted = resampled[max(0, first - position) : None if past is None else max(0, past - position)]
        position += len(resampled)
        if len(wanted):
            yield wanted[:, None]
