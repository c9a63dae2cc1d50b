"""What our measuring adds to a latency: `measure` over a bare loop, on ONNX Runtime, in the same run.

python -m bench.latency [--rounds 21] [--seconds 0.5]

Each round takes all three in a row, in an order that turns, so that a machine that slows down slows all of them. The ratio is
the median of the rounds' ratios, with the smallest and largest beside it. The first ratio, on the very same session, is the
loop's own and must be about 1.00; the second goes through the backend's session, which also checks the inputs. One thread, since
what is looked for are microseconds, and waking a second thread varies by more.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.backends.base import BuildConfig
from core.backends.onnxruntime import BACKEND
from core.base.profile import ShapeProfile
from core.base.progress import silent
from core.base.tensors import Array, Session, Signature, Tensors, TensorSpec
from core.benchmark.loop import measure
from core.benchmark.machine import describe_machine
from core.benchmark.measurement import Protocol
from core.models.model import Format, Source
from core.parity.inputs import random_inputs

# Channels and side length of a network of four convolutions.
NETWORKS = {"tiny": (4, 8), "small": (24, 48), "medium": (64, 96)}
LAYERS = 4


def make_network(path: Path, channels: int, side: int) -> Signature:
    """Writes `LAYERS` convolutions with ReLU."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for number in range(LAYERS):
        kernel = rng.normal(scale=0.05, size=(channels, channels, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{number}"))
        nodes.append(helper.make_node("Conv", [f"y{number}", f"w{number}"], [f"c{number}"], f"conv{number}", pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"y{number + 1}"], f"relu{number}"))
    shape = (1, channels, side, side)
    names = ("y0", f"y{LAYERS}")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]
    graph = helper.make_graph(nodes, "convolutions", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    first, last = (TensorSpec(name=name, dtype="float32", shape=shape) for name in names)
    return Signature(name="main", inputs=(first,), outputs=(last,))


class Plain:
    """An InferenceSession as it is, behind the contract that `measure` takes."""

    def __init__(self, session: Any) -> None:
        self.session = session

    def run(self, inputs: Tensors) -> dict[str, Array]:
        self.session.run(None, inputs)
        return {}


@contextmanager
def already_open(session: Session) -> Iterator[Session]:
    yield session


def bare_median_ms(session: Any, feed: Mapping[str, Array], seconds: float) -> float:
    """The median of a loop as anyone would write it."""
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def measured_median_ms(open_session: Callable[[], AbstractContextManager[Session]], feed: Tensors, seconds: float) -> float:
    protocol = Protocol(warmup_seconds=0.1, warmup_runs=3, min_seconds=seconds, min_samples=10)
    return measure(open_session, feed, protocol, silent).latency.median_ms


def ratios(signature: Signature, path: Path, folder: Path, rounds: int, seconds: float) -> tuple[float, list[float], list[float]]:
    """The bare median, and each round's ratios: `measure` on the same session, and through the backend, over the bare loop."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    plain = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    source = Source(path=path, format=Format.ONNX, signature=signature)
    engine = BACKEND.build(source, BuildConfig(threads=1), folder, silent)
    feed = random_inputs(signature, ShapeProfile())[0]
    with BACKEND.open(engine) as session:
        ways: list[Callable[[], float]] = [
            lambda: bare_median_ms(plain, feed, seconds),
            lambda: measured_median_ms(lambda: already_open(Plain(plain)), feed, seconds),
            lambda: measured_median_ms(lambda: already_open(session), feed, seconds),
        ]
        for way in ways:
            way()
        taken: list[list[float]] = [[], [], []]
        for number in range(rounds):
            for turn in range(len(ways)):
                which = (number + turn) % len(ways)
                taken[which].append(ways[which]())
    bare, same, through = taken
    over_bare = [[one / base for one, base in zip(times, bare, strict=True)] for times in (same, through)]
    return statistics.median(bare), over_bare[0], over_bare[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    machine = describe_machine()
    print(f"{machine['processor']}, {machine['cores']} cores, load {machine.get('load average', 'not told')}")
    print(f"{arguments.rounds} rounds of {arguments.seconds:g} s each, one thread\n")
    print(f"{'network':8} {'bare ms':>9}   {'measure / bare (range)':24} {'through the backend / bare (range)'}")
    for name, (channels, side) in NETWORKS.items():
        with tempfile.TemporaryDirectory() as temporary:
            path, folder = Path(temporary) / "network.onnx", Path(temporary) / "engine"
            folder.mkdir()
            signature = make_network(path, channels, side)
            bare, same, through = ratios(signature, path, folder, arguments.rounds, arguments.seconds)
        texts = [f"{statistics.median(r):.3f} ({min(r):.3f} to {max(r):.3f})" for r in (same, through)]
        print(f"{name:8} {bare:9.4f}   {texts[0]:24} {texts[1]}", flush=True)


if __name__ == "__main__":
    main()
