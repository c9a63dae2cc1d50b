"""How far outputs are from the source model's, in words."""

from __future__ import annotations

import math

from core.base.units import percent, scientific
from core.parity.result import OutputParity, Parity


def trouble(output: OutputParity) -> str | None:
    """What is wrong with an output besides an error that is too large; None when nothing is."""
    if output.mismatch:
        return output.mismatch
    if output.non_finite:
        return f"{output.non_finite:,} NaN or infinite"
    return f"{output.unequal:,} unequal" if output.unequal else None


def deviation(output: OutputParity) -> list[str]:
    """The figures of one output, a phrase each."""
    if output.mismatch:
        return [output.mismatch]
    found = [
        f"relative error {scientific(output.max_rel)}" if output.max_rel is not None else None,
        f"cosine {output.cosine:.6f}" if output.cosine is not None else None,
        f"top-1 agrees {percent(output.top1)}" if output.top1 is not None else None,
        trouble(output),
    ]
    return [text for text in found if text] or ["nothing to compare"]


def why_wrong(parity: Parity) -> str:
    """Why outputs are not on par, by the one that is farthest off."""
    worst = parity.worst_output
    if worst is None:
        return "there is no output to compare"
    if worst.mismatch:
        return f"output {worst.name}: {worst.mismatch}"
    if worst.non_finite:
        return f"output {worst.name} has {worst.non_finite} NaN or infinite elements that are finite in the source model"
    if worst.unequal:
        return f"output {worst.name} differs in {worst.unequal} of {worst.elements} elements that must be equal"
    if worst.max_rel is None or math.isinf(worst.max_rel):
        return f"output {worst.name} is {worst.max_abs:g} off where the source model gives only zeros"
    return f"output {worst.name} is {percent(worst.max_rel)} off, {percent(parity.tolerance)} is allowed"
