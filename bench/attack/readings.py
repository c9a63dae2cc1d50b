"""Files that hold their readers up: what is cancelled is gone, what is too much is refused, and the server still answers."""

from __future__ import annotations

import io
import tarfile
import time
import zipfile

import numpy as np
import psutil

from bench.attack.attempt import Attack, Tries
from bench.attack.instance import UPLOADS, Instance, Probes

GONE_SECONDS = 10.0


def slow_archive() -> bytes:
    """1 GB of zeros in 3 MB: some seconds to unpack, and then no model."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(10):
            archive.writestr(f"{number}.bin", bytes(100_000_000))
    return packed.getvalue()


def cancelled(instance: Instance, tries: Tries) -> None:
    data = slow_archive()
    for _ in range(3 if instance.quick else 20):
        uploads = [instance.send("slow.zip", data) for _ in range(3)]
        deadline = time.monotonic() + 30
        while not instance.children() and time.monotonic() < deadline:
            time.sleep(0.05)
        readers = instance.children()
        for upload in uploads:
            instance.ask("DELETE", f"{UPLOADS}/{upload}")
        _, left = psutil.wait_procs(readers, timeout=GONE_SECONDS)
        tries.hold(bool(readers) and not left, f"{len(left)} of {len(readers)} processes were there {GONE_SECONDS:g} s later")
        folders = [one.name for one in (instance.workspace.root / "uploads").iterdir() if one.name in uploads]
        tries.hold(not folders, f"of the uploads there is left: {folders}")


def good_after_bad(instance: Instance, tries: Tries) -> None:
    """Whoever comes after cancelled uploads is read at once."""
    arrays = io.BytesIO()
    np.savez(arrays, x=np.zeros(4, np.float32))
    started = time.monotonic()
    told = instance.ended(instance.send("fine.npz", arrays.getvalue(), {"as": "data"}))
    took = time.monotonic() - started
    tries.hold(told["state"] == "done" and took < 60, f"a good upload: {told['state']} after {took:.0f} s")


def many_arrays(instance: Instance, tries: Tries) -> None:
    """An .npz with a very long list: read outside of the server, which does not grow."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(100_000 if instance.quick else 1_000_000):
            archive.writestr(f"{number}.npy", b"")
    before = instance.resident_bytes()
    with Probes(instance) as probes:
        told = instance.ended(instance.send("many.npz", packed.getvalue(), {"as": "data"}))
    grown = instance.resident_bytes() - before
    tries.hold(told["state"] == "failed" and bool(told["error"]["message"]), f"it ended so: {told}")
    tries.hold(grown < 100e6, f"the server grew by {grown / 1e6:.0f} MB")
    tries.hold(not probes.failed, f"the server did not answer meanwhile: {probes.failed[:3]}")


def bombs(instance: Instance, tries: Tries) -> None:
    """Small archives that unpack to very much are ended at their budget, and nothing of them stays."""
    inner = slow_archive()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(30):
            archive.writestr(f"{number}.zip", inner)
    sparse = tarfile.TarInfo("m.onnx")
    sparse.size = 1 << 42
    for name, data in (("nested.zip", packed.getvalue()), ("huge.tar", sparse.tobuf(tarfile.GNU_FORMAT) + bytes(4096))):
        told = instance.ended(instance.send(name, data))
        tries.hold(told["state"] == "failed" and bool(told["error"]["hint"]), f"{name} ended so: {told}")
    left = list((instance.workspace.root / "tmp").iterdir())
    tries.hold(not left, f"partial work was left: {left}")


ATTACKS = (
    Attack(name="uploads cancelled while they are read, with all processes", run=cancelled),
    Attack(name="a good upload after them", run=good_after_bad),
    Attack(name="an .npz of very many arrays", run=many_arrays),
    Attack(name="archives that unpack to very much", run=bombs),
)
