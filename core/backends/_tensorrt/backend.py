"""The backend: what it takes, and how build, run and inspection come together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.backends._config import checked_options
from core.backends._engine import built
from core.backends._tensorrt import cuda
from core.backends._tensorrt.availability import availability
from core.backends._tensorrt.build import BuildFacts, Job, build_plan, check_capabilities, check_gpu, check_refit
from core.backends._tensorrt.build_log import layers_json, read_memory
from core.backends._tensorrt.execution import Execution
from core.backends._tensorrt.graph import graph_of, has_float64
from core.backends._tensorrt.inspection import inspector_json, layer_times
from core.backends._tensorrt.inspector import read_inspector
from core.backends._tensorrt.log import Log, warning_notes
from core.backends._tensorrt.mapping import engine_graph
from core.backends._tensorrt.measure import gpu_times
from core.backends._tensorrt.open_lengths import OpenShapes, open_shapes, with_usual_lengths
from core.backends._tensorrt.options import check_options, named_capabilities, read_settings
from core.backends._tensorrt.preflight import preflight
from core.backends._tensorrt.product import Product
from core.backends._tensorrt.session import PLAN, TensorRTSession, checked_arrays, loaded, opened
from core.backends._tensorrt.versions import device_memory_bytes, profile_memory_bytes
from core.backends.base import BuildConfig, Engine, Option, OptionValue, Variant
from core.base.availability import Availability, installed_versions
from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.base.progress import Progress, Report
from core.base.serialization import read_json, write_json
from core.base.tensors import Signature, Tensors
from core.base.units import size
from core.benchmark.gpu import GpuTimes
from core.benchmark.measurement import Protocol
from core.graph.engine_graph import EngineGraph
from core.graph.memory import EngineMemory
from core.graph.source import SourceGraph
from core.graph.support import Support
from core.models.model import Format, Source
from core.onnxio.aliases import NO_ALIASES, Aliases
from core.onnxio.file import read_onnx
from core.precision.requested import nodes_to_hold_in_fp32
from core.precision.target import parse_target

INSPECTOR, INSPECTED, SOURCE, FACTS, LOG = "inspector.json", "inspected.json", "source.json", "build.json", "build.log"
SHAPES = "shapes.json"
TOLD_BY_BUILDER = (
    "The layers are the builder's own list, as the engine is not loaded here. A kernel that it leaves open is chosen, and more "
    "may be fused, on the GPU that runs it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What is known of an engine beside the inspector's answer.

    Attributes:
        aliases: Of the nodes in that answer.
    """

    aliases: Aliases = NO_ALIASES
    memory: EngineMemory | None = None
    notes: tuple[str, ...] = ()


class TensorRTBackend:
    """Builds in `build`, which also keeps the inspector's answer; `describe` then needs no GPU."""

    accepts: tuple[Format, ...] = (Format.ONNX,)
    precisions: tuple[Precision, ...] = tuple(Precision)
    simplifies: bool = True
    asked_about: tuple[Format, ...] = (Format.ONNX,)

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

    def preflight(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Support:
        options = checked_options(self, replace(config, device=next(iter(self.product.builds_on))))
        return preflight(self.product, source, str(options["plugins"]), report)

    def capabilities(self, options: Mapping[str, OptionValue]) -> tuple[str, ...]:
        return named_capabilities(str(options.get("target_capabilities", ""))) or self.product.portable

    def check(self, config: BuildConfig, signature: Signature) -> None:
        known = self.product.capabilities
        named = check_options(config.options, config.profile, signature, known)
        if known:
            check_capabilities(config.precision, self.product, named)
        refits = any(config.options.get(name) for name in ("refit", "strip_weights"))
        check_refit(self.product, asked=refits, on_gpu=config.device != "cpu")

    def build(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Engine:
        options = checked_options(self, config)
        report(Progress(message=f"Starting {self.title}"))
        trt = self.product.imported()
        version = self.product.features_of(trt)
        settings = read_settings(options, config.profile, source.signature, version, self.product.capabilities)
        on_gpu = config.device != "cpu"
        if on_gpu:
            check_gpu(config.precision, parse_target(self.product.target(trt.__version__)))
        told = check_capabilities(config.precision, self.product, settings.capabilities) if self.product.capabilities else ()
        model = read_onnx(source.path, weights=False)
        graph = graph_of(source.path, model, aliased=self.product.tells_layers)
        write_json(folder / SOURCE, graph.source)
        job = Job(
            product=self.product,
            graph=graph,
            signature=source.signature,
            precision=config.precision,
            settings=settings,
            version=version,
            fp32_nodes=frozenset(nodes_to_hold_in_fp32(model)) if version.precision_flags else frozenset(),
            on_gpu=on_gpu,
            title=source.title,
        )
        write_json(folder / SHAPES, open_shapes(model, source.signature, settings.profiles))
        log = Log(folder / LOG, self.title, graph.aliases)
        try:
            plan, facts = build_plan(trt, job, log, report)
        finally:
            log.save()
        (folder / PLAN).write_bytes(plan)
        write_json(folder / FACTS, facts)
        report(Progress(message="Reading the layers"))
        versions = {self.name: trt.__version__, **installed_versions("onnx", "numpy")}
        if on_gpu:
            versions |= {**installed_versions("cuda-bindings"), **cuda.versions()}
        engine = built(self, source, config, folder, PLAN, versions=versions)
        answer, inspected = self._inspected(engine, log) if on_gpu else told_by_builder(log)
        (folder / INSPECTOR).write_text(answer, encoding="utf-8")
        write_json(folder / INSPECTED, replace(inspected, aliases=graph.aliases))
        wide = (
            (f"{self.title} has no float64: what the graph computes in it is computed in float32.",) if has_float64(model) else ()
        )
        return replace(engine, notes=(*told, *wide, *notes_of(facts, inspected, self.title)))

    def _inspected(self, engine: Engine, log: Log) -> tuple[str, Inspected]:
        """The inspector's JSON and what else is known; from the builder's log where the engine cannot be loaded here."""
        try:
            with loaded(self.product, engine) as (trt, read, _):
                answer = inspector_json(trt, read, engine.signature, engine.config.profile)
                logged = read_memory(log.memory_told) or EngineMemory()
                apart = profile_memory_bytes(read, self.product.features_of(trt))
                memory = replace(
                    logged,
                    activation_bytes=device_memory_bytes(read),
                    profile_bytes=apart if len(apart) > 1 else logged.profile_bytes,
                )
                return answer, Inspected(memory=memory)
        except EngineRoomError as error:
            if not self.product.tells_layers:
                raise
            answer, told = told_by_builder(log)
            return answer, replace(
                told, notes=(*told.notes, f"The engine was built, but could not be loaded here: {error.message}")
            )

    @contextmanager
    def open(self, engine: Engine) -> Iterator[TensorRTSession]:
        with opened(self.product, engine) as session:
            yield session

    def describe(self, engine: Engine) -> EngineGraph:
        told = engine.folder / INSPECTED
        inspected = read_json(Inspected, told) if told.exists() else Inspected()  # an engine of an earlier release
        answer = (engine.folder / INSPECTOR).read_text(encoding="utf-8")
        graph = engine_graph(read_inspector(answer, inspected.aliases), read_json(SourceGraph, engine.folder / SOURCE))
        if (shapes := engine.folder / SHAPES).exists():
            graph = with_usual_lengths(graph, read_json(OpenShapes, shapes))
        return replace(graph, memory=inspected.memory, notes=(*graph.notes, *inspected.notes))

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


def told_by_builder(log: Log) -> tuple[str, Inspected]:
    """The layers in the form of the inspector's JSON, and what else the builder's own log tells."""
    return layers_json(log.layers_told), Inspected(memory=read_memory(log.memory_told), notes=(TOLD_BY_BUILDER,))


def notes_of(facts: BuildFacts, inspected: Inspected, title: str) -> tuple[str, ...]:
    """What a build found."""
    where = f"Built on {facts.gpu} (compute capability {facts.compute_capability})" if facts.gpu else "Built with no GPU"
    notes = [f"{where} in {facts.build_seconds:.1f} s from {facts.network_layers} network layers."]
    if inspected.memory and inspected.memory.activation_bytes is not None:
        notes.append(f"Needs {size(inspected.memory.activation_bytes)} of the GPU's memory for activations.")
    if facts.held_in_fp32:
        others = (
            "" if "FP16" in facts.flags else ", and with them all that is not in INT8, as TensorRT refused to hold those alone"
        )
        notes.append(f"Held {facts.held_in_fp32} layers in FP32, as the graph asks{others}.")
    if facts.timing_cache_bytes and facts.timing_cache_bytes[0]:
        notes.append(f"Found {size(facts.timing_cache_bytes[0])} of kernel timings from earlier builds.")
    return (*notes, *warning_notes(facts.warnings, title))
