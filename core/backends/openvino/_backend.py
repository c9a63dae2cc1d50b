"""The backend: options, building, opening."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.backends._config import checked_options
from core.backends._engine import build_again, built
from core.backends._errors import ASK_OTHERS, told_as
from core.backends._trial import trial_inputs
from core.backends.base import BuildConfig, Engine, Option, Variant
from core.backends.openvino._layers import (
    APPENDABLE_KINDS,
    RuntimeGraph,
    Shape,
    is_quantized,
    mean_times,
    nodes_of_model,
)
from core.backends.openvino._preflight import preflight
from core.backends.openvino._reading import Ports, dtype_of, find_ports, imported, narrow_shapes, read_model, refusal, told
from core.backends.openvino._sessions import AS_TYPED, HINTS, OpenVinoSession, compile_properties, is_typed
from core.base.availability import Availability, from_packages, installed_versions
from core.base.errors import BuildFailed, EngineRoomError, RunFailed
from core.base.precision import Precision
from core.base.progress import Progress, Report
from core.base.serialization import read_json, write_json
from core.base.tensors import Tensors
from core.graph.engine_graph import EngineGraph
from core.graph.mapping import EngineFacts, with_sources
from core.graph.source import SourceGraph, nodes_of_onnx
from core.graph.support import Support
from core.models.model import Format, Source
from core.onnxio.file import read_onnx

_ARTIFACT = "model"
_MODEL = "model/model.xml"
_PORTS = "ports.json"
_SOURCE = "source.json"
# Types that the CPU plugin turns into ones of 32 bits.
_NARROWED = frozenset({"int64", "uint64", "float64"})


class OpenVino:
    """Saves the model as OpenVINO's own IR, narrowed to the profile's shapes; `open` compiles it for the processor it is on."""

    name: str = "openvino"
    title: str = "OpenVINO"
    accepts: tuple[Format, ...] = (Format.ONNX, Format.SAVEDMODEL, Format.TFLITE)
    variants: tuple[Variant, ...] = (Variant(name="", title="OpenVINO"),)
    precisions: tuple[Precision, ...] = (Precision.FP32, Precision.FP16, Precision.BF16, Precision.INT8)
    simplifies: bool = False
    asked_about: tuple[Format, ...] = (Format.ONNX,)
    options: tuple[Option, ...] = (
        Option(
            name="performance_hint",
            default="latency",
            help="What the runtime tunes its threads for.",
            choices=("latency", "throughput"),
        ),
        Option(
            name="streams", default=1, help="Inferences that may run at the same time; the threads are shared out among them."
        ),
    )

    def availability(self) -> Availability:
        return from_packages(self.title, "openvino")

    def target(self, version: str | None) -> str:
        return "openvino"

    def refusal(self, format: Format, signature: str, known: Sequence[str]) -> Availability | None:
        return refusal(format, signature, known)

    def precisions_from(self, formats: Sequence[Format]) -> tuple[Precision, ...]:
        """INT8 comes from quantized ops: of an ONNX graph that was lowered, or of the user's own .tflite file."""
        quantized = formats[-1] is Format.ONNX or tuple(formats) == (Format.TFLITE,)
        return tuple(precision for precision in self.precisions if quantized or precision is not Precision.INT8)

    def preflight(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Support:
        checked_options(self, config)
        return preflight(source, folder, report)

    def build(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Engine:
        options = checked_options(self, config)
        core = imported().Core()
        report(Progress(message="Reading the model"))
        _check_dtypes(source)
        model = read_model(core, source)
        ports = find_ports(model, source)
        narrow_shapes(model, source, config.profile, ports)
        if config.precision is Precision.INT8 and not is_quantized(model):
            raise BuildFailed(
                "The model holds no quantized ops, so no INT8 engine can come of it.",
                hint="Ask for fp32.",
            )
        write_json(folder / _PORTS, ports)
        if source.format is Format.ONNX:
            write_json(folder / _SOURCE, nodes_of_onnx(read_onnx(source.path, weights=False)))

        report(Progress(message="Compiling", fraction=0.5))
        (folder / _ARTIFACT).mkdir(parents=True, exist_ok=True)
        what = f"OpenVINO could not compile {source.title}"
        with told_as(BuildFailed, what, hint=ASK_OTHERS, sentence=told):
            compiled = core.compile_model(model, "CPU", compile_properties(model, config, options))
            narrows = config.precision is Precision.FP16 and not is_typed(model, config.precision)
            imported().save_model(model, os.fspath(folder / _MODEL), compress_to_fp16=narrows)
        _check_precision(core, compiled, config)
        versions = installed_versions("openvino", "numpy")
        return built(self, source, config, folder, _ARTIFACT, versions=versions, notes=_notes(source))

    @contextmanager
    def open(self, engine: Engine) -> Iterator[OpenVinoSession]:
        with self._session(engine, self._compile(_read(engine), engine)) as session:
            yield session

    def describe(self, engine: Engine) -> EngineGraph:
        model = _read(engine)
        compiled = self._compile(model, engine, profiled=True)
        graph = RuntimeGraph(compiled, model)
        kernels, notes = self._kernels(engine, compiled, graph)
        shapes = self._shapes_at_opt(engine) if graph.is_dynamic else {}
        has_names = (engine.folder / _SOURCE).exists()
        source = read_json(SourceGraph, engine.folder / _SOURCE) if has_names else nodes_of_model(model)
        layers = graph.layers(kernels, shapes)
        if not layers:
            why = "no output depends on a value that is fed, so all are known before the first run"
            notes = (*notes, f"No layer is left: {why}.")
        appendable = [layer.name for layer in layers if layer.kind in APPENDABLE_KINDS]
        facts = EngineFacts(open_layers=appendable, apart=graph.apart(), held=graph.held(source))
        return with_sources(layers, source, graph.claims(source), notes, facts)

    def layer_times(self, engine: Engine, inputs: Tensors, runs: int) -> dict[str, float]:
        model = _read(engine)
        compiled = self._compile(model, engine, profiled=True)
        with self._session(engine, compiled) as session:
            return mean_times(session, RuntimeGraph(compiled, model), inputs, runs)

    def _kernels(self, engine: Engine, compiled: Any, graph: RuntimeGraph) -> tuple[dict[str, str], tuple[str, ...]]:
        """Kernels by layer, from a trial run, and a sentence when that failed."""
        try:
            with self._session(engine, compiled) as session:
                session.run(trial_inputs(engine))
                profiled = session.profiled_layers()
        except EngineRoomError as error:
            return {}, (f"Some kernels are unknown: a trial run failed. {error.message}",)
        names = graph.names.in_turn(layer.name for layer in profiled)
        return {name: one.kernel for name, one in zip(names, profiled, strict=True) if name and one.time_ms is not None}, ()

    def _shapes_at_opt(self, engine: Engine) -> dict[str, Shape]:
        """Tensor shapes at the profile's opt point, from the same model compiled for that point alone."""
        model = _read(engine)
        ports = read_json(Ports, engine.folder / _PORTS)
        specs = [spec for spec in engine.signature.inputs if spec.shape is not None and spec.name in ports.inputs]
        try:
            model.reshape({ports.inputs[spec.name]: list(engine.config.profile.shape(spec)) for spec in specs})
            return RuntimeGraph(self._compile(model, engine), model).shapes()
        except (EngineRoomError, RuntimeError):
            return {}

    def _compile(self, model: Any, engine: Engine, *, profiled: bool = False) -> Any:
        options = checked_options(self, engine.config, self.availability().runs_on)
        what = "OpenVINO could not load the engine"
        with told_as(RunFailed, what, hint=build_again(engine, "openvino"), sentence=told):
            properties = compile_properties(model, engine.config, options, profiled=profiled)
            return imported().Core().compile_model(model, "CPU", properties)

    @contextmanager
    def _session(self, engine: Engine, compiled: Any) -> Iterator[OpenVinoSession]:
        session = OpenVinoSession(compiled, engine.signature, read_json(Ports, engine.folder / _PORTS))
        try:
            yield session
        finally:
            session.close()


def _read(engine: Engine) -> Any:
    with told_as(RunFailed, "OpenVINO could not read the engine", hint=build_again(engine, "openvino"), sentence=told):
        return imported().Core().read_model(os.fspath(engine.folder / _MODEL))


def _check_dtypes(source: Source) -> None:
    """Text crashes OpenVINO 2026.4's CPU plugin: it frees a string tensor twice."""
    if text := [spec.name for spec in source.signature.inputs + source.signature.outputs if spec.dtype == "string"]:
        raise BuildFailed(f"OpenVINO cannot carry text, which {', '.join(text)} is.", hint=ASK_OTHERS)


def _check_precision(core: Any, compiled: Any, config: BuildConfig) -> None:
    """OpenVINO falls back without a word where the processor lacks a type."""
    got = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if got == AS_TYPED:
        got = HINTS[config.precision if config.precision.value.upper() in _capabilities(core) else Precision.FP32]
    if got != HINTS[config.precision]:
        raise BuildFailed(
            f"This processor computes in {dtype_of(got)} where {config.precision.value} was asked.",
            hint="Ask for fp32, or build on a processor with that type.",
        )


def _capabilities(core: Any) -> list[str]:
    found: list[str] = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return found


def _notes(source: Source) -> tuple[str, ...]:
    wide = [spec.name for spec in source.signature.inputs + source.signature.outputs if spec.dtype in _NARROWED]
    return (f"OpenVINO computes {', '.join(wide)} in 32 bits.",) if wide else ()
