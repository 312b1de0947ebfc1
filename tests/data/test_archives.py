import errno
import gzip
import hashlib
import io
import os
import re
import shutil
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hfaudio.data import archive_cache, archives
from hfaudio.data.archives import is_archive, unpack_archive
from hfaudio.data.errors import DataError

KINDS = pytest.mark.parametrize("kind", ["zip", "tar.gz"])
SOUNDS = {"sounds/Vögel/鳥.wav": b"one", "sounds/dog/b.wav": b"two" * 200_000, "sounds/dog/empty.wav": b""}
BROKEN = "Expected a whole zip or gzipped tar archive at {archive}, found one that cannot be read ({why}); download it"


def write_zip(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED, **fields: Any) -> Path:
    """Writes a zip; `fields` are what its table of contents says of the first entry, true or not."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in entries.items():
            file.writestr(name, data)
        for field, value in fields.items():
            setattr(file.filelist[0], field, value)
    return path


def write_tar(path: Path, entries: dict[str, bytes], **options: Any) -> Path:
    with tarfile.open(path, "w:gz", **options) as file:
        for name, data in entries.items():
            add_to_tar(file, name, data)
    return path


def add_to_tar(file: tarfile.TarFile, name: str, data: bytes = b"", **fields: Any) -> None:
    header = tarfile.TarInfo(name.removesuffix("/"))
    header.size = len(data)
    if name.endswith("/"):
        header.type = tarfile.DIRTYPE
    for field, value in fields.items():
        setattr(header, field, value)
    file.addfile(header, io.BytesIO(data))


def write_archive(path: Path, entries: dict[str, bytes]) -> Path:
    return (write_zip if path.suffix == ".zip" else write_tar)(path, entries)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(archive: Path, sentence: str, **limits: int) -> None:
    """Asserts that the error starts with a sentence, and that nothing was left behind."""
    cache = archive.parent / "cache"
    with pytest.raises(DataError, match="^" + re.escape(sentence.format(archive=archive))):
        unpack_archive(archive, cache, **limits)
    assert not cache.exists() or list(cache.iterdir()) == []


@pytest.mark.parametrize("name", ["a.zip", "A.ZIP", "b.tar.gz", "b.Tar.GZ", "c.tgz", "x/d.v2.zip"])
def test_endings_of_archives(name: str) -> None:
    assert is_archive(name)
    assert is_archive(Path(name))


@pytest.mark.parametrize("name", ["zip", "a.gz", "a.tar", "a.zip.csv", "a.zip/b", "tgz"])
def test_endings_of_other_files(name: str) -> None:
    assert not is_archive(name)


@KINDS
def test_archive_becomes_a_folder_named_by_its_content(kind: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", SOUNDS)
    folder = unpack_archive(str(archive), str(tmp_path / "new" / "cache"))
    assert folder == tmp_path / "new" / "cache" / hashlib.sha256(archive.read_bytes()).hexdigest() / "sounds"
    assert contents(folder.parent) == SOUNDS
    assert [path for path in (tmp_path / "new" / "cache").iterdir() if path.is_dir()] == [folder.parent]


@KINDS
def test_kind_is_told_from_the_content(kind: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", SOUNDS)
    renamed = archive.rename(tmp_path / ("sounds.tgz" if kind == "zip" else "sounds.zip"))
    assert contents(unpack_archive(renamed, tmp_path / "cache").parent) == SOUNDS


@KINDS
def test_folder_that_tools_pack_with_entries_for_folders(kind: str, tmp_path: Path) -> None:
    (tmp_path / "sounds" / "dog" / "none").mkdir(parents=True)
    (tmp_path / "sounds" / "dog" / "a.wav").write_bytes(b"a")
    (tmp_path / "sounds" / "b.wav").write_bytes(b"b")
    archive = shutil.make_archive(
        str(tmp_path / "packed"), {"zip": "zip", "tar.gz": "gztar"}[kind], tmp_path, "./sounds"
    )
    folder = unpack_archive(archive, tmp_path / "cache")
    assert contents(folder) == contents(tmp_path / "sounds")
    assert (folder / "dog" / "none").is_dir()


@KINDS
def test_same_content_is_unpacked_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", SOUNDS)
    folder = unpack_archive(archive, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(archives, "_unpack", lambda *arguments: pytest.fail("unpacked again"))
        assert unpack_archive(archive, tmp_path / "cache") == folder
        copy = shutil.copy(archive, tmp_path / "copy")
        assert unpack_archive(copy, tmp_path / "cache") == folder
        # The limits are for what would be written.
        assert unpack_archive(archive, tmp_path / "cache", max_bytes=1, max_files=1) == folder
    write_archive(archive, {"sounds/dog/c.wav": b"three", "sounds/cat/d.wav": b""})
    assert sorted(contents(unpack_archive(archive, tmp_path / "cache"))) == ["cat/d.wav", "dog/c.wav"]
    assert sorted(contents(folder)) == ["Vögel/鳥.wav", "dog/b.wav", "dog/empty.wav"]


@KINDS
def test_refused_archive_is_unpacked_with_higher_limits(kind: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", SOUNDS)
    for limits in ({"max_bytes": 600_002}, {"max_files": 5}):
        with pytest.raises(DataError):
            unpack_archive(archive, tmp_path / "cache", **limits)
    assert contents(unpack_archive(archive, tmp_path / "cache", max_bytes=600_003, max_files=6).parent) == SOUNDS


@KINDS
@pytest.mark.parametrize(
    ("names", "where"),
    [
        (["a.wav"], ""),
        (["a.wav", "s/b.wav"], ""),
        (["s/a.wav", "t/b.wav"], ""),
        (["s/a.wav", "s/b.wav"], "s"),
        (["s/t/a.wav", "s/t/u/b.wav"], "s/t"),
        (["./s/./t//u/a.wav"], "s/t/u"),
        (["s/a.wav", "t/"], ""),
        (["s/"], "s"),
        (["s/a.wav", "__MACOSX/s/._a.wav", ".DS_Store", "._s"], "s"),
        (["s/t/a.wav", "s/.DS_Store", "s/._t"], "s/t"),
    ],
)
def test_folder_in_which_the_data_lie(kind: str, names: list[str], where: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", dict.fromkeys(names, b""))
    folder = unpack_archive(archive, tmp_path / "cache")
    target = tmp_path / "cache" / hashlib.sha256(archive.read_bytes()).hexdigest()
    assert folder == target / where
    # Whoever looks into the cache with the Finder leaves this.
    (target / ".DS_Store").touch()
    assert unpack_archive(archive, tmp_path / "cache") == target / where


@KINDS
def test_what_macos_adds_is_left_out(kind: str, tmp_path: Path) -> None:
    junk = ["__MACOSX/", "__MACOSX/s/._a.wav", "s/._a.wav", "s/.DS_Store", "s/__MACOSX/b.wav", "._x/c.wav"]
    archive = write_archive(tmp_path / f"sounds.{kind}", {**dict.fromkeys(junk, b""), "s/a.wav": b"a", "s/_.wav": b""})
    folder = unpack_archive(archive, tmp_path / "cache").parent
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == ["s", "s/_.wav", "s/a.wav"]


def test_zip_names_that_are_not_marked_as_utf_8(tmp_path: Path) -> None:
    class Unmarked(zipfile.ZipInfo):
        encoding = "utf-8"

        def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
            return self.filename.encode(self.encoding), self.flag_bits

    class CodePage(Unmarked):
        encoding = "cp437"

    with zipfile.ZipFile(tmp_path / "sounds.zip", "w") as file:
        file.writestr(Unmarked("Vögel/鳥.wav"), b"")
        file.writestr(CodePage("Füchse/ä.wav"), b"")
    assert sorted(contents(unpack_archive(tmp_path / "sounds.zip", tmp_path / "cache"))) == [
        "Füchse/ä.wav",
        "Vögel/鳥.wav",
    ]


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_tar(tar_format: int, tmp_path: Path) -> None:
    sounds = {f"sounds/{'long' * 20}/Vögel/{'n' * 90}.wav": b"one", **SOUNDS}
    archive = write_tar(tmp_path / "sounds.tgz", sounds, format=tar_format)
    assert contents(unpack_archive(archive, tmp_path / "cache").parent) == sounds


def test_gzip_of_several_members(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "sounds.tgz", SOUNDS)
    data = gzip.decompress(archive.read_bytes())
    archive.write_bytes(b"".join(gzip.compress(data[start : start + 1000]) for start in range(0, len(data), 1000)))
    assert contents(unpack_archive(archive, tmp_path / "cache").parent) == SOUNDS


@KINDS
@pytest.mark.parametrize(
    "name",
    [
        "/etc/evil.wav",
        "../evil.wav",
        "s/../../evil.wav",
        "s/..",
        "C:/evil.wav",
        "c:evil.wav",
        "s/d:/evil.wav",
        "s\\..\\evil.wav",
        "\\\\server\\evil.wav",
        "__MACOSX/../../evil.wav",
        "d/" * 100 + "evil.wav",
    ],
)
def test_names_that_lead_elsewhere_are_refused(kind: str, name: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", {"s/a.wav": b"a", name: b"evil"})
    assert_refused(
        archive,
        "Expected paths below one folder in {archive}, in UTF-8, with forward slashes and at most 100 levels, "
        f"found {name[:200]!r}; pack the files again.",
    )
    assert list(tmp_path.rglob("*evil*")) == []


@KINDS
@pytest.mark.parametrize("name", ["..a/b...wav", "s/...", "a b/c,d.wav", "d/" * 99 + "a.wav", "12:30.wav"])
def test_odd_names_within_the_folder_are_fine(kind: str, name: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", {name: b"a", "x.wav": b""})
    assert contents(unpack_archive(archive, tmp_path / "cache")) == {name: b"a", "x.wav": b""}


def test_names_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "sounds.tgz", {"Vögel.wav": b""}, format=tarfile.GNU_FORMAT, encoding="iso-8859-1")
    assert_refused(
        archive,
        "Expected paths below one folder in {archive}, in UTF-8, with forward slashes and at most 100 levels, "
        r"found 'V\udcf6gel.wav'; pack the files again.",
    )


NOT_PLAIN = "Expected only files and folders in {archive}, found 's/x.wav', which is a link, a device or a file with"


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o020644, 0o060644, 0o140644])
def test_links_and_devices_in_a_zip_are_refused(mode: int, tmp_path: Path) -> None:
    assert_refused(
        write_zip(tmp_path / "sounds.zip", {"s/x.wav": b"../../target"}, external_attr=mode << 16), NOT_PLAIN
    )


@pytest.mark.parametrize(
    "entry_type",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"?",
    ],
)
def test_links_and_devices_in_a_tar_are_refused(entry_type: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "sounds.tgz", "w:gz") as file:
        add_to_tar(file, "s/a.wav")
        add_to_tar(file, "s/x.wav", type=entry_type, linkname="a.wav")
    assert_refused(tmp_path / "sounds.tgz", NOT_PLAIN)


@KINDS
def test_permissions_are_not_taken_over(kind: str, tmp_path: Path) -> None:
    archive = tmp_path / f"sounds.{kind}"
    if kind == "zip":
        write_zip(archive, {"a.wav": b""}, external_attr=0o106777 << 16)
    else:
        with tarfile.open(archive, "w:gz") as file:
            add_to_tar(file, "a.wav", mode=0o6777)
            add_to_tar(file, "s/", mode=0)
            add_to_tar(file, "s/b.wav", mode=0o1777)
    for path in unpack_archive(archive, tmp_path / "cache").rglob("*"):
        assert path.stat().st_mode & 0o7000 == 0
        assert path.is_dir() or path.stat().st_mode & 0o777 & ~0o666 == 0


@KINDS
@pytest.mark.parametrize("name", ["s/b.wav", "__MACOSX/b.wav"])
def test_bomb_stops_early(kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", {"s/a.wav": b"a" * 500, name: bytes(2**23)})
    read = []
    for source in (zipfile.ZipExtFile, tarfile.ExFileObject):

        def read_and_count(self: Any, size: int = -1, read_original: Any = source.read) -> bytes:
            read.append(read_original(self, size))
            return read[-1]

        monkeypatch.setattr(source, "read", read_and_count)
    written = []
    monkeypatch.setattr(shutil, "rmtree", lambda folder, **_: written.append(sum(map(len, contents(folder).values()))))
    with pytest.raises(DataError) as error:
        unpack_archive(archive, tmp_path / "cache", max_bytes=1000)
    assert str(error.value) == (
        f"Expected {archive} to unpack to at most 1,000 bytes, found more; if you trust it, unpack it yourself and "
        "give the folder."
    )
    assert written[0] <= 1000
    assert sum(map(len, read)) < 2**20


@KINDS
def test_files_over_the_limit_together(kind: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", {f"{index}.wav": bytes(100) for index in range(10)})
    assert_refused(archive, "Expected {archive} to unpack to at most 999 bytes, found more; if", max_bytes=999)
    assert len(contents(unpack_archive(archive, tmp_path / "cache", max_bytes=1000))) == 10


def test_limit_is_not_for_what_the_header_says(tmp_path: Path) -> None:
    much = write_zip(tmp_path / "much.zip", {"a.wav": b"a" * 100}, file_size=10**9)
    assert contents(unpack_archive(much, tmp_path / "much", max_bytes=100)) == {"a.wav": b"a" * 100}
    little = write_zip(tmp_path / "little.zip", {"a.wav": b"a" * 100}, file_size=10)
    assert_refused(little, BROKEN.format(archive=little, why="Bad CRC-32 for file 'a.wav'"), max_bytes=99)


@KINDS
@pytest.mark.parametrize(
    "names",
    [
        ["a.wav", "b.wav", "c.wav", "d.wav"],
        ["a/", "b/", "c/", "d/"],
        ["a/b/c/d.wav"],
        ["a/b/c/d/"],
        ["a.wav", ".DS_Store", "._a.wav", "__MACOSX/"],
        ["./", ".//", "././", ".///"],
    ],
)
def test_files_and_folders_are_limited(kind: str, names: list[str], tmp_path: Path) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", dict.fromkeys(names, b""))
    assert_refused(archive, "Expected {archive} to unpack to at most 3 files and folders, found more; if", max_files=3)
    unpack_archive(archive, tmp_path / "cache", max_files=4)


@pytest.mark.parametrize("where", ["first", "later", "end"])
def test_headers_of_a_tar_are_limited(where: str, tmp_path: Path) -> None:
    archive = tmp_path / "sounds.tgz"
    with tarfile.open(archive, "w:gz") as file:
        if where == "later":
            add_to_tar(file, "a.wav", bytes(2**21))
            # A folder has no data, whatever its header says, so that this must not allow for more headers.
            header = tarfile.TarInfo("s")
            header.type, header.size = tarfile.DIRTYPE, 2**30
            file.addfile(header)
        if where != "end":
            add_to_tar(file, "b.wav", pax_headers={"comment": "x" * 2**21})
    if where == "end":
        archive.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()) + bytes(2**21)))
    assert_refused(archive, BROKEN.replace("{why}", "more than 1,048,576 bytes of headers"))


def test_chain_of_headers_in_a_tar_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type = tarfile.GNUTYPE_LONGNAME
    (tmp_path / "sounds.tgz").write_bytes(gzip.compress(header.tobuf() * 1500 + bytes(1024)))
    assert_refused(tmp_path / "sounds.tgz", BROKEN.partition("{why}")[0])


def test_entries_of_a_tar_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_tar(tmp_path / "sounds.tgz", {f"{index}.wav": b"" for index in range(50)})
    opened: list[Any] = []
    open_tar = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda **options: opened.append(open_tar(**options)) or opened[-1])
    assert len(contents(unpack_archive(archive, tmp_path / "cache"))) == 50
    assert len(opened[0].members) <= 1


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    assert_refused(
        write_zip(tmp_path / "sounds.zip", {"a.wav": b"a"}, flag_bits=0x1),
        "Expected {archive} to need no password, found 'a.wav' encrypted; pack the files again without one.",
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9])
def test_other_methods_of_compression_are_refused(method: int, tmp_path: Path) -> None:
    assert_refused(
        write_zip(tmp_path / "sounds.zip", {"a.wav": b"a"}, compress_type=method),
        f"Expected files that are stored or deflated in {{archive}}, found 'a.wav' compressed by method {method}; "
        "pack the files again with the usual settings.",
    )


def test_stored_zip(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "sounds.zip", SOUNDS, zipfile.ZIP_STORED)
    assert contents(unpack_archive(archive, tmp_path / "cache").parent) == SOUNDS


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "File is not a zip file", id="empty"),
        pytest.param(b"<html>Not found</html>" * 100, "File is not a zip file", id="text"),
        pytest.param(b"Rar!\x1a\x07\x01\x00", "File is not a zip file", id="rar"),
        pytest.param(gzip.compress(b""), "empty header", id="gzip of nothing"),
        pytest.param(gzip.compress(b"one sound" * 100), "invalid header", id="gzip of text"),
        pytest.param(b"\x1f\x8b", "Compressed file ended before the end-of-stream marker", id="gzip cut"),
        pytest.param(b"\x1f\x8b\x07" + bytes(20), "Unknown compression method", id="unknown gzip"),
    ],
)
def test_files_that_are_not_archives_are_refused(data: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "sounds.zip").write_bytes(data)
    assert_refused(tmp_path / "sounds.zip", BROKEN.partition("{why}")[0] + why)


def test_zip_shorter_than_it_says_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "sounds.zip", {"a.wav": b""}, 0, compress_size=10**6, file_size=10**6)
    assert_refused(archive, BROKEN.replace("{why}", "it ends too soon"))


def damaged_zip(data: bytes, damage: str) -> bytes:
    start = data.index(b"sound")
    return {
        "cut at the end": data[:-30],
        "cut at the start": data[40:],
        "cut in the middle": data[:start] + data[start + 20 :],
        "changed": data.replace(b"sound", b"hound", 1),
        "changed header": data.replace(b"PK\x03\x04", b"PK\x03\x05", 1),
    }[damage]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("cut at the end", "File is not a zip file"),
        ("cut at the start", "Its start is missing"),
        ("cut in the middle", "Its start is missing"),
        ("changed", "Bad CRC-32 for file 'a.wav'"),
        ("changed header", "Bad magic number for file header"),
    ],
)
def test_damaged_zip_is_refused(damage: str, why: str, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "sounds.zip", {"a.wav": b"sound" * 50, "b.wav": b"b"}, zipfile.ZIP_STORED)
    archive.write_bytes(damaged_zip(archive.read_bytes(), damage))
    assert_refused(archive, BROKEN.replace("{why}", why))


def test_damaged_deflate_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "sounds.zip", {"a.wav": bytes(range(256)) * 40})
    data = bytearray(archive.read_bytes())
    data[35] ^= 0xFF
    archive.write_bytes(data)
    assert_refused(archive, BROKEN.partition("{why}")[0] + "Error -3 while decompressing data")


def test_damaged_name_in_a_zip_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "sounds.zip", {"ä.wav": b""})
    archive.write_bytes(archive.read_bytes().replace("ä".encode(), b"\xff\xff"))
    assert_refused(archive, BROKEN.partition("{why}")[0] + "'utf-8' codec can't decode byte 0xff")


def damaged_tar(data: bytes, damage: str) -> bytes:
    """Damages 9 blocks: header, 3 of data, header, 2 of data, at least 2 at the end; before or after `gzip`."""
    packed = gzip.compress(data, mtime=0)
    return {
        "gzip cut by half": packed[: len(packed) // 2],
        "gzip cut by its checksum": packed[:-8],
        "gzip checksum": packed[:-8] + bytes(4) + packed[-4:],
        "gzip followed by something": packed + b"more",
        "tar cut in data": gzip.compress(data[:1500]),
        "tar cut in a header": gzip.compress(data[: 4 * 512 + 100]),
        "tar cut between entries": gzip.compress(data[: 4 * 512]),
        "tar header": gzip.compress(data[: 4 * 512] + b"?" + data[4 * 512 + 1 :]),
    }[damage]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("gzip cut by half", "Compressed file ended before the end-of-stream marker was reached"),
        ("gzip cut by its checksum", "Compressed file ended before the end-of-stream marker was reached"),
        ("gzip checksum", "CRC check failed"),
        ("gzip followed by something", "Not a gzipped file"),
        ("tar cut in data", "unexpected end of data"),
        ("tar cut in a header", "truncated header"),
        ("tar cut between entries", "empty header"),
        ("tar header", "bad checksum"),
    ],
)
def test_damaged_tar_is_refused(damage: str, why: str, tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "sounds.tar.gz", {"a.wav": bytes(1500), "b.wav": bytes(1000)})
    archive.write_bytes(damaged_tar(gzip.decompress(archive.read_bytes()), damage))
    assert_refused(archive, BROKEN.partition("{why}")[0] + why)


@pytest.mark.parametrize(("name", "found"), [("none.zip", "nothing"), ("folder.zip", "a folder")])
def test_missing_archive(name: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    assert_refused(tmp_path / name, f"Expected an archive at {{archive}}, found {found}; check --dataset.")


@KINDS
@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["s/a.wav", "s/a.wav"], "s/a.wav"),
        (["s/a.wav", "s/./a.wav"], "s/./a.wav"),
        (["s", "s/a.wav"], "s/a.wav"),
        (["s", "s/t/a.wav"], "s/t/a.wav"),
        (["s/a.wav", "s"], "s"),
        (["s", "s/"], "s/"),
        (["s/", "s"], "s"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_clash_are_refused(kind: str, names: list[str], found: str, tmp_path: Path) -> None:
    archive = tmp_path / f"sounds.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zip_file:
            for name in names:
                zip_file.writestr(name, b"")
    else:
        with tarfile.open(archive, "w:gz") as tar_file:
            for name in names:
                add_to_tar(tar_file, name)
        # A folder's name has no slash at its end in `tarfile`.
        found = found.rstrip("/")
    assert_refused(
        archive,
        "Expected every entry of {archive} to have a name of its own that the disk allows, "
        f"found {found!r} ({os.strerror(errno.EEXIST)}); rename it and pack the files again.",
    )


@KINDS
@pytest.mark.parametrize("name", ["n" * 300, "n" * 300 + "/a.wav", "/".join(["n" * 200] * 30)])
def test_names_too_long_for_the_disk_are_refused(kind: str, name: str, tmp_path: Path) -> None:
    assert_refused(
        write_archive(tmp_path / f"sounds.{kind}", {name: b""}),
        "Expected every entry of {archive} to have a name of its own that the disk allows, "
        f"found {name[:200]!r} ({os.strerror(errno.ENAMETOOLONG)}); rename it and pack the files again.",
    )


@KINDS
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk(kind: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(code, "full")

    archive = write_archive(tmp_path / f"sounds.{kind}", SOUNDS)
    monkeypatch.setattr(archives, "open", FullDisk, raising=False)
    assert_refused(
        archive,
        f"Expected room for the 600,003 bytes of {{archive}} in {tmp_path / 'cache'}, found the disk full; free some "
        "or move the cache elsewhere.",
    )


@KINDS
@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "not allowed"), KeyboardInterrupt()])
def test_interrupted_unpacking_leaves_nothing_behind(
    kind: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_two(path: Path, mode: str) -> Any:
        if path.name == "empty.wav":
            raise error
        return path.open(mode)

    archive = write_archive(tmp_path / f"sounds.{kind}", SOUNDS)
    with monkeypatch.context() as patch:
        patch.setattr(archives, "open", open_two, raising=False)
        with pytest.raises(type(error)):
            unpack_archive(archive, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert contents(unpack_archive(archive, tmp_path / "cache").parent) == SOUNDS


def test_folder_of_a_killed_process_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "sounds.zip", SOUNDS)

    def write_some(archive: Any, folder: Path, *limits: int) -> None:
        (folder / "sounds" / "dog").mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(archives, "_unpack", write_some)
        patch.setattr(shutil, "rmtree", lambda *arguments, **options: None)
        with pytest.raises(KeyboardInterrupt):
            unpack_archive(archive, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert contents(unpack_archive(archive, tmp_path / "cache").parent) == SOUNDS


def test_another_process_finishing_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "sounds.zip", SOUNDS)
    unpack = archives._unpack

    def unpack_while_another_process_finishes(archive: Any, folder: Path, *limits: int) -> None:
        unpack(archive, folder, *limits)
        shutil.copytree(folder, folder.parent / folder.name[1:65])

    monkeypatch.setattr(archives, "_unpack", unpack_while_another_process_finishes)
    folder = unpack_archive(archive, tmp_path / "cache")
    assert contents(folder.parent) == SOUNDS
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [folder.parent]


@KINDS
def test_several_at_once(kind: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / f"sounds.{kind}", SOUNDS)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: unpack_archive(archive, tmp_path / "cache"), range(8)))
    assert len(folders) == 1
    assert contents(folders.pop().parent) == SOUNDS
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 1


@KINDS
def test_what_is_both_large_and_many_times_its_archive_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence = write_archive(tmp_path / f"silence.{kind}", {"s/a.wav": bytes(100_000), "s/__MACOSX/b": bytes(100_000)})
    noise = write_archive(tmp_path / f"noise.{kind}", {"s/a.wav": os.urandom(150_000)})
    monkeypatch.setattr(archives, "_LARGE_BYTES", 100_001)
    assert_refused(
        silence,
        "Expected {archive} to unpack to at most 20 times its size or 100,001 bytes, found more, as in archives made "
        "to fill a disk; if you trust it (digital silence packs so well), give --allow_large_archives.",
    )
    for archive, allowed in ((noise, False), (silence, True)):
        folder = unpack_archive(archive, tmp_path / "cache", allow_large_archives=allowed)
        assert (folder / "a.wav").stat().st_size >= 100_000
    assert unpack_archive(silence, tmp_path / "cache").is_dir()  # it is there already
    monkeypatch.setattr(archives, "_LARGE_BYTES", 200_000)
    assert unpack_archive(silence, tmp_path / "other").is_dir()


def test_sizes_in_headers_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "s.zip", {"s/a.wav": bytes(300_000)})
    monkeypatch.setattr(archives, "_LARGE_BYTES", 100_000)
    entries = archives._read_entries
    monkeypatch.setattr(archives, "_read_entries", lambda file: (one._replace(size=1) for one in entries(file)))
    assert_refused(archive, "Expected {archive} to unpack to at most 20 times its size or 100,000 bytes, found more")


def test_an_archive_makes_room_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive_cache.release(first := unpack_archive(write_zip(tmp_path / "a.zip", {"a.wav": b"1"}), tmp_path / "cache"))
    monkeypatch.setenv("HFAUDIO_ARCHIVE_CACHE_BYTES", "0")
    second = unpack_archive(write_zip(tmp_path / "b.zip", {"b.wav": b"2"}), tmp_path / "cache")
    assert (first.exists(), contents(second)) == (False, {"b.wav": b"2"})
    assert contents(unpack_archive(tmp_path / "a.zip", tmp_path / "cache")) == {"a.wav": b"1"}
    assert second.exists()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("damage", ["removed", "changed", "added", "without its table"])
def test_a_folder_that_was_changed_in_the_cache_is_unpacked_anew_and_said(tmp_path, caplog, kind, damage) -> None:
    archive = write_archive(tmp_path / f"a.{kind}", SOUNDS)
    cache = tmp_path / "cache"
    folder = unpack_archive(archive, cache)
    path = folder / "dog" / "b.wav"
    if damage == "removed":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(b"twO" * 200_000)
    elif damage == "added":
        (folder / "dog" / "c.wav").touch()
    else:
        next(cache.glob("*.contents")).unlink()
    assert contents(unpack_archive(archive, cache)) == {
        name.removeprefix("sounds/"): data for name, data in SOUNDS.items()
    }
    assert f"Unpacking {archive.name} anew: files in {cache}" in caplog.text
    caplog.clear()
    unpack_archive(archive, cache)
    assert not caplog.records
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1
