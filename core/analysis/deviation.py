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
    if output.unequal:
        return f"{output.unequal:,} unequal"
    if output.stepped:
        return f"{output.stepped:,} off by {'one step' if output.steps == 1 else f'up to {output.steps:,} steps'} of its grid"
    return output.uncompared if not output.is_judged and not output.is_empty else None


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
    return f"output {worst.name} is {_off(worst, parity.tolerance)}"


def _off(output: OutputParity, tolerance: float) -> str:
    if output.max_rel is None or math.isinf(output.max_rel):
        return f"{output.max_abs:g} off where the source model gives only zeros"
    if output.stepped is not None:
        steps = f"up to {output.steps:,} steps of its grid" if output.steps > 1 else "a step of its grid"
        return f"{steps} off in {output.stepped:,} of {output.elements:,} elements; one step is allowed"
    allowed = tolerance if output.allowed is None else max(tolerance, output.allowed)
    return f"{percent(output.max_rel)} off, {percent(allowed)} is allowed"
