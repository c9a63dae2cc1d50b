"""Keras files that run, read, hang or swell: uploaded over HTTP, and run by a process that lets them, boxed and not."""

from __future__ import annotations

import base64
import io
import json
import lzma
import marshal
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from bench.attack.attempt import Attack, Tries
from bench.attack.hostile_models import load_trusting
from bench.attack.instance import Instance, Probes
from core.base.box.limits import passing_box
from core.base.children.call import Child, NoAnswer

HANGS = Path(__file__).with_name("hang.h5.xz")  # found by fuzzing: h5py never ends reading it
SECONDS = 400.0
MEGABYTE = 1_000_000


def _code(mark: Path) -> str:
    """A function's code that leaves a mark, as Keras packs that of a Lambda layer."""
    outer = compile(f"lambda x: (open({str(mark)!r}, 'w').close(), x)[1]", "lambda", "eval")
    inner = next(one for one in outer.co_consts if isinstance(one, CodeType))
    return base64.b64encode(marshal.dumps(inner)).decode()


def _model(*layers: dict[str, Any]) -> str:
    first = {"class_name": "InputLayer", "module": "keras.layers", "config": {"batch_shape": [None, 4], "name": "x"}}
    config = {"name": "m", "layers": [first, *layers]}
    return json.dumps({"class_name": "Sequential", "module": "keras", "config": config, "registered_name": None})


def _layer(kind: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "module": module, "config": {"name": kind.lower(), **config}, "registered_name": None}


def _archive(config: str | bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed, weights = io.BytesIO(), io.BytesIO()
    import_module("h5py").File(weights, "w").close()
    with zipfile.ZipFile(packed, "w", kind) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.14.0"}')
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights.getvalue())
    return packed.getvalue()


def _h5(config: str, fill: Any = lambda file: None) -> bytes:
    packed = io.BytesIO()
    with import_module("h5py").File(packed, "w") as file:
        file.attrs["model_config"] = config
        file.attrs["keras_version"] = "2.15.0"
        file.create_group("model_weights").attrs["layer_names"] = np.array([], "S1")
        fill(file)
    return packed.getvalue()


def running(mark: Path) -> dict[str, Any]:
    """A layer that runs a function of the file's."""
    function = {"class_name": "__lambda__", "config": {"code": _code(mark), "defaults": None, "closure": None}}
    return _layer("Lambda", function=function, arguments={})


def files(mark: Path) -> Iterator[tuple[str, bytes]]:
    legacy = {"class_name": "Lambda", "config": {"function": [_code(mark), None, None], "function_type": "lambda"}}
    yield "lambda.keras", _archive(_model(running(mark)))
    yield "lambda.h5", _h5(_model(legacy))
    yield "module.keras", _archive(_model(_layer("system", "os", command=f"touch {mark}")))
    yield "vocabulary.keras", _archive(_model(_layer("StringLookup", vocabulary="/etc/passwd")))
    yield "external.h5", _h5(_model(), _elsewhere)
    yield "hang.h5", lzma.decompress(HANGS.read_bytes())
    yield "swelling.keras", _archive(bytes(800 * MEGABYTE), zipfile.ZIP_BZIP2)
    yield "swelling.h5", _h5(_model(), _swelling)


def _elsewhere(file: Any) -> None:
    """Weights whose bytes are another file's."""
    file["model_weights"].create_dataset("w", (100,), "u1", external=[("/etc/passwd", 0, 100)])
    file["linked"] = import_module("h5py").ExternalLink("/etc/passwd", "/")


def _swelling(file: Any) -> None:
    """4 GB of weights, each piece the same one of zeros."""
    piece = zlib.compress(bytes(4 * MEGABYTE), 9)
    made = file["model_weights"].create_dataset("w", (1000, MEGABYTE), "f4", chunks=(1, MEGABYTE), compression="gzip")
    for row in range(1000):
        made.id.write_direct_chunk((row, 0), piece)


def uploads(instance: Instance, tries: Tries) -> None:
    mark = instance.home / "ran"
    for name, data in files(mark):
        before, started = instance.resident_bytes(), time.monotonic()
        with Probes(instance) as probes:
            end = instance.ended(instance.send(name, data))
        grown, took = instance.resident_bytes() - before, time.monotonic() - started
        failed = end["error"] or {}
        told = f"{end['state']}: {str(failed.get('message', ''))[:70]!r}"
        print(f"{'':<13}{name:<18}{len(data):>11,} bytes {took:>6.0f} s, server {grown / 1e6:+.0f} MB, {told}", flush=True)
        tries.hold(not mark.exists(), f"{name} ran its program")
        tries.hold("root:" not in json.dumps(end), f"{name} tells of /etc/passwd")
        tries.hold(not failed or failed["kind"] != "EngineRoomError", f"{name} ended so: {failed}")
        tries.hold(took < SECONDS and grown < 200e6, f"{name} took {took:.0f} s, and the server grew by {grown / 1e6:.0f} MB")
        tries.hold(not probes.failed, f"the server did not answer meanwhile: {probes.failed[:3]}")
        tries.hold(not instance.children(), f"processes were left after {name}")


def trusted(_: Instance, tries: Tries) -> None:
    """A program in a file that is let run leaves its mark without a box, and none in one."""
    with tempfile.TemporaryDirectory() as folder:
        mark, path = Path(folder) / "ran", Path(folder) / "lambda.keras"
        path.write_bytes(_archive(_model(running(mark))))
        with passing_box("attack", [path]) as box:
            for child in (Child(box=box), Child()):
                try:
                    child.call(load_trusting, path)
                except NoAnswer as end:
                    print(f"{'':<13}{'in a box' if child.box else 'without':<18}{end.last_line[:90]}", flush=True)
                    tries.hold(str(mark) in end.last_line, f"it failed for another reason than that: {end.last_line}")
                tries.hold(mark.exists() is (child.box is None), f"the program ran: {mark.exists()}, boxed: {bool(child.box)}")


ATTACKS = (
    Attack(name="Keras files that run, read, hang or swell", run=uploads),
    Attack(name="a Keras file's program that is let run", run=trusted),
)
