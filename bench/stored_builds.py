"""Stored builds to show: a ResNet-50 as TensorRT 8.5 really inspected it, with made-up times, and builds that went wrong.

What a page does with a build does not depend on who made it, so these are written as the stages leave them, without running any.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.rtx_logs import recorded_graph
from core.backends._tensorrt.inspector import read_inspector
from core.backends._tensorrt.mapping import engine_graph
from core.backends.base import Engine
from core.base.errors import Failure
from core.base.precision import Precision
from core.base.profile import AxisRange, ShapeProfile
from core.base.serialization import content_key, read_json, write_json
from core.base.tensors import Signature, TensorSpec
from core.benchmark import statistics
from core.benchmark.measurement import Measurement, Protocol
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor, SourceNode
from core.graph.source import SourceGraph
from core.models.model import Format, Model
from core.parity.result import Accuracy, OutputParity, Parity
from core.precision.record import PrecisionRecord
from core.request.build_request import BuildRequest, checked
from core.stages.build import Built
from core.stages.stage import Prepared
from core.storage.builds import BUILD_FILE, REQUEST_FILE, Build, StageName, StageRecord, State, result_file
from core.storage.workspace import Workspace

GOLDEN = Path(__file__).parents[1] / "tests/golden/tensorrt/tensorrt-8.5.3.1-h100"
STAGES = (StageName.SIMPLIFY, StageName.BUILD, StageName.INSPECT, StageName.REFERENCE, StageName.PARITY, StageName.MEASURE)
SIGNATURE = Signature(
    name="main",
    inputs=(TensorSpec(name="image", dtype="float32", shape=("batch", 224, 224, 3)),),
    outputs=(TensorSpec(name="scores", dtype="float32", shape=("batch", 1000)),),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A workspace with builds of one model.

    Attributes:
        fp32, fp16: Done, inspected, timed, on par.
        int8: Done, and not on par.
        untimed: Done on another runtime; nothing timed its layers.
        failed, running: Neither has left anything.
    """

    workspace: Workspace
    model: Model
    fp32: str
    fp16: str
    int8: str
    untimed: str
    failed: str
    running: str


def fill(workspace: Workspace) -> Shelf:
    model = store_model(workspace, "resnet50")
    request = BuildRequest(model=model.digest, path="onnx.tensorrt", device="cuda", signature="main")
    fp32, fp16 = resnet("fp32"), resnet("fp16")
    untimed = replace(fp32, layers=tuple(replace(layer, time_ms=None) for layer in fp32.layers))
    error = Failure(
        kind="BuildFailed",
        message="TensorRT found no kernel for a block.",
        hint="Give it more workspace.",
        detail="[E] 10: no implementation",
    )
    ended = (StageRecord(stage=StageName.SIMPLIFY, state=State.DONE, seconds=1.0),)
    on_cpu = replace(request, path="onnx.onnxruntime", device="cpu")
    lower = {kind: replace(request, precision=kind) for kind in (Precision.FP16, Precision.INT8, Precision.BF16)}
    refused = StageRecord(stage=StageName.BUILD, state=State.FAILED, seconds=2.0, error=error)
    begun = StageRecord(stage=StageName.BUILD, state=State.RUNNING, started_at=1.8e9)
    return Shelf(
        workspace=workspace,
        model=model,
        fp32=store_build(workspace, request, graph=fp32, median_ms=1.3, size_bytes=102_000_000, error=3e-5),
        fp16=store_build(workspace, lower[Precision.FP16], graph=fp16, median_ms=0.62, size_bytes=51_000_000, error=2e-3),
        int8=store_build(workspace, lower[Precision.INT8], graph=fp16, median_ms=0.4, size_bytes=27_000_000, error=0.3),
        untimed=store_build(workspace, on_cpu, graph=untimed, median_ms=9.0, size_bytes=102_500_000, error=1e-6),
        failed=store_build(workspace, lower[Precision.BF16], state=State.FAILED, stages=(*ended, refused)),
        running=store_build(workspace, replace(request, threads=2), state=State.RUNNING, stages=(*ended, begun)),
    )


def store_model(workspace: Workspace, name: str) -> Model:
    model = Model(
        digest=content_key(name),
        name=name,
        format=Format.ONNX,
        entry="model.onnx",
        signatures=(SIGNATURE,),
        size_bytes=102_400_000,
        frozen_bytes=102_000_000,
    )
    write_json(workspace.model_folder(model.digest) / "model.json", model)
    return model


def store_build(
    workspace: Workspace,
    request: BuildRequest,
    *,
    graph: EngineGraph | None = None,
    median_ms: float | None = None,
    size_bytes: int = 0,
    error: float = 0.0,
    state: State = State.DONE,
    stages: Sequence[StageRecord] = (),
) -> str:
    """Writes what the stages would leave, and returns the key."""
    records = tuple(stages) or tuple(StageRecord(stage=stage, state=State.DONE, seconds=1.5) for stage in STAGES)
    folder = workspace.build_folder(request.key)
    ended = None if state is State.RUNNING else 1.8e9
    build = Build(key=request.key, request=request, state=state, stages=records, created_at=1.8e9 - 60, finished_at=ended)
    write_json(folder / BUILD_FILE, build)
    write_json(folder / REQUEST_FILE, request)
    if graph:
        write_json(result_file(folder, StageName.INSPECT), graph)
    if median_ms is not None:
        write_json(result_file(folder, StageName.BUILD), _built(request, size_bytes))
        write_json(result_file(folder, StageName.PARITY), _parity(error))
        write_json(result_file(folder, StageName.MEASURE), _measurement(median_ms))
    return request.key


def weaken(workspace: Workspace, key: str, *warnings: str) -> None:
    """Has a build's measurement say this against itself."""
    file = result_file(workspace.build_folder(key), StageName.MEASURE)
    write_json(file, replace(read_json(Measurement, file), warnings=warnings))


def store_lowered(
    workspace: Workspace, graph: EngineGraph, precision: Precision = Precision.INT8, *, request: BuildRequest | None = None
) -> str:
    """A finished build of TensorRT-RTX with these layers, whose precision our own passes put in; returns its key."""
    model = store_model(workspace, "mobilenetv2")
    plain = BuildRequest(model=model.digest, path="onnx.tensorrt_rtx", precision=precision)
    key = store_build(workspace, request or checked(plain, model, here=False), graph=graph)
    record = PrecisionRecord(target="tensorrt-11.0", engine="light", precision=precision)
    prepared = Prepared(artifact=None, entry="m.onnx", format=Format.ONNX, signature=SIGNATURE, precision=record)
    write_json(result_file(workspace.build_folder(key), StageName.PRECISION), prepared)
    return key


def resnet(precision: str) -> EngineGraph:
    """The recorded engine, each layer with a time of its own."""
    data = json.loads((GOLDEN / "keras-resnet50.nodes.json").read_text(encoding="utf-8"))
    nodes = tuple(SourceNode(name=n, op=op, inputs=tuple(i), outputs=tuple(o)) for n, op, i, o in data["nodes"])
    source = SourceGraph(nodes=nodes, constants=tuple(data["constants"]), outputs=tuple(data["outputs"]))
    told = (GOLDEN / f"keras-resnet50-{precision}.inspector.json").read_text(encoding="utf-8")
    graph = engine_graph(read_inspector(told), source)
    times = np.random.default_rng(0).gamma(2.0, 0.004, len(graph.layers))
    layers = (replace(layer, time_ms=float(time)) for layer, time in zip(graph.layers, times, strict=True))
    return replace(graph, layers=tuple(layers))


def chain(count: int) -> EngineGraph:
    """So many layers of two nodes each, one after the other, with a branch at every seventh."""
    times = np.random.default_rng(0).gamma(2.0, 0.002, count)
    nodes: list[SourceNode] = []
    layers: list[Layer] = []
    for number, time in enumerate(times, 1):
        conv, relu = f"block{number // 50}/conv{number}", f"block{number // 50}/relu{number}"
        nodes += [
            SourceNode(name=conv, op="Conv", inputs=(f"t{number - 1}",), outputs=(f"c{number}",)),
            SourceNode(name=relu, op="Relu", inputs=(f"c{number}",), outputs=(f"t{number}",)),
        ]
        reads = [f"t{number - 1}", *([f"t{number - 5}"] if number % 7 == 0 and number > 5 else [])]
        layers.append(
            Layer(
                name=f"{conv} + {relu}",
                kind=("CaskConvolution", "PointWiseV2", "Reformat")[number % 3],
                kernel="sm90_xmma_fprop_implicit_gemm",
                precision="float32" if number % 4 == 0 else "float16",
                inputs=tuple(LayerTensor(name=name, dtype="float16", shape=(1, 64, 56, 56)) for name in reads),
                outputs=(LayerTensor(name=f"t{number}", dtype="float16", shape=(1, 64, 56, 56)),),
                time_ms=float(time),
                source_nodes=(conv, relu),
            )
        )
    return EngineGraph(layers=tuple(layers), source_nodes=tuple(nodes))


def _built(request: BuildRequest, size_bytes: int) -> Built:
    engine: Any = Engine(
        folder=Path("/nowhere"),
        backend=request.backend,
        config=request.config,
        signature=SIGNATURE,
        artifact="engine.plan",
        size_bytes=size_bytes,
        versions={"tensorrt": "8.5.3.1"},
    )
    return Built(artifact=content_key(request.key), engine=engine, build_seconds=38.2, peak_memory_bytes=10**9)


def _parity(error: float) -> Parity:
    output = OutputParity(
        name="scores", max_abs=error, max_rel=error, cosine=0.9999, non_finite=0, reference_non_finite=0, top1=1.0, elements=4000
    )
    return Parity(
        outputs=(output,),
        worst="scores",
        passed=error <= 1e-2,
        tolerance=1e-2,
        inputs="random, seed 0, 4 sets",
        reference="the source model",
        accuracy=Accuracy(output="scores", samples=1000, top1=0.761, top5=0.93),
        reference_accuracy=Accuracy(output="scores", samples=1000, top1=0.762, top5=0.929),
    )


def _measurement(median_ms: float) -> Measurement:
    samples = np.random.default_rng(1).gamma(400.0, median_ms / 400.0, 3000)
    return Measurement(
        latency=statistics.latency(samples),
        throughput=1000 / median_ms,
        load_ms=120.0,
        first_ms=3.0,
        peak_memory_bytes=900_000_000,
        baseline_memory_bytes=300_000_000,
        shapes={"image": (1, 224, 224, 3)},
        protocol=Protocol(),
        settings={"streams": "1"},
        machine={"gpu": "NVIDIA H100"},
        samples_ms=statistics.thinned(samples),
    )


def streaming(*, timed: bool = False) -> EngineGraph:
    """ResNet-50 in INT8 as TensorRT-RTX's builder told it: two streams, memory, no source nodes; with made-up times if asked."""
    graph = recorded_graph("resnet50-int8")
    if not timed:
        return graph
    times = np.random.default_rng(0).gamma(2.0, 0.004, len(graph.layers))
    working = {layer.name: float(time) for layer, time in zip(graph.layers, times, strict=True) if layer.event is None}
    return graph.with_times(working)


def streaming_request(model: Model, **changes: object) -> BuildRequest:
    """What such an engine was asked for: batches of 1 to 8."""
    axes = {"batch": AxisRange(min=1, opt=1, max=8)}
    asked = BuildRequest(
        model=model.digest,
        path="onnx.tensorrt_rtx",
        precision=Precision.INT8,
        signature="main",
        profile=ShapeProfile(axes=axes),
    )
    return replace(asked, **changes)  # type: ignore[arg-type]
