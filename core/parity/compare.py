"""Compares an engine's outputs with the source model's, one set of inputs after another."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import zip_longest

from core.base.errors import InvalidRequest
from core.base.tensors import Tensors
from core.parity.output import OutputComparison
from core.parity.result import OutputParity, Parity


def compare(
    reference: Iterable[Tensors], candidate: Iterable[Tensors], tolerance: float, *, inputs: str = "", reference_title: str = ""
) -> Parity:
    """How far the candidate's outputs are from the reference's.

    Both are read one set at a time, so generators keep the memory at one set. Floats of different widths are compared by value;
    integers, booleans and text must be equal; NaN equals NaN and an infinity the same infinity.

    Args:
        tolerance: Relative error that still passes: the largest absolute difference over the reference's largest magnitude.
        inputs: Where the inputs came from.
        reference_title: What the outputs are compared with.

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
            comparisons.setdefault(name, OutputComparison(name)).add(value, got.get(name))
        extra.update(dict.fromkeys(name for name in got if name not in expected))
    if not sets:
        raise InvalidRequest("There are no outputs to compare.", hint="Give at least one set of inputs.")
    outputs = tuple(comparison.result() for comparison in comparisons.values())
    notes = [note for comparison in comparisons.values() for note in comparison.notes]
    if empty := [output.name for output in outputs if output.is_empty]:
        told = "Nothing is told of outputs that were empty for all inputs"
        notes.append(f"{told}: {', '.join(empty)}. Give inputs on which the model finds something.")
    if extra:
        notes.append(f"The engine has outputs that the source model lacks: {', '.join(extra)}.")
    return Parity(
        outputs=outputs,
        worst=max(outputs, key=_badness).name if outputs else "",
        passed=bool(outputs) and all(output.within(tolerance) for output in outputs),
        tolerance=tolerance,
        inputs=inputs,
        reference=reference_title,
        notes=tuple(notes),
    )


def _badness(output: OutputParity) -> tuple[bool, int, int, float]:
    """Orders outputs: not comparable, then NaN and infinities, then unequal elements, then the relative error."""
    error = output.max_rel if output.max_rel is not None else -1.0
    return bool(output.mismatch), output.non_finite, output.unequal or 0, math.inf if math.isnan(error) else error
