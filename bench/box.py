"""What a box costs: a process of its own with and without one, and an engine's latency in and out of it.

python -m bench.box [--rounds 20]

Both take turns in one run. "start" is the time from asking a child for nothing to its answer; "desk" what handing a stage its
workspace and taking its work over adds; the latency is the median of SqueezeNet on ONNX Runtime, with one thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnx.backend.test

from core.base.box.box import Box
from core.base.box.enter import enter
from core.base.children.call import Child
from core.base.serialization import write_json
from core.request.build_request import BuildRequest
from core.stages.desk import desk_for, inputs_of
from core.storage.builds import REQUEST_FILE
from core.storage.workspace import Workspace

LIGHT = Path(onnx.backend.test.__file__).parent / "data/light/light_squeezenet.onnx"


def nothing() -> None:
    pass


def entering(home: Path) -> float:
    """Milliseconds that closing the box takes, in the process that does."""
    start = time.perf_counter()
    enter(Box(home=home), keep=range(3, 64))
    return (time.perf_counter() - start) * 1e3


def median_latency(model: Path, runs: int) -> float:
    """Milliseconds of one inference."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    shapes = {one.name: [length if isinstance(length, int) else 1 for length in one.shape] for one in session.get_inputs()}
    inputs = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, inputs)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    found: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in ("start, ms", "desk, ms", "closing it, ms", "latency, ms")
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        home, model = root / "home", LIGHT
        home.mkdir()
        workspace = Workspace(root / "workspace")
        (workspace.model_folder("m") / "content").mkdir(parents=True)
        request = BuildRequest(model="m", path="onnx.onnxruntime")
        build = workspace.builds / "b"
        write_json(build / REQUEST_FILE, request)
        box = Box(home=home, reads=(model.parent,))

        def desk() -> None:
            with desk_for(workspace, "m", inputs_of(workspace, request, build)) as one:
                one.lay_out(build)
                one.take_artifacts()

        for _ in range(rounds):
            for place, child in enumerate((Child(), Child(box=box))):
                found["start, ms"][place].append(seconds_of(lambda child=child: child.call(nothing)))  # type: ignore[misc]
                found["latency, ms"][place].append(child.call(median_latency, model, 200))
            found["desk, ms"][1].append(seconds_of(desk))
            found["closing it, ms"][1].append(Child().call(entering, home))
    print(f"{'':16} {'without':>9} {'boxed':>9} {'ratio':>7}   medians of {rounds} rounds, {sys.platform}")
    for name, (without, boxed) in found.items():
        one, other = statistics.median(without) if without else None, statistics.median(boxed)
        ratio = f"{statistics.median(b / a for a, b in zip(without, boxed, strict=True)):7.3f}" if without else ""
        print(f"{name:16} {'' if one is None else f'{one:9.3f}':>9} {other:9.3f} {ratio}")


if __name__ == "__main__":
    from bench import box  # noqa: PLW0406 - a child imports what it calls by that name

    box.main()
