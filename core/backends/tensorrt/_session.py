"""A loaded engine as callers see it: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from core.backends._inputs import check_inputs
from core.backends.base import Array, Engine, Tensors
from core.backends.tensorrt import _cuda
from core.backends.tensorrt._execution import Execution, numpy_dtype
from core.backends.tensorrt._log import Log, make_logger, start_failure
from core.backends.tensorrt._plugins import load_plugins
from core.backends.tensorrt._versions import features, parse_version
from core.errors import BuildFailed, RunFailed

PLAN = "engine.plan"


class TensorRTSession:
    """Runs one inference at a time, host to host."""

    def __init__(self, engine: Engine, execution: Execution) -> None:
        self.signature = engine.signature
        self.execution = execution
        self.uses_graph = bool(engine.config.options.get("cuda_graph", False))
        self.settings = {"wait": "spin", "transfers": "in", "cuda graph": "on" if self.uses_graph else "off"}
        self._graph: _cuda.Graph | None = None
        # Of the last inputs: name, type, shape and page-locked array of each; and name, array and told type of the outputs.
        self._settled = False
        self._staged: tuple[tuple[str, Any, tuple[int, ...], Array], ...] = ()
        self._fetched: tuple[tuple[str, Array, Any], ...] | None = None
        self._dtypes = {spec.name: numpy_dtype(spec.dtype) for spec in engine.signature.outputs if spec.dtype != "unknown"}
        known = {spec.name for spec in (*engine.signature.inputs, *engine.signature.outputs)}
        if strange := [name for name in execution.bindings if name not in known]:
            raise RunFailed(
                f"The engine has tensors that the model's signature does not know: {', '.join(strange)}.", hint="Build it again."
            )

    def run(self, inputs: Tensors) -> dict[str, Array]:
        execution = self.execution
        arrays = inputs if self._as_before(inputs) else self._prepare(inputs)
        for name, _, _, staged in self._staged:
            np.copyto(staged, arrays[name], casting="unsafe")
        if self._graph is not None:
            self._graph.launch(execution.stream)
        else:
            execution.upload()
            execution.enqueue()
            execution.download()
        execution.synchronize()
        if self._fetched is None:
            return {name: self._as_told(name, array) for name, array in execution.results().items()}
        return {name: array.astype(dtype) for name, array, dtype in self._fetched}

    def _as_before(self, inputs: Tensors) -> bool:
        """Whether the inputs are like the last ones, so that nothing needs a check again: this is each run's fast path."""
        if not self._settled or len(inputs) != len(self.signature.inputs):
            return False
        try:
            return all(inputs[name].dtype is dtype and inputs[name].shape == shape for name, dtype, shape, _ in self._staged)
        except (KeyError, AttributeError):
            return False

    def _prepare(self, inputs: Tensors) -> Tensors:
        """Checks the inputs and makes context, buffers and graph ready for their shapes."""
        self._settled = False
        arrays = check_inputs(self.signature, inputs)
        execution = self.execution
        if execution.prepare(arrays):
            self._drop_graph()
        self._staged = tuple((b.name, arrays[b.name].dtype, b.array.shape, b.array) for b in execution.inputs)
        self._fetched = None
        if execution.graph_possible:
            self._fetched = tuple((b.name, b.array, self._dtypes.get(b.name, b.dtype)) for b in execution.outputs)
            if self.uses_graph and self._graph is None:
                execution.fill(arrays)
                self._capture()
        self._settled = not execution.values_decide_shapes
        return arrays

    def close(self) -> None:
        self._drop_graph()
        self.execution.close()

    def _capture(self) -> None:
        try:
            self.execution.upload()
            self._graph = self.execution.capture(transfers=True)
        except RunFailed as error:  # some layers cannot be captured, as in trtexec the run then goes on without
            self.uses_graph = False
            self.settings["cuda graph"] = f"off: {error.message}"

    def _drop_graph(self) -> None:
        if self._graph is not None:
            self._graph.free()
            self._graph = None

    def _as_told(self, name: str, array: Array) -> Array:
        """The output in the signature's type: before version 10, TensorRT knows no INT64 and gives INT32."""
        told = self._dtypes.get(name)
        return array if told is None or told == array.dtype else np.asarray(array).astype(told)


@contextmanager
def loaded(engine: Engine) -> Iterator[tuple[Any, Any, Log]]:
    """The engine read from its folder: TensorRT's module, its `ICudaEngine`, and the log.

    Raises:
        Unavailable: TensorRT cannot start here.
        RunFailed: The engine is of another version or GPU.
    """
    import tensorrt as trt

    log = Log()
    logger = make_logger(trt, log)
    check_version(engine, trt.__version__)
    load_plugins(trt, logger, str(engine.config.options.get("plugins", "")), features(parse_version(trt.__version__)))
    try:
        runtime = trt.Runtime(logger)
    except TypeError as error:
        raise start_failure(log, "start its runtime") from error
    if engine.config.options.get("version_compatible"):
        runtime.engine_host_code_allowed = True
    if (core := int(engine.config.options.get("dla_core", -1))) >= 0:
        runtime.DLA_core = core
    plan = read_plan(engine.folder / PLAN)
    read = runtime.deserialize_cuda_engine(plan)
    if read is None:
        raise RunFailed(
            "TensorRT could not load the engine: " + (log.errors[0] if log.errors else "it gave no reason"),
            hint="An engine runs on the GPU type and TensorRT version it was built with; build it again here.",
            detail=log.tail(),
        )
    yield trt, read, log


def read_plan(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BuildFailed(
            f"The engine's file {path.name} could not be read: {error.strerror}.", hint="Build it again."
        ) from error


def check_version(engine: Engine, here: str) -> None:
    """Refuses an engine of another TensorRT in a sentence, rather than in a checksum error.

    Raises:
        RunFailed: The engine was built by a version whose engines this one does not read.
    """
    built = engine.versions.get("tensorrt", here)
    if built != here and not engine.config.options.get("version_compatible"):
        raise RunFailed(
            f"The engine was built by TensorRT {built}; here is {here}.",
            hint="Build it again here, or build it with version_compatible for use on later versions.",
        )


@contextmanager
def opened(engine: Engine) -> Iterator[TensorRTSession]:
    """A session; everything it holds is given back on exit."""
    _cuda.wait_by(spin=True)
    with loaded(engine) as (trt, read, _):
        session = TensorRTSession(engine, Execution(trt, read))
        try:
            yield session
        finally:
            session.close()
