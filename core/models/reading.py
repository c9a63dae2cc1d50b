"""What a format's reader finds out about a model, before it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.base.tensors import Signature
from core.models.weights import WeightTotal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The facts of `Model` that only the format's reader can tell; `weights` is None when it cannot."""

    signatures: tuple[Signature, ...]
    producer: str | None = None
    opset: int | None = None
    weights: WeightTotal | None = None
    ops: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def most_frequent_first(ops: Mapping[str, int]) -> dict[str, int]:
    """The counts in the order to show them in; equally frequent ops by name."""
    return dict(sorted(ops.items(), key=lambda item: (-item[1], item[0])))
