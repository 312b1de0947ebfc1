"""Telling from its name and its first bytes whether a file may be a recording, and what it is if it is none."""

import os

from hfaudio.regular_files import only_regular

__all__ = ["AUDIO_EXTENSIONS", "OTHER_EXTENSIONS", "READABLE_EXTENSIONS", "may_be_recording", "name_content"]

READABLE_EXTENSIONS = (".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav")
"""The usual endings of what libsndfile reads."""

RARE_EXTENSIONS = (
    *(".8svx", ".aifc", ".avr", ".bwf", ".htk", ".iff", ".ircam", ".mp2", ".nist", ".paf", ".pvf", ".rf64", ".sds"),
    *(".sf", ".snd", ".sph", ".svx", ".voc", ".wave", ".wve", ".xi"),
)
"""Further endings of what libsndfile reads."""

OTHER_EXTENSIONS = (
    *(".3g2", ".3gp", ".aac", ".ac3", ".adts", ".amr", ".ape", ".avi", ".dsf", ".dts", ".eac3", ".flv", ".m4a"),
    *(".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp1", ".mp4", ".mpc", ".ra", ".rm", ".spx", ".tak", ".tta", ".webm"),
    *(".wma", ".wv"),
)
"""Endings of what only torchcodec reads."""

AUDIO_EXTENSIONS = frozenset(READABLE_EXTENSIONS + RARE_EXTENSIONS + OTHER_EXTENSIONS)
"""Endings of recordings. Those that only torchcodec reads are listed too, so that they are left out by name."""

BESIDE_RECORDINGS = frozenset(
    {
        # Tables, annotations and notes,
        *(".csv", ".doc", ".docx", ".eaf", ".htm", ".html", ".ini", ".jams", ".json", ".jsonl", ".lab", ".log", ".md"),
        *(".mid", ".midi", ".ods", ".odt", ".pdf", ".rtf", ".srt", ".textgrid", ".tsv", ".txt", ".vtt", ".xls"),
        *(".xlsx", ".xml", ".yaml", ".yml"),
        # pictures,
        *(".bmp", ".gif", ".ico", ".jpeg", ".jpg", ".png", ".svg", ".tif", ".tiff", ".webp"),
        # features, weights and programs,
        *(".arrow", ".ckpt", ".h5", ".hdf5", ".ipynb", ".mat", ".npy", ".npz", ".onnx", ".parquet", ".pickle", ".pkl"),
        *(".pt", ".pth", ".py", ".pyc", ".safetensors", ".sh"),
        # and what players, editors and operating systems leave there.
        *(".asd", ".aup", ".aup3", ".cue", ".db", ".lnk", ".m3u", ".m3u8", ".md5", ".nfo", ".pek", ".pkf", ".pls"),
        *(".reapeaks", ".sfk", ".sha1", ".sha256", ".torrent", ".url"),
    }
)
"""Endings of what lies beside recordings and is none."""

GLANCE = 512  # bytes
WEB_PAGE = "a web page, as where a download failed"
BEGINNINGS = (
    (b"version https://git-lfs", "a pointer of Git LFS, whose file is not here: run git lfs pull"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive: unpack it"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"PAR1", "a Parquet table"),
    (b"SQLite format 3\0", "a database"),
    (b"\x7fELF", "a program"),
)
NOT_LISTED = ("a picture", "a PDF document", "a program", "a database", "text", "JSON", WEB_PAGE)


def may_be_recording(path: str | os.PathLike[str]) -> bool:
    """Whether a file in a folder of recordings is to be read as one, or left out with a reason.

    One with the ending of a recording is, whatever it is. One without an ending, or with an unknown one, is unless its
    first bytes show that it is text, a picture or the like.

    Args:
        path: Of anything but a folder.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending in AUDIO_EXTENSIONS:
        return True
    if ending in BESIDE_RECORDINGS:
        return False
    try:
        with open(path, "rb", buffering=0, opener=only_regular) as file:
            head = file.read(GLANCE)
    except OSError:
        return False
    return len(head) > 0 and name_content(head) not in NOT_LISTED


def name_content(head: bytes) -> str | None:
    """What a file is that is no recording; None if its first bytes do not show that.

    Args:
        head: The first bytes of the file.
    """
    head = head[:GLANCE]
    for beginning, kind in BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if len(head) == GLANCE and not any(head):
        return "nothing but zeros, as where a download or a copy was interrupted"
    text = head.removeprefix(b"\xef\xbb\xbf").strip()
    if not text or any(byte < 0x20 and byte not in b"\t\n\f\r\x1b" for byte in text):
        return None
    try:
        text.decode()
    except UnicodeDecodeError as error:
        if error.start < len(text) - 3:  # a character may be cut in two
            return None
    if text[:1] == b"<":
        return WEB_PAGE if b"<html" in text.lower() or b"<!doctype html" in text.lower() else "text"
    return "JSON" if text[:1] in (b"{", b"[") else "text"
