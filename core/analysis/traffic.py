"""How many bytes layers read and write: of the tensors between them, and of the constants that they read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from core.base.dtypes import array_bytes
from core.base.units import NOT_TOLD, plural, size
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor

OPEN_NOTE = "This engine leaves lengths open; bytes are at the usual ones that it was built for."
# They move nothing: names for tensors that lie where they lay, constants, room for tensors, and what orders streams or layers.
_IDLE = frozenset({"noop", "constant", "signal", "wait", "shape_call", "allocate", "deallocate", "jmp", "cjmp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Bytes that layers read and write, whether from memory or a cache; a tensor counts for each layer that touches it.

    Attributes:
        bytes: Of the tensors whose size is told.
        tensors: How many those are.
        open: Some of them have an open length, which has its usual value here.
        untold: How many others do not tell their size.
    """

    bytes: int = 0
    tensors: int = 0
    open: bool = False
    untold: int = 0

    def __add__(self, other: Moved) -> Moved:
        return Moved(
            bytes=self.bytes + other.bytes,
            tensors=self.tensors + other.tensors,
            open=self.open or other.open,
            untold=self.untold + other.untold,
        )

    @property
    def known(self) -> int | None:
        """The bytes; None where no tensor tells its size."""
        return self.bytes if self.tensors or not self.untold else None

    @property
    def text(self) -> str:
        """`41.2 MB`, `41.2 MB and 3 tensors that do not tell their size`, or `not told`."""
        if self.known is None:
            return NOT_TOLD
        return size(self.bytes) + (f" and {plural(self.untold, 'tensor')} whose size is not told" if self.untold else "")

    def told(self, what: str) -> str:
        """`41.2 MB are written and read`, or `how many bytes are written and read is not told`."""
        return f"how many bytes {what} is {NOT_TOLD}" if self.known is None else f"{self.text} {what}"


class Traffic:
    """Sizes of one engine's tensors, at the usual lengths of what it leaves open."""

    def __init__(self, graph: EngineGraph) -> None:
        self.layers = tuple(layer for layer in graph.layers if moves(layer))
        self.total = self.of(self.layers)

    def of(self, layers: Iterable[Layer]) -> Moved:
        """What these layers read and write; those that move nothing are left out."""
        return self.tensors(tensor for layer in layers if moves(layer) for tensor in (*layer.inputs, *layer.outputs))

    def tensors(self, tensors: Iterable[LayerTensor]) -> Moved:
        found = Moved()
        for tensor in tensors:
            told = array_bytes(tensor.shape, tensor.dtype)
            found += Moved(untold=1) if told is None else Moved(bytes=told, tensors=1, open=tensor.lengths is not None)
        return found

    def elements(self, tensor: LayerTensor) -> int | None:
        """How many a tensor has; None when it is not told."""
        return None if tensor.shape is None else math.prod(tensor.shape)


def moves(layer: Layer) -> bool:
    """Whether a layer reads or writes anything."""
    return layer.kind.lower() not in _IDLE


def weight_bytes(layers: Iterable[Layer]) -> int | None:
    """Of the constants that layers read; None when none tells."""
    told = [layer.weight_bytes for layer in layers if layer.weight_bytes is not None]
    return sum(told) if told else None
