"""What TensorRT's backend does on a GPU at its limits, which no test can ask for or judge by itself.

    python -m bench.gpu.behaviour pools|refit|leftovers|clocks|fault [--tactic-sources NAMES]

pools      every memory pool, and what a version says of those it lacks
refit      an engine whose weights are replaced without a build, against ONNX Runtime with those weights
leftovers  what a run and what a figure that found no memory leave to the next one
clocks     clocks sampled with runs queued
fault      what a kernel that broke the CUDA context leaves: sentences, and what the next session says
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.backends._tensorrt import cuda
from core.backends._tensorrt.execution import Execution
from core.backends._tensorrt.session import TensorRTSession
from core.backends.base import BuildConfig, Engine, OptionValue
from core.backends.tensorrt import BACKEND
from core.base.errors import EngineRoomError
from core.base.profile import parse_profile
from core.base.progress import silent
from core.base.serialization import to_data
from core.base.tensors import Array
from core.benchmark.gpu import GpuTimes
from core.benchmark.measurement import Protocol
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx, save_onnx
from core.precision.runner import Runner
from sample_models.make_models import sample

SHORT = Protocol(warmup_seconds=0.1, min_seconds=0.2, min_samples=20)
LONG = Protocol(warmup_seconds=0.2, min_seconds=1.0, min_samples=100)
POOLS = (
    "tactic_dram:1G",
    "tactic_dram:64",
    "tactic_dram:1",
    "tactic_dram:4096G",
    "tactic_shared_memory:64K",
    "dla_managed_sram:64K",
    "dla_local_dram:512",
    "dla_global_dram:256",
    "dla_managed_sram:3K",
    "workspace:64",
)
STORES_AT_16 = b""".version 7.0
.target sm_70
.address_size 64
.visible .entry bad() { .reg .u64 %a; .reg .u32 %v; mov.u64 %a, 16; mov.u32 %v, 1; st.global.u32 [%a], %v; ret; }
\0"""


class Bench:
    """A folder with a small model: two convolutions with a residual sum, of an open batch."""

    def __init__(self, home: Path, tactic_sources: str) -> None:
        self.home = home
        self.tactics: dict[str, OptionValue] = {"tactic_sources": tactic_sources}
        rng = np.random.default_rng(0)
        weights = {
            "w1": rng.normal(0, 0.2, (16, 3, 3, 3)).astype(np.float32),
            "w2": rng.normal(0, 0.1, (16, 16, 3, 3)).astype(np.float32),
            "factor": np.full(1, 2, np.float32),
        }
        nodes = [
            helper.make_node("Conv", ["x", "w1"], ["a"], name="conv1", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"], name="relu1"),
            helper.make_node("Conv", ["b", "w2"], ["c"], name="conv2", pads=[1, 1, 1, 1]),
            helper.make_node("Add", ["c", "b"], ["d"], name="add"),
            helper.make_node("Relu", ["d"], ["e"], name="relu2"),
            helper.make_node("Mul", ["e", "factor"], ["y"], name="scale"),
        ]
        graph = helper.make_graph(
            nodes,
            "main",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 32, 32])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 16, 32, 32])],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        )
        save_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), home / "convolutions.onnx")
        self.source = source_of(home / "convolutions.onnx")

    def built(
        self, name: str, options: dict[str, OptionValue] | None = None, *, batch: str = "2", source: Source | None = None
    ) -> Engine:
        """An FP32 engine for such batches."""
        source = source or self.source
        folder = self.home / name
        folder.mkdir()
        profile = parse_profile([f"batch={batch}"]).complete(source.signature)
        config = BuildConfig(profile=profile, options=self.tactics | (options or {}), device="cuda")
        return BACKEND.build(source, config, folder, silent)

    def near(self, session: TensorRTSession, batch: int, seed: int = 0) -> str:
        """How near a run comes to ONNX Runtime's."""
        inputs = images(batch, seed)
        return f"batch {batch} right to {error(session.run(inputs)['y'], reference(self.source.path, inputs, 'y')):.1e}"


def pools(bench: Bench) -> None:
    import tensorrt as trt

    config = trt.Builder(trt.Logger(trt.Logger.ERROR)).create_builder_config()
    print("Limits as TensorRT sets them, bytes:")
    for name, pool in trt.MemoryPoolType.__members__.items():
        print(f"- {name.lower()}: {config.get_memory_pool_limit(pool)}")

    def made(name: str, options: dict[str, OptionValue]) -> str:
        engine = bench.built(name, options)
        with BACKEND.open(engine) as session:
            return "; ".join((f"built, {engine.size_bytes} bytes, {bench.near(session, 2)}", *engine.notes))

    print("\n| option | what came of it |\n|---|---|")
    for index, spec in enumerate(POOLS):
        print(f"| `memory_pools={spec}` | {tried(lambda: made(f'pool{index}', {'memory_pools': spec}))} |", flush=True)  # noqa: B023
    print(f"| `workspace_mb=1` | {tried(lambda: made('workspace', {'workspace_mb': 1}))} |")


def refit(bench: Bench) -> None:
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.WARNING)
    print("| model | built with refit | weights it can take | replaced | it still asks for | errors |")
    print("|---|---|---|---|---|---|")
    for name, source in {"convolutions": bench.source, "digits": source_of(sample("digits_onnx"))}.items():
        engine, plain = bench.built(f"{name}-refit", {"refit": True}, source=source), bench.built(f"{name}-plain", source=source)
        spec, output = source.signature.inputs[0], source.signature.outputs[0].name
        lengths = [int(length) for length in (spec.shape or ())[1:] if length is not None]
        feed: dict[str, Array] = {spec.name: np.random.default_rng(3).uniform(0, 1, (2, *lengths)).astype(np.float32)}
        runtime = trt.Runtime(logger)
        read = runtime.deserialize_cuda_engine((engine.folder / engine.artifact).read_bytes())
        refitter = trt.Refitter(read, logger)
        model = onnx.load(source.path)
        changed = scaled(model, refitter, trt)
        onnx.save(model, bench.home / f"{name}-changed.onnx")
        old = reference(source.path, feed, output)
        new = reference(bench.home / f"{name}-changed.onnx", feed, output)
        with session_of(engine, trt, read) as session:
            before = error(session.run(feed)[output], old)
        missing = list(refitter.get_missing_weights())
        done = refitter.refit_cuda_engine()
        with session_of(engine, trt, read) as session:
            after = error(session.run(feed)[output], new)
        print(
            f"| {name} | {engine.size_bytes} bytes, without {plain.size_bytes} | {', '.join(refitter.get_all_weights())} | "
            f"{len(changed)} | {', '.join(missing) or 'none'} | {before:.1e} with the old weights, "
            f"{f'{after:.1e} with the new' if done else 'refused'}; new to old {error(new, old):.1e} |",
            flush=True,
        )


def scaled(model: onnx.ModelProto, refitter: Any, trt: Any) -> list[Array]:
    """Gives the refitter 0.7 times each weight, and the model too; the arrays must live until the engine is refitted."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    kept: list[Array] = []
    for name in refitter.get_all_weights():
        if name not in held or numpy_helper.to_array(held[name]).dtype != np.float32:
            continue
        new = np.ascontiguousarray(numpy_helper.to_array(held[name]) * np.float32(0.7))
        if refitter.set_named_weights(name, trt.Weights(new)):
            held[name].CopyFrom(numpy_helper.from_array(new, name))
            kept.append(new)
        else:
            print(f"TensorRT refused new weights for {name}.")
    return kept


def leftovers(bench: Bench) -> None:
    import tensorrt as trt

    for by_graph in (False, True):
        engine = bench.built(f"left{by_graph}", {"cuda_graph": by_graph}, batch="1:2:512")
        print(f"\nSession, CUDA graph {by_graph}:")
        with BACKEND.open(engine) as session:
            print("-", bench.near(session, 2))
            with all_memory_but(24):
                print("- without memory, batch 512:", tried(lambda: bench.near(session, 512)))
                print("- then:", tried(lambda: bench.near(session, 2, seed=1)))
                print("- then:", tried(lambda: bench.near(session, 2, seed=2)), f"({session.settings['cuda graph']})")
            print("- with memory again:", tried(lambda: bench.near(session, 512)))
            print("- then:", tried(lambda: bench.near(session, 1)))
    engine = bench.built("figures", batch="1:2:2048")
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    read = runtime.deserialize_cuda_engine((engine.folder / engine.artifact).read_bytes())
    activations = read.device_memory_size // 2**20
    del read
    for title, spare in (("too little for a context", 8), ("enough for one context", activations + 48)):
        print(f"\nGPU times with {spare} MiB free, {title} of {activations} MiB:", flush=True)
        with all_memory_but(spare):
            print(tried(lambda: told(BACKEND.gpu_times(engine, images(2), SHORT, silent))))
    print(f"\nThe same with all of the memory:\n{told(BACKEND.gpu_times(engine, images(2), SHORT, silent))}")


def told(times: GpuTimes) -> str:
    runs = ", ".join(run.title for run in times.runs)
    points = f"streams {[point.streams for point in times.streams]}, batches {[point.batch for point in times.batches]}"
    return "\n".join(f"- {line}" for line in (f"runs: {runs}", points, *(f"warning: {warning}" for warning in times.warnings)))


def clocks(bench: Bench) -> None:
    times = to_data(BACKEND.gpu_times(bench.built("clocks", batch="1:256:256"), images(256), LONG, silent))
    for moment in times.pop("clocks"):
        print(json.dumps(moment))
    print(json.dumps(times, indent=1))


def fault(bench: Bench) -> None:
    from cuda.bindings import driver

    engine = bench.built("fault")

    def fresh() -> str:
        with BACKEND.open(engine) as session:
            return bench.near(session, 2)

    def broken() -> str:
        with BACKEND.open(engine) as session:
            print("-", bench.near(session, 2))
            _, module = driver.cuModuleLoadData(STORES_AT_16)
            _, kernel = driver.cuModuleGetFunction(module, b"bad")
            print("- a kernel writes to address 16:", driver.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0)[0])
            print("- run:", tried(lambda: bench.near(session, 2)), flush=True)
            print("- run again:", tried(lambda: bench.near(session, 2)), flush=True)
        return "closed"

    print("- closing:", tried(broken), flush=True)
    print("- a new session of this process:", tried(fresh), flush=True)


def source_of(path: Path) -> Source:
    return Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path)))


def images(batch: int, seed: int = 0) -> dict[str, Array]:
    return {"x": np.random.default_rng(seed).normal(size=(batch, 3, 32, 32)).astype(np.float32)}


def reference(path: Path, inputs: dict[str, Array], output: str) -> Array:
    found: Array = Runner(read_onnx(path), [output]).run(inputs)[0]
    return found


def error(found: Array, expected: Array) -> float:
    """The largest over the largest magnitude."""
    return float(np.abs(np.subtract(found, expected)).max() / np.abs(expected).max())


def tried(work: Callable[[], str]) -> str:
    """What it gave, or the sentence of ours that it failed with."""
    try:
        return work()
    except EngineRoomError as failure:
        return f"{type(failure).__name__}: {failure.message} [{failure.hint}]"


@contextmanager
def session_of(engine: Engine, trt: Any, read: Any) -> Iterator[TensorRTSession]:
    session = TensorRTSession(engine, Execution(trt, read))
    try:
        yield session
    finally:
        session.close()


@contextmanager
def all_memory_but(mebibytes: int) -> Iterator[None]:
    held = cuda.DeviceBuffer(cuda.memory_bytes()[0] - mebibytes * 2**20)
    try:
        yield
    finally:
        held.free()


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "pools": pools,
    "refit": refit,
    "leftovers": leftovers,
    "clocks": clocks,
    "fault": fault,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--tactic-sources", default="", help="TensorRT's option, for hosts without cuBLAS and cuDNN.")
    arguments = parser.parse_args()
    print(f"TensorRT {BACKEND.availability().version}, {arguments.section}\n", flush=True)
    code = 0
    with tempfile.TemporaryDirectory() as home:
        try:
            SECTIONS[arguments.section](Bench(Path(home), arguments.tactic_sources))
        except Exception:
            traceback.print_exc(file=sys.stdout)
            code = 1
    sys.stdout.flush()
    os._exit(code)  # behind a broken context, TensorRT's own end may crash


if __name__ == "__main__":
    main()
