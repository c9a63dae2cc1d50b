"""The backend: options, conversion, and running what it wrote."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from core.backends._config import checked_options
from core.backends._engine import built
from core.backends._errors import failure, told_as, whole
from core.backends._inputs import check_inputs
from core.backends.base import BuildConfig, Engine, Option, Variant
from core.backends.tf_trt import _availability
from core.backends.tf_trt._convert import convert, start
from core.base.availability import Availability, installed_versions
from core.base.errors import BuildFailed, RunFailed
from core.base.precision import Precision
from core.base.progress import Progress, Report
from core.base.serialization import read_json, write_json
from core.base.tensors import Array, Signature, Tensors
from core.graph.engine_graph import EngineGraph
from core.models.model import Format, Source
from core.models.tf_loadable import loadable

_SAVED, _GRAPH, _WHY = "saved_model", "graph.json", "not_converted.csv"
# TensorFlow keeps engines by their ops' names, so that a process can load each only once.
_LOADED: WeakValueDictionary[Path, Any] = WeakValueDictionary()
_LOADING = threading.Lock()


class TfTrt:
    name: str = "tf-trt"
    title: str = "TF-TRT"
    accepts: tuple[Format, ...] = (Format.SAVEDMODEL,)
    variants: tuple[Variant, ...] = (Variant(name="", title="TF-TRT"),)
    precisions: tuple[Precision, ...] = (Precision.FP32, Precision.TF32, Precision.FP16, Precision.INT8)
    simplifies: bool = False
    options: tuple[Option, ...] = (
        Option(name="max_workspace_size_bytes", default=0, help="Scratch memory an engine may use; 0 leaves it to TF-TRT."),
        Option(name="minimum_segment_size", default=3, help="Fewer TensorFlow ops than this stay with TensorFlow."),
        Option(name="maximum_cached_engines", default=1, help="Engines kept for different input shapes."),
        Option(
            name="engines",
            default="built",
            help="Built now and saved, or built by the first run of every process.",
            choices=("built", "at_first_run"),
        ),
        Option(
            name="dynamic_shapes",
            default=False,
            help="One engine for all shapes of the profile, rather than one a shape.",
            choices=(False, True),
        ),
    )

    def availability(self) -> Availability:
        return _availability.availability()

    def target(self, version: str | None) -> None:
        return None

    def build(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Engine:
        options = checked_options(self, config)
        report(Progress(message="Starting TensorFlow"))
        tf = start(config)
        hint = "Use the path through ONNX, or a larger minimum_segment_size."
        with told_as(BuildFailed, f"TF-TRT could not convert {source.title}", hint=hint), loadable(source.path) as given:
            found = convert(tf, replace(source, path=given.folder), config, options, folder / _SAVED, folder / _WHY, report)
        write_json(folder / _GRAPH, found.graph)
        versions = installed_versions("tensorflow", "tensorrt", "numpy")
        return built(self, source, config, folder, _SAVED, versions=versions, notes=found.notes)

    @contextmanager
    def open(self, engine: Engine) -> Iterator[TfTrtSession]:
        tf = start(engine.config)
        session = TfTrtSession(tf, _loaded(tf, (engine.folder / engine.artifact).resolve()), engine.signature)
        try:
            yield session
        finally:
            session.close()
            gc.collect()  # frees the engines, unless another session holds them

    def describe(self, engine: Engine) -> EngineGraph:
        return read_json(EngineGraph, engine.folder / _GRAPH)

    def layer_times(self, engine: Engine, inputs: Tensors, runs: int) -> dict[str, float]:
        return {}  # an engine is one op of TensorFlow's, and its layers are not told


class TfTrtSession:
    """The converted signature, host to host."""

    def __init__(self, tf: Any, loaded: Any, signature: Signature) -> None:
        self.settings = {"device": "cuda", "transfers": "in"}
        self._tf = tf
        self._loaded = loaded  # holds the engines
        self._function = loaded.signatures[signature.name]
        self._signature = signature

    def close(self) -> None:
        self._loaded = self._function = None

    def run(self, inputs: Tensors) -> dict[str, Array]:
        arrays = check_inputs(self._signature, inputs)
        try:
            results = self._function(**{name: self._tf.constant(array) for name, array in arrays.items()})
            return {spec.name: np.asarray(results[spec.name]) for spec in self._signature.outputs}
        except Exception as error:
            raise failure(RunFailed, "Running the engine failed", error) from error


def _loaded(tf: Any, path: Path) -> Any:
    """A converted SavedModel; sessions of one engine, whose folder never changes, share it."""
    with told_as(RunFailed, "TensorFlow could not load the engine", hint=_loading_hint), _LOADING:
        loaded = _LOADED.get(path)
        if loaded is None:
            _LOADED[path] = loaded = tf.saved_model.load(str(path))
    return loaded


def _loading_hint(error: Exception) -> str:
    if "engine cache to be empty" in whole(error):
        return "Close the other TF-TRT engine in this process first."
    return "An engine runs on the GPU type and versions it was built with; build it again here."
