"""A second opinion: another runtime's outputs, asked for where an engine disagrees with the reference.

The reference is what the model's own framework gives, and can itself be the outlier: kernels that add up in another order, or a
graph that was never optimized. Where the engine and an independent runtime agree with each other and not with it, they are right.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.backends.base import OptionValue, backend_named
from core.base.errors import Cancelled
from core.base.precision import Precision
from core.base.progress import Progress
from core.base.tensorfile import read_tensors, write_tensors
from core.base.tensors import Array
from core.base.units import scientific
from core.models.model import Format
from core.parity.compare import compare
from core.parity.result import Parity
from core.stages.build import backend_version
from core.stages.reference import Reference, built_by
from core.stages.stage import Recipe, StageContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Another:
    """A runtime to ask, and how."""

    backend: str
    title: str
    variant: str = ""
    options: dict[str, OptionValue] = field(default_factory=dict)


_OPENVINO = Another(backend="openvino", title="OpenVINO")
_XLA = Another(backend="tensorflow", title="TensorFlow, XLA", variant="xla")
OTHERS: dict[Format, tuple[Another, ...]] = {
    Format.ONNX: (_OPENVINO, Another(backend="onnxruntime", title="ONNX Runtime, optimized")),
    Format.SAVEDMODEL: (_OPENVINO, _XLA),
    Format.GRAPHDEF: (_OPENVINO, _XLA),
    Format.KERAS: (_XLA,),
    Format.TFLITE: (_OPENVINO,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """Another runtime's outputs on the reference's inputs, `outputs-<n>.zip` in the folder."""

    title: str
    folder: Path
    sets: int

    def outputs(self) -> Iterator[dict[str, Array]]:
        for number in range(self.sets):
            yield read_tensors(self.folder / f"outputs-{number}.zip")


def second_opinion(context: StageContext, reference: Reference, inputs: Path) -> Opinion | None:
    """What another runtime than the engine's gives; None where none is here that runs the model.

    Args:
        inputs: Folder of the reference's artifact.
    """
    for other in OTHERS[context.model.format]:
        backend = backend_named(other.backend)
        if other.backend == context.request.backend or not backend.availability().available:
            continue
        try:
            return Opinion(title=other.title, folder=_asked(context, other, reference, inputs), sets=reference.sets)
        except Cancelled:
            raise
        except Exception:  # a runtime raises what it likes; without it there is one opinion less
            traceback.print_exc()
    return None


def _asked(context: StageContext, other: Another, reference: Reference, inputs: Path) -> Path:
    backend = backend_named(other.backend)
    step = {"step": "opinion", "backend": other.backend, "variant": other.variant, "reference": reference.artifact}

    def make(folder: Path, _: str) -> None:
        engine = built_by(context, backend, folder, variant=other.variant, options=other.options)
        with backend.open(engine) as session:
            for number in range(reference.sets):
                message = f"Asking {other.title} for a second opinion"
                context.report(Progress(message=message, fraction=number / reference.sets))
                write_tensors(folder / f"outputs-{number}.zip", session.run(read_tensors(inputs / f"inputs-{number}.zip")))

    return context.make_artifact(Recipe.of(context.model.digest, step, backend_version(other.backend)), make).folder


def settled(parity: Parity, against: Parity, opinion: Opinion, reference: Reference, inputs: Path) -> Parity:
    """What becomes of an engine that is not on par with the reference.

    Args:
        against: The engine held against the second opinion.
    """
    own = (read_tensors(inputs / f"outputs-{number}.zip") for number in range(reference.sets))
    between = compare(opinion.outputs(), own, Precision.FP32.facts.tolerance, judging=reference.judging)
    off, agree = _off(between), _off(against)
    if against.on_par and between.on_par is False:
        note = (
            f"The reference, {reference.title}, is the outlier: it is {off} off where this engine and {opinion.title}, "
            f"asked for a second opinion, agree within {agree}. They were taken for right."
        )
        return replace(
            against, inputs=parity.inputs, reference=f"{opinion.title} (a second opinion)", notes=(note, *against.notes)
        )
    told = f"{opinion.title}, asked for a second opinion, is {off} off the reference and {agree} off this engine."
    return replace(parity, notes=(told, *parity.notes))


def _off(parity: Parity) -> str:
    worst = parity.worst_output
    return scientific(worst.max_rel) or "not comparable" if worst else "not comparable"
