"""A loaded engine as callers see it: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core.backends._inputs import check_inputs
from core.backends._tensorrt import cuda
from core.backends._tensorrt.execution import Binding, Execution
from core.backends._tensorrt.log import Log, load_failure, make_logger, start_failure
from core.backends._tensorrt.plugins import load_plugins
from core.backends._tensorrt.product import Product
from core.backends._tensorrt.runtime_cache import cache_file, cached
from core.backends.base import Engine
from core.base.dtypes import UNKNOWN, numpy_dtype
from core.base.errors import BuildFailed, EngineRoomError, InvalidRequest, RunFailed
from core.base.tensors import Array, Signature, Tensors

PLAN = "engine.plan"


class TensorRTSession:
    """Runs one inference at a time, host to host."""

    def __init__(self, engine: Engine, execution: Execution) -> None:
        self.signature = engine.signature
        self.execution = execution
        self.uses_graph = bool(engine.config.options.get("cuda_graph", False))
        self.settings = {"wait": "spin", "transfers": "in", "cuda graph": "on" if self.uses_graph else "off"}
        self._graph: cuda.Graph | None = None
        # Of the last inputs: name, type, shape and page-locked array of each; then the run itself, and how each output is copied.
        self._staged: tuple[tuple[str, Any, tuple[int, ...], Array], ...] = ()
        self._narrowed: tuple[Binding, ...] = ()
        self._once: Callable[[], None] | None = None
        self._copies: tuple[tuple[str, Callable[[], Array]], ...] = ()
        self._dtypes = {spec.name: numpy_dtype(spec.dtype) for spec in engine.signature.outputs if spec.dtype != UNKNOWN}
        known = {spec.name for spec in (*engine.signature.inputs, *engine.signature.outputs)}
        if strange := [name for name in execution.bindings if name not in known]:
            raise RunFailed(
                f"The engine has tensors that the model's signature does not know: {', '.join(strange)}.", hint="Build it again."
            )

    def run(self, inputs: Tensors) -> dict[str, Array]:
        if self._once is not None and self._stage(inputs):
            self._once()
            return {name: copy() for name, copy in self._copies}
        execution = self.execution
        execution.fill(self._prepare(inputs))
        if execution.graph_possible:
            execution.runner(self._graph)()
        else:
            execution.upload()
            execution.enqueue()
            execution.download()
            execution.synchronize()
        return {name: self._as_told(name, array) for name, array in execution.results().items()}

    def _stage(self, inputs: Tensors) -> bool:
        """Copies inputs like the last ones into page-locked memory; False where they differ and need every check again.

        This is each run's way, in as few steps as Python allows: a small engine runs in a quarter of a millisecond.
        """
        if len(inputs) != len(self._staged):
            return False
        for name, dtype, shape, staged in self._staged:
            array = inputs.get(name)
            if type(array) is not np.ndarray or array.dtype != dtype or array.shape != shape:
                return False
            staged[...] = array
        for binding in self._narrowed:
            binding.check_range(inputs[binding.name])
        return True

    def _prepare(self, inputs: Tensors) -> Tensors:
        """Checks the inputs and makes context, buffers and graph ready for their shapes."""
        self._once = None
        arrays = checked_arrays(self.signature, inputs)
        execution = self.execution
        try:
            changed = execution.prepare(arrays)
        except EngineRoomError:
            self._drop_graph()  # its addresses may be given back already
            raise
        if changed:
            self._drop_graph()
        if execution.graph_possible:
            if self.uses_graph and self._graph is None:
                execution.fill(arrays)
                self._capture()
            if not execution.values_decide_shapes:
                self._staged = tuple((b.name, arrays[b.name].dtype, b.array.shape, b.array) for b in execution.inputs)
                self._narrowed = tuple(b for b in execution.inputs if b.narrows(arrays[b.name].dtype))
                self._copies = tuple((b.name, self._copy(b.name, b.array)) for b in execution.outputs)
                self._once = execution.runner(self._graph)
        return arrays

    def close(self) -> None:
        self._once = None
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

    def _copy(self, name: str, array: Array) -> Callable[[], Array]:
        told = self._dtypes.get(name, array.dtype)
        return array.copy if told == array.dtype else partial(array.astype, told)

    def _as_told(self, name: str, array: Array) -> Array:
        """The output in the signature's type: before version 10, TensorRT knows no INT64 and gives INT32."""
        told = self._dtypes.get(name)
        return array if told is None or told == array.dtype else np.asarray(array).astype(told)


def checked_arrays(signature: Signature, inputs: Tensors) -> dict[str, Array]:
    """The inputs after every check, equal axes among them: TensorRT 8.5 crashes when asked about shapes that do not fit together.

    Raises:
        InvalidRequest: They are not what the signature takes.
    """
    arrays = check_inputs(signature, inputs)
    lengths: dict[str, tuple[int, str]] = {}
    for spec in signature.inputs:
        for axis, length in zip(spec.shape or (), arrays[spec.name].shape, strict=False):
            if isinstance(axis, str) and lengths.setdefault(axis, (length, spec.name))[0] != length:
                before, name = lengths[axis]
                raise InvalidRequest(
                    f"Axis {axis} is {before} in input {name} and {length} in {spec.name}.", hint="Give both the same length."
                )
    return arrays


@contextmanager
def loaded(product: Product, engine: Engine) -> Iterator[tuple[Any, Any, Log]]:
    """The engine read from its folder: the product's module, its `ICudaEngine`, and the log.

    Raises:
        Unavailable: TensorRT cannot start here.
        RunFailed: The engine is of another version or GPU, or an earlier run broke this process's GPU context.
    """
    trt = product.imported()
    log = Log(title=product.title)
    logger = make_logger(trt, log)
    check_version(product, engine, trt.__version__)
    cuda.check_context()
    load_plugins(trt, logger, str(engine.config.options.get("plugins", "")), product.features_of(trt))
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
        raise load_failure(log)
    if product.features_of(trt).runtime_cache and engine.config.options.get("runtime_cache", True):
        with cached(read, cache_file(engine.folder, trt.__version__)) as keeping:
            yield trt, keeping, log
    else:
        yield trt, read, log


def read_plan(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BuildFailed(
            f"The engine's file {path.name} could not be read: {error.strerror}.", hint="Build it again."
        ) from error


def check_version(product: Product, engine: Engine, here: str) -> None:
    """Refuses an engine of another TensorRT in a sentence, rather than in a checksum error.

    Raises:
        RunFailed: The engine was built by a version whose engines this one does not read.
    """
    built = engine.versions.get(product.name, here)
    if built != here and not engine.config.options.get("version_compatible"):
        raise RunFailed(
            f"The engine was built by {product.title} {built}; here is {here}.",
            hint="Build it again here, or build it with version_compatible for use on later versions.",
        )


@contextmanager
def opened(product: Product, engine: Engine) -> Iterator[TensorRTSession]:
    """A session; everything it holds is given back on exit."""
    cuda.wait_by(spin=True)
    with loaded(product, engine) as (trt, read, _):
        session = TensorRTSession(engine, Execution(trt, read))
        try:
            yield session
        finally:
            session.close()
