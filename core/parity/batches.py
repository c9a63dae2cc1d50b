"""Which axis of an input is the batch."""

from __future__ import annotations

from core.base.profile import DEFAULT_BATCH, ShapeProfile, default_range
from core.base.tensors import Signature, TensorSpec


def batch_symbol(signature: Signature) -> str | None:
    """The symbol of the batch: one that is called so, else the one that leads every input; None when there is none."""
    named = [symbol for symbol in signature.symbols if default_range(symbol) is DEFAULT_BATCH]
    if named:
        return named[0]
    leading = dict.fromkeys(spec.shape[0] for spec in signature.inputs if spec.shape and isinstance(spec.shape[0], str))
    return str(next(iter(leading))) if len(leading) == 1 else None


def batch_length(signature: Signature, profile: ShapeProfile) -> int:
    """Samples that one run carries at the profile's opt point; 1 when the signature has no batch axis.

    A fixed leading axis is taken for the batch when all inputs share it and have other axes besides.
    """
    if symbol := batch_symbol(signature):
        return profile.length(symbol)
    leading = {spec.shape[0] if spec.shape and len(spec.shape) > 1 else None for spec in signature.inputs}
    only = leading.pop() if len(leading) == 1 else None
    return only if isinstance(only, int) else 1


def leads_with_batch(spec: TensorSpec, signature: Signature) -> bool:
    """Whether many samples of this input may be stacked along its leading axis."""
    if not spec.shape:
        return False
    return isinstance(spec.shape[0], int) or spec.shape[0] == batch_symbol(signature)
