"""Compares the engine's outputs with the source model's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from core.backends.base import backend_named
from core.base.errors import NotFound
from core.base.progress import Progress
from core.base.tensorfile import read_tensors
from core.base.tensors import Array
from core.parity.accuracy import accuracy
from core.parity.compare import compare
from core.parity.result import Parity
from core.stages.build import built_engine
from core.stages.inputs import input_labels
from core.stages.opinion import second_opinion, settled
from core.stages.reference import STAGE as REFERENCE
from core.stages.reference import Reference
from core.stages.stage import Stage, StageContext, needs_backend
from core.storage.builds import StageName


def run(context: StageContext) -> Parity:
    reference = context.result(REFERENCE)
    folder = context.workspace.artifact(reference.artifact)
    if folder is None:
        raise NotFound("The source model's outputs were deleted.", hint="Run the build again.")
    labels = input_labels(context)
    kept: list[dict[str, Array]] = []
    with backend_named(context.request.backend).open(built_engine(context)) as session:

        def run_all() -> Iterator[dict[str, Array]]:
            for number in range(reference.sets):
                context.report(Progress(message="Running the engine", fraction=number / reference.sets))
                outputs = session.run(read_tensors(folder / f"inputs-{number}.zip"))
                if labels is not None:
                    kept.append(outputs)
                yield outputs

        def held_against(expected: Iterator[dict[str, Array]]) -> Parity:
            return compare(
                expected,
                run_all(),
                context.request.precision.facts.tolerance,
                inputs=reference.inputs,
                reference_title=reference.title,
                judging=reference.judging,
                computes_in=context.request.precision.facts.dtype,
            )

        parity = held_against(_expected(folder, reference))
        doubtful = parity.on_par is False and not any(output.mismatch for output in parity.outputs)
        if doubtful and (opinion := second_opinion(context, reference, folder)):
            parity = settled(parity, held_against(opinion.outputs()), opinion, reference, folder)
            del kept[reference.sets :]
    parity = replace(parity, notes=(*reference.notes, *parity.notes, *_missed_goal(parity, context.request.lowering.max_rel)))
    if labels is None:
        return parity
    return replace(parity, accuracy=accuracy(kept, labels), reference_accuracy=accuracy(_expected(folder, reference), labels))


def _missed_goal(parity: Parity, goal: float | None) -> Iterator[str]:
    """What the accuracy that the precision was to keep has become in the engine; that was judged on the graph."""
    for output in parity.outputs:
        if goal is not None and output.max_rel is not None and output.max_rel > goal:
            off = f"Output {output.name} is {output.max_rel:.2g} off here"
            yield f"{off}; {goal:g} was asked for, and the graph met it on its own samples."


def _expected(folder: Path, reference: Reference) -> Iterator[dict[str, Array]]:
    for number in range(reference.sets):
        yield read_tensors(folder / f"outputs-{number}.zip")


STAGE = Stage(name=StageName.PARITY, result=Parity, run=run, optional=True, when=lambda task: task.runs, needs=needs_backend)
