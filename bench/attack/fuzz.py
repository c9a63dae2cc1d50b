"""Uploads that were changed at random: every one is answered in words, and the server answers others all the while."""

from __future__ import annotations

import io
import random
import shutil
import tarfile
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np

from bench.attack.attempt import Attack, Tries
from bench.attack.instance import UPLOADS, Instance, Probes

SAMPLES = Path(__file__).parents[2] / "sample_models"
SEED = 20_15
BEATS = ("flip", "noise", "zeros", "cut", "twice", "numbers", "splice")
EVERY = 500  # uploads, a line is told
NUMBERS = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0", b"\x01\0\0\0")


def seeds() -> dict[str, bytes]:
    """Honest files of the formats that are read, by name."""
    found = {"digits.onnx": (SAMPLES / "digits.onnx").read_bytes()}
    folder = SAMPLES / "digits"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))
    found["digits.zip"] = packed.getvalue()
    for ending in ("gz", "xz", "bz2"):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode=f"w:{ending}") as tar:  # type: ignore[call-overload]
            tar.add(folder, arcname="digits")
        found[f"digits.tar.{ending}"] = packed.getvalue()
    found["saved_model.pb"] = (folder / "saved_model.pb").read_bytes()
    packed = io.BytesIO()
    np.savez(packed, image=np.zeros((2, 8, 8, 1), np.float32))
    found["inputs.npz"] = packed.getvalue()
    return found | _keras()


def _keras() -> dict[str, bytes]:
    """The skeleton of a Keras file; empty where h5py is not here."""
    try:
        h5py = import_module("h5py")
    except ImportError:
        return {}
    packed = io.BytesIO()
    with h5py.File(packed, "w") as file:
        file.attrs["model_config"] = '{"class_name": "Sequential", "config": {"layers": []}}'
        file.create_group("model_weights").create_dataset("w", data=np.zeros((4, 4), np.float32))
    return {"m.h5": packed.getvalue()}


def changed(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """The file after one to a few dozen changes of one kind."""
    found, beat = bytearray(data), dice.choice(BEATS)
    for _ in range(dice.choice((1, 1, 2, 4, 16, 48))):
        place = dice.randrange(max(1, len(found)))
        if beat == "flip":
            found[place : place + 1] = bytes([found[place] ^ (1 << dice.randrange(8))]) if found else b""
        elif beat == "noise":
            found[place : place + dice.randrange(1, 64)] = dice.randbytes(dice.randrange(1, 64))
        elif beat == "zeros":
            found[place : place + 64] = bytes(64)
        elif beat == "cut":
            del found[place:]
            break
        elif beat == "twice":
            found[place:place] = found[place : place + dice.randrange(1, 2000)]
        elif beat == "numbers":
            found[place : place + 4] = dice.choice(NUMBERS)
        else:
            other = dice.choice(others)
            begins = dice.randrange(len(other))
            found[place : place + 256] = other[begins : begins + dice.randrange(1, 512)]
    return bytes(found)


def fuzzed(instance: Instance, tries: Tries) -> None:
    dice, files = random.Random(SEED), seeds()  # noqa: S311  tries that can be repeated
    others, ends = list(files.values()), Counter[str]()
    cases = []
    for _ in range(instance.fuzzed):
        name = dice.choice(list(files))
        cases.append((name, changed(files[name], others, dice)))
    before = instance.resident_bytes()

    def one(case: tuple[str, bytes]) -> tuple[str, str]:
        name, data = case
        try:
            upload = instance.send(name, data, {"as": "data"} if name.endswith(".npz") else {})
            end = instance.ended(upload)
            instance.ask("DELETE", f"{UPLOADS}/{upload}")
        except (OSError, KeyError, ValueError) as error:
            return name, f"no answer: {type(error).__name__}: {error}"
        failed = end["error"]
        if failed and (failed["kind"] == "EngineRoomError" or not failed["message"]):
            return name, f"not in words: {failed}"
        ends[failed["kind"] if failed else "taken"] += 1
        return name, ""

    with Probes(instance) as probes, ThreadPoolExecutor(4) as threads:
        for number, (name, trouble) in enumerate(threads.map(one, cases)):
            tries.hold(not trouble, f"{number} {name}: {trouble}")
            if number % EVERY == EVERY - 1:  # what was taken is no use, and the disk has an end
                told = (
                    f"{number + 1:,} of {len(cases):,}, {len(tries.broke)} broke, the slowest probe took {probes.slowest:.2f} s"
                )
                print(f"{'':<13}{told}", flush=True)
                shutil.rmtree(instance.workspace.models, ignore_errors=True)
    grown = instance.resident_bytes() - before
    left = [one.name for one in (instance.workspace.root / "tmp").iterdir()]
    tries.hold(not probes.failed, f"probes that were not answered: {len(probes.failed)} of {probes.count}: {probes.failed[:3]}")
    tries.hold(grown < 200e6, f"the server grew by {grown / 1e6:.0f} MB")
    tries.hold(not left, f"partial work was left: {left[:5]}")
    tries.hold(not instance.children(), f"processes were left: {instance.children()}")
    told = f"{probes.count} probes, the slowest took {probes.slowest:.2f} s; the server grew by {grown / 1e6:.0f} MB"
    print(f"{'':<13}{dict(ends)}; {told}")


ATTACKS = (Attack(name="uploads changed at random, with probes", run=fuzzed),)
