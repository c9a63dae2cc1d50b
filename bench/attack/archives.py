"""Archives that lead out of their folder, and names that no disk holds."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bench.attack.attempt import Attack, Tries
from bench.attack.instance import Instance

MODEL = Path(__file__).parents[2] / "sample_models" / "digits.onnx"
OUTSIDE = "escaped.onnx"


def zipped(name: str, data: bytes, kind: int = 0) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = kind << 16
        archive.writestr(entry, data)
    return packed.getvalue()


def tarred(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size = kind, link, len(data)
        archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def leading_out(home: Path) -> Iterator[tuple[str, bytes]]:
    data = MODEL.read_bytes()
    for name in (
        f"../{OUTSIDE}",
        f"../../../../../../../..{home}/{OUTSIDE}",
        f"{home}/{OUTSIDE}",
        f"a/../../{OUTSIDE}",
        f"..\\{OUTSIDE}",
    ):
        yield f"a zip with {name}", zipped(name, data)
        if "\\" not in name:  # in a tar, a letter like any other
            yield f"a tar with {name}", tarred(name, data)
    yield "a zip's link", zipped("m.onnx", b"/etc/passwd", 0o120777)
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        yield f"a tar's entry of kind {kind!r}", tarred("m.onnx", kind=kind, link="/etc/passwd")


def escapes(instance: Instance, tries: Tries) -> None:
    for told, data in leading_out(instance.home):
        end = instance.ended(instance.send("given.zip" if data[:2] == b"PK" else "given.tar", data))
        tries.hold(end["state"] == "failed" and bool(end["error"]["message"]), f"{told} ended so: {end}")
        tries.hold(not list(instance.home.rglob(OUTSIDE)), f"{told} wrote a file outside")


def odd_names(instance: Instance, tries: Tries) -> None:
    """Names that are odd and honest: the model is taken, and found again by its name."""
    data = MODEL.read_bytes()
    for name in ("größe.onnx", "模型.onnx", "-rf.onnx", "--help.onnx", "a b.onnx", "=1+1.onnx", "a\nb.onnx", "\u202efoo.onnx"):
        end = instance.ended(instance.send("given.zip", zipped(name, data)))
        tries.hold(end["state"] == "done", f"a zip with {name!r} ended so: {end}")
    latin = "größe.onnx".encode("latin-1").decode("utf-8", "surrogateescape")
    end = instance.ended(instance.send("given.tar", tarred(latin, data)))
    tries.hold(end["state"] == "done", f"a tar with a name in Latin-1 ended so: {end}")


def damaged(instance: Instance, tries: Tries) -> None:
    """Each of a zip's directory's fields, written anew: all that comes of it is told, and none is a crash."""
    whole = zipped("m.onnx", MODEL.read_bytes())
    directory = whole.rindex(b"PK\x01\x02")
    for place in range(directory, len(whole) - 4, 12 if instance.quick else 3):
        for value in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"):
            data = whole[:place] + value + whole[place + 4 :]
            end = instance.ended(instance.send("given.zip", data))
            failed = end["error"] or {}
            tries.hold(failed.get("kind") not in ("StageCrashed", "EngineRoomError"), f"byte {place}: {failed.get('message')}")


ATTACKS = (
    Attack(name="archives that lead out of their folder, or hold links and devices", run=escapes),
    Attack(name="names that are odd, and honest", run=odd_names),
    Attack(name="zips with a damaged directory", run=damaged),
)
