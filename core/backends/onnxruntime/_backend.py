"""The backend: options, building, opening."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from core.backends._config import checked_options
from core.backends._engine import build_again, built
from core.backends._errors import told_as
from core.backends._trial import trial_inputs
from core.backends.base import BuildConfig, Engine, Option, Variant
from core.backends.onnxruntime._hints import building_hint
from core.backends.onnxruntime._layers import engine_graph, fixed_axes, mean_times, profiled
from core.backends.onnxruntime._preflight import preflight
from core.backends.onnxruntime._sessions import OnnxRuntimeSession, create_session, imported, session_options, told_settings
from core.base.availability import Availability, from_packages, installed_version, installed_versions
from core.base.dtypes import onnx_number
from core.base.errors import BuildFailed, EngineRoomError, RunFailed
from core.base.precision import Precision
from core.base.progress import Progress, Report
from core.base.serialization import read_json, write_json
from core.base.tensors import NARROW_FLOATS, Tensors, widened
from core.graph.engine_graph import EngineGraph
from core.graph.source import SourceGraph, drop_fed_weights, is_quantized, nodes_of_onnx
from core.graph.support import Support
from core.models.model import Format, Source
from core.onnxio.file import EXTERNAL_ABOVE_BYTES, external_files, read_onnx
from core.onnxio.walk import name_nodes, op_counts
from core.onnxio.widen import element_types, widen

_MODEL = "model/model.onnx"
_SOURCE = "source.json"
_SIDE_FILE = "model.onnx.data"
_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


class OnnxRuntime:
    """Optimises the graph once, in `build`, and saves what came out; `open` runs that file as it is."""

    name: str = "onnxruntime"
    title: str = "ONNX Runtime"
    accepts: tuple[Format, ...] = (Format.ONNX,)
    variants: tuple[Variant, ...] = (Variant(name="", title="ONNX Runtime"),)
    precisions: tuple[Precision, ...] = (Precision.FP32, Precision.FP16, Precision.INT8)
    simplifies: bool = False
    asked_about: tuple[Format, ...] = (Format.ONNX,)
    options: tuple[Option, ...] = (
        Option(
            name="graph_optimization",
            default="all",
            help="How far the graph is rewritten: not at all, constants and no-ops, fusions, memory layouts too.",
            choices=tuple(_LEVELS),
        ),
        Option(
            name="execution_mode",
            default="sequential",
            help="Whether independent layers may run at the same time.",
            choices=("sequential", "parallel"),
        ),
        Option(name="inter_op_threads", default=0, help="Threads of the parallel execution mode; 0 leaves it to the runtime."),
        Option(
            name="spinning",
            default=False,
            help="Idle threads keep their core busy: a little faster on cores of one's own, much slower on shared ones.",
            choices=(False, True),
        ),
    )

    def availability(self) -> Availability:
        devices = ("cpu", "cuda") if installed_version("onnxruntime-gpu") else ("cpu",)
        return from_packages(self.title, "onnxruntime", "onnxruntime-gpu", devices=devices)

    def target(self, version: str | None) -> str:
        return "onnxruntime"

    def preflight(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Support:
        checked_options(self, config)
        return preflight(source, report)

    def build(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Engine:
        options = checked_options(self, config)
        report(Progress(message="Reading the graph"))
        model = read_onnx(source.path, weights=False)
        _check_buildable(model, source, config)
        changed = _made_traceable(model)
        write_json(folder / _SOURCE, nodes_of_onnx(model))

        report(Progress(message="Optimising the graph"))
        target = folder / _MODEL
        target.parent.mkdir(parents=True, exist_ok=True)
        made = session_options(config, options)
        made.graph_optimization_level = getattr(imported().GraphOptimizationLevel, _LEVELS[str(options["graph_optimization"])])
        made.optimized_model_filepath = os.fspath(target)
        for symbol, length in fixed_axes(model, source.signature, config.profile).items():
            made.add_free_dimension_override_by_name(symbol, length)
        if external_files(model) or source.path.stat().st_size > EXTERNAL_ABOVE_BYTES:
            made.add_session_config_entry("session.optimized_model_external_initializers_file_name", _SIDE_FILE)
            made.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "4096")
        with told_as(
            BuildFailed,
            f"ONNX Runtime could not build {source.title}",
            hint=lambda error: building_hint(error, source),
        ):
            create_session(_traceable(source.path, made) if changed else source.path, made, config.device)
        provider = "CUDAExecutionProvider" if config.device == "cuda" else "CPUExecutionProvider"
        return built(
            self,
            source,
            config,
            folder,
            "model" if (folder / "model" / _SIDE_FILE).exists() else _MODEL,
            versions=installed_versions("onnxruntime", "onnx", "numpy"),
            notes=(f"Runs on {provider}.", *_portability_note(config)),
        )

    @contextmanager
    def open(self, engine: Engine) -> Iterator[OnnxRuntimeSession]:
        session = self._load(engine)
        try:
            yield session
        finally:
            session.close()

    def narrow_type(self, engine: Engine) -> str:
        types = set(element_types(read_onnx(engine.folder / _MODEL, weights=False)))
        return next((name for name in NARROW_FLOATS if onnx_number(name) in types), "")

    @contextmanager
    def open_wide(self, engine: Engine) -> Iterator[OnnxRuntimeSession]:
        model = read_onnx(engine.folder / _MODEL)
        widen(model)
        options = checked_options(self, engine.config, self.availability().runs_on)
        made = session_options(engine.config, options)
        made.graph_optimization_level = imported().GraphOptimizationLevel.ORT_DISABLE_ALL
        with told_as(RunFailed, "ONNX Runtime could not load the model in float32"):
            session = create_session(bytes(model.SerializeToString()), made, engine.config.device)
        yield OnnxRuntimeSession(session, widened(engine.signature), told_settings(made))

    def describe(self, engine: Engine) -> EngineGraph:
        graph = read_onnx(engine.folder / _MODEL, weights=False).graph
        source = read_json(SourceGraph, engine.folder / _SOURCE)
        try:
            seen = profiled(lambda profile: self._load(engine, profile), trial_inputs(engine), runs=1)
            notes: tuple[str, ...] = ()
        except EngineRoomError as error:
            seen, notes = [], (f"Shapes are unknown: a trial run failed. {error.message}",)
        return engine_graph(graph, source, engine.signature, seen, notes)

    def layer_times(self, engine: Engine, inputs: Tensors, runs: int) -> dict[str, float]:
        graph = read_onnx(engine.folder / _MODEL, weights=False).graph
        seen = profiled(lambda profile: self._load(engine, profile), inputs, runs=runs)
        return mean_times(graph, seen, runs)

    def _load(self, engine: Engine, profile: Path | None = None) -> OnnxRuntimeSession:
        """Loads the engine; with `profile`, a prefix for the file that a profiled run is written to."""
        options = checked_options(self, engine.config, self.availability().runs_on)
        made = session_options(engine.config, options)
        made.graph_optimization_level = imported().GraphOptimizationLevel.ORT_DISABLE_ALL
        if profile is not None:
            made.enable_profiling = True
            made.profile_file_prefix = os.fspath(profile)
        with told_as(
            RunFailed,
            "ONNX Runtime could not load the engine",
            hint=build_again(engine, "onnxruntime"),
        ):
            session = create_session(engine.folder / _MODEL, made, engine.config.device)
        return OnnxRuntimeSession(session, engine.signature, told_settings(made))


def _check_buildable(model: onnx.ModelProto, source: Source, config: BuildConfig) -> None:
    if config.precision is Precision.INT8 and not any(is_quantized(op) for op in op_counts(model)):
        raise BuildFailed(
            "The graph holds no quantized ops, so no INT8 engine can come of it.", hint="Quantize it first, or ask for fp32."
        )
    dtypes = {spec.dtype for spec in source.signature.inputs + source.signature.outputs}
    if {"string", "bfloat16"} <= dtypes:
        raise BuildFailed(
            "ONNX Runtime cannot take text and bfloat16 in one call.", hint="Cast the bfloat16 tensors in the model."
        )


def _made_traceable(model: onnx.ModelProto) -> bool:
    """Names every node and takes weights off the inputs, in place; whether that changed anything."""
    return name_nodes(model) | drop_fed_weights(model)


def _traceable(path: Path, made: Any) -> bytes:
    """The model with its nodes named, for a session that finds its external data beside the file."""
    model = onnx.load_model(os.fspath(path), load_external_data=False)
    _made_traceable(model)
    made.add_session_config_entry("session.model_external_initializers_file_folder_path", os.fspath(path.parent))
    return bytes(model.SerializeToString())


def _portability_note(config: BuildConfig) -> tuple[str, ...]:
    if config.options.get("graph_optimization", "all") != "all":
        return ()
    return ("Its memory layouts are chosen for this kind of processor: build again for another.",)
