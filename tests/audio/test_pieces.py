import io

from hfaudio.audio.pieces import Pieces


def test_pieces_read_as_one_file() -> None:
    whole = b"ab" + b"3456" + b"cd" + b"01"
    file = Pieces(io.BytesIO(b"0123456789"), [b"ab", range(3, 7), b"", range(5, 5), b"cd", range(2)])
    assert file.read() == whole
    assert file.readable()
    assert file.seekable()
    for start in range(len(whole) + 2):
        for length in range(len(whole) + 2):
            assert file.seek(start) == start
            assert file.read(length) == whole[start : start + length]
            assert file.tell() == start + len(whole[start : start + length])
    assert file.seek(-3, io.SEEK_END) == len(whole) - 3
    assert file.seek(1, io.SEEK_CUR) == len(whole) - 2


def test_a_file_that_became_shorter_ends_there() -> None:
    assert Pieces(io.BytesIO(b"012"), [range(6), b"ab"]).read() == b"012"
    assert Pieces(io.BytesIO(b""), []).read() == b""
