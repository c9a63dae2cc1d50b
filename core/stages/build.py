"""Builds the engine."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from core.backends.base import Engine, backend_named
from core.base.availability import installed_versions
from core.base.errors import NotFound
from core.base.names import check_key
from core.base.serialization import read_json, write_json
from core.benchmark.machine import gpu_name
from core.benchmark.memory import peak_bytes
from core.stages.inputs import trial_inputs
from core.stages.stage import Recipe, Stage, StageContext, needs_backend
from core.storage.builds import StageName, result_file

ENGINE_FILE = "engine.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A finished engine.

    Attributes:
        artifact: Key of the artifact that holds it.
        build_seconds: From the prepared model's file to the finished engine, the runtime's own start counted in.
        peak_memory_bytes: Of the building process.
    """

    artifact: str
    engine: Engine
    build_seconds: float
    peak_memory_bytes: int
    reused: bool = False

    def __post_init__(self) -> None:
        check_key(self.artifact)


def run(context: StageContext) -> Built:
    def make(folder: Path, key: str) -> None:
        start = time.perf_counter()
        source = replace(context.source(context.prepared), trial=trial_inputs(context))
        if calibration := own_calibration(context):
            source = replace(source, calibration=context.workspace.data_path(calibration))
        engine = backend_named(context.request.backend).build(source, context.request.config, folder, context.report)
        built = Built(
            artifact=key,
            engine=engine,
            build_seconds=round(time.perf_counter() - start, 3),
            peak_memory_bytes=peak_bytes(),
        )
        write_json(folder / ENGINE_FILE, built)

    artifact = context.make_artifact(recipe(context), make)
    built = read_json(Built, artifact.folder / ENGINE_FILE)
    return replace(built, engine=replace(built.engine, folder=artifact.folder), reused=artifact.reused)


def recipe(context: StageContext) -> Recipe:
    """All that decides what the engine is; builds alike share one."""
    prepared, calibration, backend = context.prepared, own_calibration(context), context.request.backend
    step = {
        "step": "build",
        "backend": backend,
        "signature": prepared.signature,
        "config": context.request.config,
        **({"calibration": calibration} if calibration else {}),
        # An engine for a GPU runs on that type alone.
        **({"gpu": gpu_name()} if context.request.device == "cuda" else {}),
    }
    return Recipe.of(prepared.artifact or context.model.digest, step, backend_version(backend))


def backend_version(name: str) -> dict[str, str | None]:
    """Of the runtime; TF-TRT's engines hang on the TensorRT beside its TensorFlow too."""
    return {name: backend_named(name).availability().version, **installed_versions("tensorrt", "tensorrt-libs")}


def own_calibration(context: StageContext) -> str | None:
    """Digest of the data that the backend itself quantizes with; None where the graph has its precision already."""
    request = context.request
    quantizes = request.precision.quantizes
    return request.calibration if quantizes and not result_file(context.folder, StageName.PRECISION).exists() else None


def built_engine(context: StageContext) -> Engine:
    """The engine that the build stage left, wherever the workspace lies now.

    Raises:
        NotFound: It was deleted meanwhile.
    """
    built = context.result(STAGE)
    folder = context.workspace.artifact(built.artifact)
    if folder is None:
        raise NotFound("The engine of this build was deleted.", hint="Build it again.")
    return replace(built.engine, folder=folder)


STAGE = Stage(name=StageName.BUILD, result=Built, run=run, needs=needs_backend)
