"""TensorFlow's own runtime: the model as loaded, frozen, or compiled by XLA."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.backends._config import checked_options
from core.backends._engine import built
from core.backends._inputs import as_text, check_inputs
from core.backends._trial import trial_inputs, trial_of
from core.backends.base import BuildConfig, Engine, Option, Variant
from core.backends.tensorflow import _executed, _frozen, _profile, _runtime, _widened, _xla
from core.backends.tensorflow._loading import concrete, format_of, load
from core.backends.tensorflow._runtime import told_as
from core.backends.tensorflow._shapes import infer_shapes
from core.base.availability import Availability
from core.base.errors import BuildFailed, RunFailed
from core.base.files import link_or_copy
from core.base.precision import Precision
from core.base.progress import Progress, Report
from core.base.serialization import read_json, write_json
from core.base.tensors import Array, Session, Signature, Tensors, widened
from core.graph.engine_graph import EngineGraph, SourceNode
from core.graph.tensorflow_source import Naming, called, source_nodes
from core.models.model import Format, Source

_FROZEN = "frozen"
_SOURCE_GRAPH = "source_graph.json"
_NARROW_TYPE = "narrow_type.json"


class TensorFlowBackend:
    name = "tensorflow"
    title = "TensorFlow"
    accepts: tuple[Format, ...] = (Format.SAVEDMODEL, Format.KERAS, Format.GRAPHDEF)
    variants: tuple[Variant, ...] = (
        Variant(name="signature", title="TensorFlow, as loaded"),
        Variant(name="frozen", title="TensorFlow, frozen graph"),
        Variant(name="xla", title="TensorFlow, XLA"),
    )
    options: tuple[Option, ...] = ()
    precisions: tuple[Precision, ...] = (Precision.FP32,)
    simplifies = False

    def availability(self) -> Availability:
        return _runtime.availability()

    def target(self, version: str | None) -> None:
        return None

    def build(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Engine:
        checked_options(self, config, ["cpu", "cuda"])
        tf = _runtime.start(config.device, config.threads)
        report(Progress(message="Loading the model into TensorFlow"))
        with told_as(BuildFailed, "Loading the model"), tf.device(_runtime.device_name(config.device)):
            function = load(tf, source, as_loaded=config.variant == "signature")
            traced = concrete(tf, function, source.signature)
        graph = traced.graph.as_graph_def()
        write_json(folder / _SOURCE_GRAPH, source_nodes(graph))
        write_json(folder / _NARROW_TYPE, _widened.narrow_type(tf, graph))
        if config.variant == "frozen":
            report(Progress(message="Freezing variables into constants"))
            with told_as(BuildFailed, "Freezing"):
                _frozen.save(_frozen.freeze(traced), folder / _FROZEN)
            artifact = _FROZEN
        else:
            artifact = _linked(source, folder)
        if config.variant == "xla":
            report(Progress(message="Compiling with XLA"))
            with told_as(BuildFailed, "Compiling with XLA"), tf.device(_runtime.device_name(config.device)):
                _xla.compile_now(
                    _xla.compiled(tf, function, source.signature),
                    _tensors(tf, source.signature, trial_of(source, config.profile)),
                )
        notes = ("XLA compiles when the engine is opened, and again for every new shape.",) if config.variant == "xla" else ()
        return built(self, source, config, folder, artifact, versions=_runtime.versions(), notes=notes)

    @contextmanager
    def open(self, engine: Engine) -> Iterator[Session]:
        tf = _runtime.start(engine.config.device, engine.config.threads)
        with told_as(RunFailed, "Loading the engine"), tf.device(_runtime.device_name(engine.config.device)):
            session = _Session(tf, engine, _function(tf, engine))
            if engine.config.variant == "xla":
                _xla.compile_now(session.function, _samples(tf, engine))
        yield session

    def narrow_type(self, engine: Engine) -> str:
        return read_json(str, engine.folder / _NARROW_TYPE)

    @contextmanager
    def open_wide(self, engine: Engine) -> Iterator[Session]:
        tf = _runtime.start(engine.config.device, engine.config.threads)
        with told_as(RunFailed, "Loading the model in float32"), tf.device(_runtime.device_name(engine.config.device)):
            wide = replace(engine, signature=widened(engine.signature))
            session = _Session(tf, wide, _widened.wide(tf, _function(tf, engine)))
        yield session

    def describe(self, engine: Engine) -> EngineGraph:
        return _described(engine)[0]

    def layer_times(self, engine: Engine, inputs: Tensors, runs: int) -> dict[str, float]:
        if engine.config.device != "cpu":
            return {}  # the host's trace would tell how long launches took, not the work
        graph, naming = _described(engine)
        with self.open(engine) as session:
            session.run(inputs)
            times = _profile.node_times(lambda: session.run(inputs), runs)
        layers = {layer.name for layer in graph.layers}
        return {naming(name): time for name, time in times.items() if naming(name) in layers}


class _Session:
    """A function with its variables on the device."""

    def __init__(self, tf: Any, engine: Engine, function: Callable[..., Sequence[Any]]) -> None:
        self._tf = tf
        self._signature = engine.signature
        self._device = _runtime.device_name(engine.config.device)
        self.function = function
        self.settings = _runtime.settings(tf, engine.config.device)

    def run(self, inputs: Tensors) -> dict[str, Array]:
        arrays = check_inputs(self._signature, inputs)
        with told_as(RunFailed, "Running the engine"), self._tf.device(self._device):
            results = [np.asarray(result) for result in self.function(*_tensors(self._tf, self._signature, arrays))]
        named = zip(self._signature.outputs, results, strict=True)
        return {spec.name: as_text(array) if array.dtype == object else array for spec, array in named}


def _described(engine: Engine) -> tuple[EngineGraph, Naming]:
    """The engine's graph, and how its full names became the short ones in it."""
    config = engine.config
    tf = _runtime.start(config.device, config.threads)
    source = read_json(tuple[SourceNode, ...], engine.folder / _SOURCE_GRAPH)
    with told_as(RunFailed, "Inspecting the engine"), tf.device(_runtime.device_name(config.device)):
        function = _function(tf, engine)
        tensors = _samples(tf, engine)
        if config.variant == "xla":
            naming = Naming(node.name for node in source)
            return _xla.engine_graph(source, _xla.optimised_hlo(function, tensors), naming, device=config.device), naming
        if config.variant == "frozen":
            source = called(source, function.graph.as_graph_def())
        nodes = _executed.executed_graph(function, tensors)
        shapes = infer_shapes(tf, nodes, function, tensors)
    naming = Naming([*(node.name for node in source), *(node.name for node in nodes)])
    frozen = config.variant == "frozen"
    graph = _executed.engine_graph(source, nodes, shapes, naming, weights_are_constants=frozen, device=config.device)
    return graph, naming


def _function(tf: Any, engine: Engine) -> Any:
    """The engine's callable, not called yet."""
    path = engine.folder / engine.artifact
    if engine.config.variant == "frozen":
        return concrete(tf, _frozen.load(tf, path), engine.signature)
    source = Source(path=path, format=format_of(path), signature=engine.signature)
    if engine.config.variant == "xla":
        return _xla.compiled(tf, load(tf, source, as_loaded=False), engine.signature)
    return concrete(tf, load(tf, source, as_loaded=True), engine.signature)


def _samples(tf: Any, engine: Engine) -> list[Any]:
    """Tensors to run it on where only shapes matter."""
    return _tensors(tf, engine.signature, trial_inputs(engine))


def _tensors(tf: Any, signature: Signature, arrays: Tensors) -> list[Any]:
    return [tf.constant(arrays[spec.name], tf.as_dtype(spec.dtype)) for spec in signature.inputs]


def _linked(source: Source, folder: Path) -> str:
    """The model's own file or folder below `folder`, hard-linked where the file system can."""
    if source.path.is_dir():
        shutil.copytree(source.path, folder / "saved_model", copy_function=link_or_copy)
        return "saved_model"
    name = f"model{source.path.suffix}"
    link_or_copy(source.path, folder / name)
    return name


BACKEND = TensorFlowBackend()
