"""One model on one backend, as a build's stages would do it, in this process."""

from __future__ import annotations

import tempfile
import traceback
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np

from bench.onnx_models import answers, given_inputs
from core.backends.base import BuildConfig, Engine, backend_named
from core.base.availability import availability_of
from core.base.dtypes import numpy_dtype
from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.base.progress import silent
from core.base.tensorfile import write_tensors
from core.base.tensors import Array, Tensors
from core.models.model import Format, Source
from core.models.onnx_model import read_onnx_model
from core.parity.compare import compare
from core.parity.inputs import random_inputs
from core.parity.judging import Judging
from core.parity.result import Parity
from core.request.references import reference_for
from core.request.running import not_run_here, runs_elsewhere
from core.stages.judged import with_heads, with_noise, with_steadiness

TOLERANCE = Precision.FP32.facts.tolerance


class Came(str, Enum):
    """What came of it."""

    ON_PAR = "on par"
    UNCOMPARED = "uncompared"  # it ran, and the product says why its outputs tell nothing
    NOT_RUN = "built, not run here"
    REFUSED = "refused"  # in a sentence with a reason
    FAR = "not on par"  # and told so
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a model on a backend.

    Attributes:
        where: At what the reason was given: reading, building, looking inside, running.
        reason: In the words that the user sees.
    """

    came: Came
    where: str = ""
    reason: str = ""


def attempt(path: Path, backend: str) -> Outcome:
    """Reads, builds, looks into and runs a model, and holds what it gives against what ONNX Runtime gives as the graph stands;
    where that does not run the model, against the answers that it brings."""
    with tempfile.TemporaryDirectory(prefix="strangers-") as place:
        where = ["reading"]
        try:
            return _attempted(path, backend, Path(place), where)
        except EngineRoomError as error:
            told = bool(error.message.strip()) and not error.message.rstrip().endswith(":")
            return Outcome(came=Came.REFUSED if told else Came.FAULT, where=where[-1], reason=error.message)
        except Exception as error:  # that is what is looked for
            traceback.print_exc()
            return Outcome(came=Came.FAULT, where=where[-1], reason=f"{type(error).__name__}: {str(error)[:300]}")


def _attempted(path: Path, name: str, folder: Path, where: list[str]) -> Outcome:
    backend = backend_named(name)
    source = Source(path=path, format=Format.ONNX, signature=read_onnx_model(path).signatures[0])
    inputs = _inputs(source)
    source = replace(source, trial=inputs)  # as a build has it
    where.append("building")
    engine = _built(name, source, folder / "engine", BuildConfig())
    where.append("looking inside")
    graph = backend.describe(engine)
    if graph.source_nodes and not graph.layers and name != "onnxruntime" and not graph.loose_nodes:
        return Outcome(came=Came.FAULT, where=where[-1], reason="no layers were told")
    if away := not_run_here(runs_elsewhere(backend, "cpu", availability_of(backend), {})):
        unread = [note for note in graph.notes if "could not be read" in note]
        lost = [f"{node.op} {node.name} is nowhere" for node in graph.unmapped]
        return Outcome(
            came=Came.FAULT if unread or lost else Came.NOT_RUN, where=where[-1], reason="; ".join([*unread, *lost]) or away
        )
    where.append("running")
    with backend.open(engine) as session:
        outputs = session.run(inputs)
    parity = _held_against(source, inputs, outputs, folder)
    if parity is None:
        return Outcome(came=Came.UNCOMPARED, where=where[-1], reason="nothing else runs it, and it brings no answers")
    return judged(parity, where[-1])


def judged(parity: Parity, where: str) -> Outcome:
    """What came of a model whose outputs were held against others."""
    if parity.on_par is None:
        return Outcome(came=Came.UNCOMPARED, where=where, reason=parity.uncompared)
    return Outcome(came=Came.ON_PAR if parity.on_par else Came.FAR, where=where, reason=_far(parity))


def _far(parity: Parity) -> str:
    worst = None if parity.on_par else parity.worst_output
    if worst is None:
        return ""
    if worst.mismatch or worst.unequal:
        return f"{worst.name}: {worst.mismatch or f'{worst.unequal:,} of {worst.elements:,} are not equal'}"
    astray = f", {worst.non_finite:,} values not finite where they should be or not" if worst.non_finite else ""
    return f"{worst.name} is {worst.max_rel or 0:.2g} off{astray}"


def _built(name: str, source: Source, folder: Path, config: BuildConfig) -> Engine:
    folder.mkdir()
    return backend_named(name).build(source, config, folder, silent)


def _inputs(source: Source) -> dict[str, Array]:
    """Those that it brings, else random ones."""
    drawn = random_inputs(source.signature, BuildConfig().profile)[0]
    given = given_inputs(source.path)
    if not given or given.keys() != drawn.keys():
        return drawn
    types = {spec.name: spec.dtype for spec in source.signature.inputs}
    return {name: value if types[name] == "string" else value.astype(numpy_dtype(types[name])) for name, value in given.items()}


def _held_against(source: Source, inputs: Tensors, outputs: Tensors, folder: Path) -> Parity | None:
    try:
        expected, judging = _reference(source, inputs, folder)
    except EngineRoomError:
        brought = answers(source.path)
        if brought is None:
            return None
        expected, judging = {name: np.asarray(value) for name, value in brought.items()}, with_heads(source)
    return compare([expected], [outputs], TOLERANCE, judging=judging)


def _reference(source: Source, inputs: Tensors, folder: Path) -> tuple[dict[str, Array], dict[str, Judging]]:
    """What the source model gives in its own framework, and by what that is judged, as the stage of that name has it."""
    kind = reference_for(source.format)
    backend = backend_named(kind.backend)
    engine = _built(kind.backend, source, folder / "reference", BuildConfig(variant=kind.variant, options=dict(kind.options)))
    with backend.open(engine) as session:
        expected = session.run(inputs)
        write_tensors(folder / "inputs-0.zip", inputs)
        write_tensors(folder / "outputs-0.zip", expected)
        known = with_steadiness(session, folder, with_heads(source))
    return expected, with_noise(backend, engine, folder, 1, known)
