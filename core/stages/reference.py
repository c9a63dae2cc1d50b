"""Runs the source model in its own framework; builds of one model and one set of inputs share the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.backends.base import BuildConfig, backend_named
from core.base.progress import Progress, silent
from core.base.tensorfile import write_tensors
from core.models.model import Source
from core.request.references import reference_for
from core.stages.build import backend_version
from core.stages.inputs import input_sets
from core.stages.stage import Needs, Recipe, Stage, StageContext
from core.storage.builds import StageName


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Outputs of the source model: `inputs-<n>.zip` and `outputs-<n>.zip` in the artifact."""

    artifact: str
    sets: int
    inputs: str
    title: str
    reused: bool = False


def run(context: StageContext) -> Reference:
    model, request = context.model, context.request
    kind = reference_for(model.format)
    backend = backend_named(kind.backend)
    sets, origin = input_sets(context)
    step = {
        "step": "reference",
        "backend": kind.backend,
        "signature": model.signature(request.signature),
        "profile": request.profile,
        "inputs": request.inputs or request.seed,
        "images": request.lowering.images if request.inputs else None,
        "samples": request.lowering.samples if request.inputs else None,
        "ranges": request.ranges,
    }

    def make(folder: Path, _: str) -> None:
        engine_folder = folder / "engine"
        engine_folder.mkdir()
        path = context.workspace.model_path(model)
        source = Source(path=path, format=model.format, signature=model.signature(request.signature))
        config = BuildConfig(variant=kind.variant, options=kind.options, profile=request.profile)
        engine = backend.build(source, config, engine_folder, silent)
        with backend.open(engine) as session:
            for number, inputs in enumerate(sets):
                context.report(Progress(message="Running the source model", fraction=number / len(sets)))
                write_tensors(folder / f"inputs-{number}.zip", inputs)
                write_tensors(folder / f"outputs-{number}.zip", session.run(inputs))

    artifact = context.make_artifact(Recipe.of(model.digest, step, backend_version(kind.backend)), make)
    return Reference(artifact=artifact.key, sets=len(sets), inputs=origin, title=kind.title, reused=artifact.reused)


STAGE = Stage(
    name=StageName.REFERENCE,
    result=Reference,
    run=run,
    optional=True,
    needs=lambda task: Needs(backends=(reference_for(task.model.format).backend,)),
)
