"""LiteRT (TensorFlow Lite's runtime) on the CPU, with XNNPACK's kernels or its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from core.backends._config import checked_options
from core.backends._engine import built
from core.backends._errors import failure
from core.backends._inputs import as_text, check_inputs
from core.backends._trial import trial_inputs
from core.backends.base import BuildConfig, Engine, Option, Variant
from core.backends.litert._calls import by_signature, by_tensor
from core.backends.litert._graph import engine_graph
from core.backends.litert._preflight import hint_for, preflight, told
from core.base.availability import Availability, from_packages, installed_versions
from core.base.errors import BuildFailed, InvalidRequest, RunFailed
from core.base.precision import Precision
from core.base.progress import Progress, Report
from core.base.tensors import Array, Session, Tensors
from core.graph.engine_graph import EngineGraph
from core.graph.support import Support
from core.models.model import Format, Source
from core.models.tflite_tables import read_tables, signature_ends

_MODEL = "model.tflite"
_PACKAGE = "ai-edge-litert"


class LiteRTBackend:
    name = "litert"
    title = "LiteRT"
    accepts: tuple[Format, ...] = (Format.TFLITE,)
    variants: tuple[Variant, ...] = (Variant(name="", title="LiteRT"),)
    options: tuple[Option, ...] = (
        Option(name="xnnpack", default=True, help="Run what XNNPACK can on its kernels.", choices=(True, False)),
    )
    precisions: tuple[Precision, ...] = (Precision.FP32,)
    simplifies = False
    asked_about: tuple[Format, ...] = (Format.TFLITE,)

    def availability(self) -> Availability:
        return from_packages(self.title, _PACKAGE)

    def target(self, version: str | None) -> None:
        return None

    def preflight(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Support:
        checked_options(self, config)
        return preflight(source, report)

    def build(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Engine:
        checked_options(self, config)
        shutil.copyfile(source.path, folder / _MODEL)
        engine = built(self, source, config, folder, _MODEL, versions=installed_versions(_PACKAGE, "numpy"))
        report(Progress(message="Preparing the model for LiteRT"))
        try:
            with self.open(engine) as session:
                session.run(trial_inputs(engine))
        except RunFailed as error:
            raise BuildFailed(error.message, hint=error.hint or hint_for(error.detail), detail=error.detail) from error
        return engine

    @contextmanager
    def open(self, engine: Engine) -> Iterator[Session]:
        yield _Session(engine, _interpreter(engine))

    def describe(self, engine: Engine) -> EngineGraph:
        interpreter = _interpreter(engine)
        _Session(engine, interpreter).run(trial_inputs(engine))
        return engine_graph(interpreter, engine.folder / engine.artifact, engine.signature.name)

    def layer_times(self, engine: Engine, inputs: Tensors, runs: int) -> dict[str, float]:
        return {}  # LiteRT's Python interface has no profiler


class _Session:
    """An interpreter and the way to call the signature on it."""

    def __init__(self, engine: Engine, interpreter: Any) -> None:
        self._signature = engine.signature
        self.settings = {"threads": str(_threads(engine)), "xnnpack": str(_uses_xnnpack(engine)).lower()}
        names = interpreter.get_signature_list()
        name = engine.signature.name
        if names and name not in names:
            raise InvalidRequest(f"The model has no signature {name!r}.", hint=f"It has: {', '.join(names)}.")
        self._call = by_signature(interpreter, name, _subgraph(engine)) if names else by_tensor(interpreter)

    def run(self, inputs: Tensors) -> dict[str, Array]:
        arrays = check_inputs(self._signature, inputs)
        try:
            results = self._call(**arrays)
        except (RuntimeError, ValueError, TypeError) as error:
            raise failure(RunFailed, "LiteRT could not run the model", error, sentence=told) from error
        named = ((spec.name, np.array(results[spec.name])) for spec in self._signature.outputs)
        return {name: as_text(array) if array.dtype.kind in "OSU" else array for name, array in named}


def _interpreter(engine: Engine) -> Any:
    """An interpreter of the engine's model.

    Raises:
        RunFailed: LiteRT cannot read the model, or has no kernel for one of its ops.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    resolver = OpResolverType.AUTO if _uses_xnnpack(engine) else plain
    path = str(engine.folder / engine.artifact)
    try:
        return Interpreter(path, num_threads=_threads(engine), experimental_op_resolver_type=resolver)
    except (RuntimeError, ValueError) as error:
        raise failure(RunFailed, "LiteRT cannot load the model", error, sentence=told) from error


def _subgraph(engine: Engine) -> int:
    ends = signature_ends(read_tables(engine.folder / engine.artifact), engine.signature.name)
    return ends.subgraph if ends else 0


def _threads(engine: Engine) -> int:
    return engine.config.threads or len(os.sched_getaffinity(0))


def _uses_xnnpack(engine: Engine) -> bool:
    return bool(engine.config.options.get("xnnpack", True))


BACKEND = LiteRTBackend()
