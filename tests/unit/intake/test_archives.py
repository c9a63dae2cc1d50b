"""Archives that a stranger made: what may leave them, and what is said of the others."""

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.base.errors import BrokenModel, EngineRoomError, UnsupportedModel
from core.intake.archives import Limits, is_archive, unpack


def make_zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def make_tar(path: Path, *members: tarfile.TarInfo | tuple[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return path


def tar_entry(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def names_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


DATA = bytes(range(256)) * 100
FILES = (("m/a.txt", DATA), ("m/sub/b.txt", b"b"), ("m/.DS_Store", b"junk"), ("__MACOSX/m/._a.txt", b"junk"))
MAKERS: dict[str, Callable[[Path], Path]] = {
    "zip": lambda p: make_zip(p, *FILES),
    "tar": lambda p: make_tar(p, *FILES, mode="w"),
    "tar.gz": lambda p: make_tar(p, *FILES),
    "tar.bz2": lambda p: make_tar(p, *FILES, mode="w:bz2"),
    "tar.xz": lambda p: make_tar(p, *FILES, mode="w:xz"),
    "dotted tar.gz": lambda p: make_tar(p, *((f"./{name}", data) for name, data in FILES)),
    "windows zip": lambda p: make_zip(p, *((name.replace("/", "\\"), data) for name, data in FILES)),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_unpacks_without_junk(tmp_path: Path, kind: str) -> None:
    path = MAKERS[kind](tmp_path / "upload")
    assert is_archive(path)
    unpack(path, tmp_path / "out")
    assert names_below(tmp_path / "out") == ["m/a.txt", "m/sub/b.txt"]
    assert (tmp_path / "out/m/a.txt").read_bytes() == DATA


def zip_link(path: Path) -> Path:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return make_zip(path, (info, b"/etc/passwd"))


def encrypted_zip(path: Path) -> Path:
    data = bytearray(make_zip(path, ("a", b"secret")).read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + offset] |= 1
    path.write_bytes(data)
    return path


def wrong_checksum(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.txt", b"original")
    path.write_bytes(path.read_bytes().replace(b"original", b"tampered"))
    return path


def cut(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def make_and_cut(path: Path) -> Path:
        data = make(path).read_bytes()
        path.write_bytes(data[: len(data) // 2])
        return path

    return make_and_cut


def many_bytes(path: Path) -> Path:
    path.write_bytes(b"\x1f\x8b" + b"\x08" * 500)
    return path


def places_before_the_file(path: Path) -> Path:
    """Its directory says that it begins later than it does, so that all files lie before the beginning."""
    make_zip(path, *FILES)
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    begins = int.from_bytes(data[end + 16 : end + 20], "little")
    data[end + 16 : end + 20] = (begins + 1000).to_bytes(4, "little")
    path.write_bytes(data)
    return path


BAD: dict[str, tuple[Callable[[Path], Path], type[EngineRoomError], str]] = {
    "zip parent": (lambda p: make_zip(p, ("../evil", b"x")), BrokenModel, "outside itself"),
    "zip absolute": (lambda p: make_zip(p, ("/srv/evil", b"x")), BrokenModel, "outside itself"),
    "zip drive": (lambda p: make_zip(p, ("C:\\evil", b"x")), BrokenModel, "outside itself"),
    "zip backslash parent": (lambda p: make_zip(p, ("a\\..\\..\\evil", b"x")), BrokenModel, "outside itself"),
    "zip link": (zip_link, BrokenModel, "link"),
    "zip encrypted": (encrypted_zip, UnsupportedModel, "encrypted"),
    "zip checksum": (wrong_checksum, BrokenModel, "damaged"),
    "zip places": (places_before_the_file, BrokenModel, "damaged"),
    "zip cut short": (cut(MAKERS["zip"]), BrokenModel, "cut short"),
    "tar parent": (lambda p: make_tar(p, ("a/../../evil", b"x")), BrokenModel, "outside itself"),
    "tar absolute": (lambda p: make_tar(p, ("/srv/evil", b"x")), BrokenModel, "outside itself"),
    "tar symlink": (lambda p: make_tar(p, tar_entry("l", tarfile.SYMTYPE, "/etc/passwd")), BrokenModel, "link"),
    "tar hard link": (lambda p: make_tar(p, tar_entry("l", tarfile.LNKTYPE, "/etc/passwd")), BrokenModel, "link"),
    "tar fifo": (lambda p: make_tar(p, tar_entry("f", tarfile.FIFOTYPE)), BrokenModel, "link or a device"),
    "tar device": (lambda p: make_tar(p, tar_entry("d", tarfile.CHRTYPE)), BrokenModel, "link or a device"),
    "tar same name": (lambda p: make_tar(p, ("a", b"1"), ("a", b"2")), BrokenModel, "same name"),
    "tar file as folder": (lambda p: make_tar(p, ("a", b"1"), ("a/b", b"2")), BrokenModel, "same name"),
    "tar cut short": (cut(MAKERS["tar"]), BrokenModel, "cut short"),
    "tar.gz cut short": (cut(MAKERS["tar.gz"]), BrokenModel, "cut short"),
    "tar.xz cut short": (cut(MAKERS["tar.xz"]), BrokenModel, "cut short"),
    "tar.bz2 cut short": (cut(MAKERS["tar.bz2"]), BrokenModel, "cut short"),
    "gzip noise": (many_bytes, BrokenModel, "damaged"),
    "overlong name": (lambda p: make_tar(p, ("x" * 300, b"1")), BrokenModel, "overlong"),
}


def test_names_in_latin_1_of_an_honest_archive(tmp_path: Path) -> None:
    old = tarfile.TarInfo("größe/m.onnx".encode("latin-1").decode("utf-8", "surrogateescape"))
    path = make_tar(tmp_path / "upload", old, ("模型.txt", b""))
    unpack(path, tmp_path / "out")
    assert names_below(tmp_path / "out") == ["größe/m.onnx", "模型.txt"]


@pytest.mark.parametrize("kind", BAD)
def test_bad_archives(tmp_path: Path, kind: str) -> None:
    make, error, words = BAD[kind]
    path = make(tmp_path / "upload")
    (tmp_path / "a" / "out").mkdir(parents=True)
    with pytest.raises(error, match=words) as caught:
        unpack(path, tmp_path / "a" / "out")
    assert caught.value.hint
    assert not [name for name in names_below(tmp_path) if "evil" in name]
    assert not any(p.is_symlink() for p in tmp_path.rglob("*"))


def test_gzip_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"x" * 10_000)
    with pytest.raises(UnsupportedModel, match="single file"):
        unpack(path, tmp_path / "out")


LIMITS = Limits(size_bytes=5_000_000, files=3, ratio=10, free_bytes=100_000)


@pytest.mark.parametrize(
    ("members", "words"),
    [([("zeros", bytes(1_000_000))], "unpacks to more than"), ([(str(n), b"1") for n in range(4)], "more than 3 files")],
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_bombs(tmp_path: Path, make: Callable[..., Path], members: list[tuple[str, bytes]], words: str) -> None:
    path = make(tmp_path / "upload", *members)
    with pytest.raises(BrokenModel, match=words):
        unpack(path, tmp_path / "out", limits=LIMITS)
    written = sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert written <= LIMITS.free_bytes + LIMITS.ratio * path.stat().st_size


def test_declared_sizes_are_not_believed(tmp_path: Path) -> None:
    """A zip whose directory says 1 byte is still stopped by what comes out."""
    path = make_zip(tmp_path / "upload", ("zeros", bytes(1_000_000)))
    size = (1_000_000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (1).to_bytes(4, "little")))
    with pytest.raises(BrokenModel):
        unpack(path, tmp_path / "out", limits=LIMITS)
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file()) <= 200_000
