"""Compares an engine's outputs with the source model's, one set of inputs after another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

from core.base.errors import InvalidRequest
from core.base.tensors import Tensors
from core.parity.judging import PLAIN, Judging
from core.parity.output import OutputComparison
from core.parity.result import NOT_DETERMINISTIC, OutputParity, Parity


def compare(
    reference: Iterable[Tensors],
    candidate: Iterable[Tensors],
    tolerance: float,
    *,
    inputs: str = "",
    reference_title: str = "",
    judging: Mapping[str, Judging] | None = None,
    computes_in: str = "float32",
) -> Parity:
    """How far the candidate's outputs are from the reference's.

    Both are read one set at a time, so generators keep the memory at one set. Floats of different widths are compared by value;
    integers, booleans and text must be equal, but for quantized integers, where a step is no error; NaN equals NaN and an
    infinity the same infinity. Of an output that is NaN or infinite everywhere, and of one that is random by nature, nothing is
    compared.

    Args:
        tolerance: Relative error that still passes: the largest absolute difference over the reference's largest magnitude.
        inputs: Where the inputs came from.
        reference_title: What the outputs are compared with.
        judging: What is known of outputs, by name.
        computes_in: The type that the engine was asked to compute in.

    Raises:
        InvalidRequest: There is no set to compare, or one side has more than the other.
    """
    comparisons: dict[str, OutputComparison] = {}
    extra: dict[str, None] = {}
    sets = 0
    for expected, got in zip_longest(reference, candidate):
        if expected is None or got is None:
            longer = "reference" if got is None else "engine"
            raise InvalidRequest(f"Only the {longer} has outputs for set {sets + 1}.", hint="Run both on the same inputs.")
        sets += 1
        for name, value in expected.items():
            known = (judging or {}).get(name, PLAIN)
            comparisons.setdefault(name, OutputComparison(name, known, computes_in)).add(value, got.get(name))
        extra.update(dict.fromkeys(name for name in got if name not in expected))
    if not sets:
        raise InvalidRequest("There are no outputs to compare.", hint="Give at least one set of inputs.")
    outputs = tuple(comparison.result(tolerance) for comparison in comparisons.values())
    notes = [note for comparison in comparisons.values() for note in comparison.notes]
    if empty := [output.name for output in outputs if output.is_empty]:
        told = "Nothing is told of outputs that were empty for all inputs"
        notes.append(f"{told}: {', '.join(empty)}. Give inputs on which the model finds something.")
    notes += _notes(outputs, tolerance)
    if extra:
        notes.append(f"The engine has outputs that the source model lacks: {', '.join(extra)}.")
    return Parity(
        outputs=outputs,
        worst=max(outputs, key=_badness).name if outputs else "",
        passed=bool(outputs) and all(output.within(tolerance) for output in outputs if output.is_judged),
        tolerance=tolerance,
        inputs=inputs,
        reference=reference_title,
        notes=tuple(notes),
    )


def _notes(outputs: Iterable[OutputParity], tolerance: float) -> Iterator[str]:
    """What of the outputs was not compared, or was judged by something else than the tolerance."""
    for output in outputs:
        if output.unsteady:
            yield (
                f"Output {output.name}: two runs of the source model on the same inputs differ by {output.unsteady:.2g} of its "
                f"largest value: {NOT_DETERMINISTIC}."
            )
        elif output.is_vacuous:
            yield f"Output {output.name} was not compared: {output.uncompared}. Give inputs of your own on which it is finite."
        elif output.reference_non_finite and output.compared:
            share = output.reference_non_finite / (output.reference_non_finite + output.compared)
            yield f"Output {output.name}: {share:.2g} of its values are NaN or infinite in the source model, and not compared."
        if output.stepped:
            steps = "one step" if output.steps == 1 else f"up to {output.steps} steps"
            yield f"Output {output.name} is quantized: {output.stepped:,} of {output.elements:,} elements differ, by {steps}."
        if output.is_judged and output.head_rel is not None and (output.max_rel or 0.0) > tolerance and output.within(tolerance):
            yield (
                f"Output {output.name} comes out of a sigmoid and is near 0: its difference of {output.max_abs:.2g} is "
                f"{output.head_rel:.2g} of what went into that."
            )
        if output.allowed is not None and output.is_judged:
            yield f"Output {output.name} is allowed {output.allowed:.2g}: the source model's own rounding is that large."


def _badness(output: OutputParity) -> tuple[bool, bool, int, int, float]:
    """Orders outputs: not comparable, NaN and infinities, unequal elements, the relative error; last what was not judged."""
    error = output.max_rel if output.max_rel is not None else -1.0
    return (
        output.is_judged,
        bool(output.mismatch),
        output.non_finite,
        output.unequal or 0,
        math.inf if math.isnan(error) else error,
    )
