"""Compares the engine's outputs with the source model's."""

from __future__ import annotations

from dataclasses import replace

from core.backends.base import backend_named
from core.errors import NotFound
from core.parity.compare import compare
from core.parity.result import Parity
from core.parity.tolerance import tolerance_for
from core.progress import Progress
from core.stages.build import built_engine
from core.stages.reference import Reference
from core.stages.stage import StageContext, StageName
from core.tensorfile import read_tensors


def run(context: StageContext) -> Parity:
    reference = context.result(StageName.REFERENCE, Reference)
    folder = context.workspace.artifact(reference.artifact)
    if folder is None:
        raise NotFound("The source model's outputs were deleted.", hint="Run the build again.")
    outputs = []
    with backend_named(context.request.backend).open(built_engine(context)) as session:
        for number in range(reference.sets):
            context.report(Progress(message=f"Comparing set {number + 1} of {reference.sets}", fraction=number / reference.sets))
            outputs.append(session.run(read_tensors(folder / f"inputs-{number}.zip")))
    expected = [read_tensors(folder / f"outputs-{number}.zip") for number in range(reference.sets)]
    found = compare(expected, outputs, tolerance_for(context.request.precision))
    return replace(found, inputs=reference.inputs, reference=reference.title)
