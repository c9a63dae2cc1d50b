"""The backend: what it takes, and how build, run and inspection come together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import onnx

from core.backends._config import checked_options
from core.backends._engine import built
from core.backends._tensorrt import cuda
from core.backends._tensorrt.availability import availability
from core.backends._tensorrt.build import BuildFacts, Job, build_plan, check_gpu
from core.backends._tensorrt.execution import Execution
from core.backends._tensorrt.inspection import inspector_json, layer_times
from core.backends._tensorrt.inspector import read_inspector
from core.backends._tensorrt.log import Log, warning_notes
from core.backends._tensorrt.mapping import engine_graph
from core.backends._tensorrt.measure import gpu_times
from core.backends._tensorrt.options import read_settings
from core.backends._tensorrt.product import Product
from core.backends._tensorrt.session import PLAN, TensorRTSession, checked_arrays, loaded, opened
from core.backends._tensorrt.versions import device_memory_bytes
from core.backends.base import BuildConfig, Engine, Option, Variant
from core.base.availability import Availability, installed_versions
from core.base.precision import Precision
from core.base.progress import Progress, Report
from core.base.serialization import read_json, write_json
from core.base.tensors import Tensors
from core.benchmark.gpu import GpuTimes
from core.benchmark.measurement import Protocol
from core.graph.engine_graph import EngineGraph
from core.graph.source import SourceGraph, nodes_of_onnx
from core.models.model import Format, Source
from core.onnxio.file import read_onnx, save_onnx
from core.precision.requested import nodes_to_hold_in_fp32
from core.precision.target import parse_target

INSPECTOR, SOURCE, FACTS, LOG = "inspector.json", "source.json", "build.json", "build.log"


class TensorRTBackend:
    """Builds in `build`, which also keeps the inspector's answer; `describe` then needs no GPU."""

    accepts: tuple[Format, ...] = (Format.ONNX,)
    precisions: tuple[Precision, ...] = tuple(Precision)
    simplifies: bool = True

    def __init__(self, product: Product) -> None:
        self.product = product
        self.name: str = product.name
        self.title: str = product.title
        self.variants: tuple[Variant, ...] = (Variant(name="", title=product.title),)
        self.options: tuple[Option, ...] = product.options

    def availability(self) -> Availability:
        return availability(self.product)

    def target(self, version: str | None) -> str:
        return self.product.target(version)

    def build(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Engine:
        options = checked_options(self, config)
        report(Progress(message=f"Starting {self.title}"))
        trt = self.product.imported()
        version = self.product.features_of(trt)
        settings = read_settings(options, config.profile, source.signature, version)
        check_gpu(config.precision, parse_target(self.product.target(trt.__version__)))
        model = read_onnx(source.path, weights=False)
        path, graph = named_graph(source.path, model, folder)
        write_json(folder / SOURCE, graph)
        job = Job(
            product=self.product,
            path=path,
            source=graph,
            signature=source.signature,
            precision=config.precision,
            settings=settings,
            version=version,
            fp32_nodes=frozenset(nodes_to_hold_in_fp32(model)) if version.precision_flags else frozenset(),
        )
        log = Log(folder / LOG, self.title)
        try:
            plan, facts = build_plan(trt, job, log, report)
        finally:
            log.save()
            if path != source.path:
                for file in folder.glob(f"{path.name}*"):
                    file.unlink()
        (folder / PLAN).write_bytes(plan)
        write_json(folder / FACTS, facts)
        report(Progress(message="Reading the layers"))
        versions = {self.name: trt.__version__, **installed_versions("onnx", "numpy", "cuda-bindings"), **cuda.versions()}
        engine = built(self, source, config, folder, PLAN, versions=versions)
        with loaded(self.product, engine) as (_, read, _):
            (folder / INSPECTOR).write_text(inspector_json(trt, read, source.signature, config.profile), encoding="utf-8")
            memory = device_memory_bytes(read)
        return with_notes(engine, facts, memory, self.title)

    @contextmanager
    def open(self, engine: Engine) -> Iterator[TensorRTSession]:
        with opened(self.product, engine) as session:
            yield session

    def describe(self, engine: Engine) -> EngineGraph:
        inspected = read_inspector((engine.folder / INSPECTOR).read_text(encoding="utf-8"))
        return engine_graph(inspected, read_json(SourceGraph, engine.folder / SOURCE))

    def layer_times(self, engine: Engine, inputs: Tensors, runs: int) -> dict[str, float]:
        arrays = checked_arrays(engine.signature, inputs)
        with loaded(self.product, engine) as (trt, read, _):
            execution = Execution(trt, read)
            try:
                return layer_times(execution, arrays, runs)
            finally:
                execution.close()

    def gpu_times(self, engine: Engine, inputs: Tensors, protocol: Protocol, report: Report) -> GpuTimes:
        """What the GPU itself spends, by CUDA events and with trtexec's method; besides the host-to-host latency."""
        arrays = checked_arrays(engine.signature, inputs)
        cuda.wait_by(spin=True)
        with loaded(self.product, engine) as (trt, read, _):
            return gpu_times(trt, read, engine.signature, arrays, protocol, report)


def named_graph(path: Path, model: onnx.ModelProto, folder: Path) -> tuple[Path, SourceGraph]:
    """The model's file and graph; a copy in `folder` when nodes had to be named, so that TensorRT tells the same names.

    Args:
        path: The model's file.
        model: The same without its weights; its unnamed nodes get names.
        folder: Where a copy may go.
    """
    before = [node.name for node in model.graph.node]
    graph = nodes_of_onnx(model)
    if before == [node.name for node in model.graph.node]:
        return path, graph
    whole = read_onnx(path)
    nodes_of_onnx(whole)
    save_onnx(whole, folder / "named.onnx")
    return folder / "named.onnx", graph


def with_notes(engine: Engine, facts: BuildFacts, memory_bytes: int, title: str) -> Engine:
    """The engine with what its build found."""
    notes = [
        f"Built on {facts.gpu} (compute capability {facts.compute_capability}) in {facts.build_seconds:.1f} s "
        f"from {facts.network_layers} network layers.",
        f"Needs {memory_bytes / 2**20:.1f} MiB of the GPU's memory for activations.",
    ]
    if facts.held_in_fp32:
        others = (
            "" if "FP16" in facts.flags else ", and with them all that is not in INT8, as TensorRT refused to hold those alone"
        )
        notes.append(f"Held {facts.held_in_fp32} layers in FP32, as the graph asks{others}.")
    if facts.timing_cache_bytes and facts.timing_cache_bytes[0]:
        notes.append(f"Found {facts.timing_cache_bytes[0] / 1024:.0f} KiB of kernel timings from earlier builds.")
    return replace(engine, notes=(*notes, *warning_notes(facts.warnings, title)))
