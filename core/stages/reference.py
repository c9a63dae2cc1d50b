"""Runs the source model in its own framework; builds of one model and one set of inputs share the outputs.

It is run on the inputs, once more on the first of them, which tells whether it is random by nature, and on others where it gives
nothing but NaN on numbers from 0 to 1. Of a model that computes in 16-bit floats it is run in float32 too, which tells its noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from core.backends.base import Backend, BuildConfig, Engine, OptionValue, backend_named
from core.base.dtypes import is_float, numpy_dtype
from core.base.errors import EngineRoomError
from core.base.names import check_key
from core.base.progress import Progress, silent
from core.base.serialization import read_json, write_json
from core.base.tensorfile import write_tensors
from core.base.tensors import Array, Session, Tensors
from core.models.model import Source
from core.parity.inputs import Range, describe_random, random_inputs
from core.parity.judging import Judging
from core.request.references import reference_for
from core.stages.build import backend_version
from core.stages.inputs import RANDOM_SETS, input_sets, trial_inputs
from core.stages.judged import with_heads, with_noise, with_steadiness
from core.stages.stage import Needs, Recipe, Stage, StageContext
from core.storage.builds import StageName

TOLD = "reference.json"
# Where functions are defined that are not between 0 and 1: acosh from 1 on, roots of shifted values, inverse sines, logarithms.
OTHER_RANGES: tuple[Range, ...] = ((1.0, 2.0), (-1.0, 0.0), (-1.0, 1.0), (1.0, 100.0), (-100.0, -1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told of the outputs, beside them in their artifact.

    Attributes:
        inputs: Where the inputs came from.
        judging: By what each output is judged, by name.
    """

    inputs: str
    judging: dict[str, Judging] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Outputs of the source model: `inputs-<n>.zip` and `outputs-<n>.zip` in the artifact.

    Attributes:
        judging: By what each output is judged, by name.
        notes: Sentences about the inputs and the outputs.
    """

    artifact: str
    sets: int
    inputs: str
    title: str
    reused: bool = False
    judging: dict[str, Judging] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_key(self.artifact)


def source_of(context: StageContext) -> Source:
    """The model as it was stored."""
    model = context.model
    path = context.workspace.model_path(model)
    return Source(
        path=path,
        format=model.format,
        signature=model.signature(context.request.signature),
        name=model.name,
    )


def built_by(
    context: StageContext, backend: Backend, folder: Path, *, variant: str, options: Mapping[str, OptionValue]
) -> Engine:
    """An engine of the stored model, below `folder`, to ask for its outputs."""
    place = folder / "engine"
    place.mkdir()
    config = BuildConfig(variant=variant, options=dict(options), profile=context.request.profile)
    return backend.build(replace(source_of(context), trial=trial_inputs(context)), config, place, silent)


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
        "told": 1,
    }

    def make(folder: Path, _: str) -> None:
        source = source_of(context)
        engine = built_by(context, backend, folder, variant=kind.variant, options=kind.options)
        known = with_heads(source)
        with backend.open(engine) as session:
            told = _run_all(context, session, sets, origin, folder)
            known = with_steadiness(session, folder, known)
        write_json(folder / TOLD, replace(told, judging=with_noise(backend, engine, folder, len(sets), known)))

    artifact = context.make_artifact(Recipe.of(model.digest, step, backend_version(kind.backend)), make)
    told = read_json(Told, artifact.folder / TOLD)
    return Reference(
        artifact=artifact.key,
        sets=len(sets),
        inputs=told.inputs,
        title=kind.title,
        reused=artifact.reused,
        judging=told.judging,
        notes=told.notes,
    )


def _run_all(context: StageContext, session: Session, sets: Sequence[Tensors], origin: str, folder: Path) -> Told:
    """Runs the sets; on other random ones where an output is nowhere finite and they make it so."""
    lost = _run_sets(context, session, sets, folder)
    request, signature = context.request, context.model.signature(context.request.signature)
    free = [
        spec.name
        for spec in signature.inputs
        if spec.name not in request.ranges and is_float(numpy_dtype(spec.dtype)) and numpy_dtype(spec.dtype).kind != "c"
    ]
    if not lost or request.inputs is not None or not free:
        return Told(inputs=origin)
    best, taken = lost, None
    for low, high in OTHER_RANGES:
        ranges = {**request.ranges, **dict.fromkeys(free, (low, high))}
        others = random_inputs(signature, request.profile, request.seed, RANDOM_SETS, ranges)
        with suppress(EngineRoomError):
            still = _lost([session.run(inputs) for inputs in others])
            if len(still) < len(best):
                best, taken = still, ((low, high), others)
        if not best:
            break
    if taken is None:
        return Told(inputs=origin)
    (low, high), others = taken
    _run_sets(context, session, others, folder)
    found = [name for name in lost if name not in best]
    where = f"{low:g} to {high:g}"
    note = (
        f"On numbers from 0 to 1 the source model gives nothing finite in {', '.join(found)}, "
        f"so outputs were compared on numbers from {where}."
    )
    return Told(inputs=describe_random(request.seed, len(others)).replace("random", f"random from {where}", 1), notes=(note,))


def _run_sets(context: StageContext, session: Session, sets: Sequence[Tensors], folder: Path) -> list[str]:
    """Runs and writes each set; names of the outputs that are nowhere finite."""
    kept: dict[str, bool] = {}
    for number, inputs in enumerate(sets):
        context.report(Progress(message="Running the source model", fraction=number / len(sets)))
        outputs = session.run(inputs)
        write_tensors(folder / f"inputs-{number}.zip", inputs)
        write_tensors(folder / f"outputs-{number}.zip", outputs)
        lost = _lost([outputs])
        kept = {name: kept.get(name, True) and name in lost for name in outputs}
    return [name for name, is_lost in kept.items() if is_lost]


def _lost(sets: Sequence[Tensors]) -> list[str]:
    """Outputs that have elements, and no finite one."""

    def is_lost(values: Sequence[Array]) -> bool:
        return any(value.size for value in values) and not any(np.isfinite(value).any() for value in values)

    floats = [name for name, value in sets[0].items() if is_float(np.asarray(value).dtype)]
    return [name for name in floats if is_lost([np.asarray(one[name]) for one in sets])]


STAGE = Stage(
    name=StageName.REFERENCE,
    result=Reference,
    run=run,
    optional=True,
    needs=lambda task: Needs(backends=(reference_for(task.model.format).backend,)),
)
