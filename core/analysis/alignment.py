"""Two engines of one model whose graphs share no node: layers that match by their names or shapes, and the stretches between.

A runtime that reads a SavedModel by itself names its operations otherwise than a converter does. What both engines have are names
of the SavedModel in places, and convolutions and products of the same shapes in the same order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from core.graph.engine_graph import EngineGraph, Layer

# What converters and inliners put around a SavedModel's own names.
_AROUND = re.compile(r"^(?:(?:Stateful)?PartitionedCall(?:_\d+)?/)+|(?::\d+|__\d+)$")
_HEAVY = {
    "conv": re.compile("conv", re.IGNORECASE),
    "product": re.compile("matmul|gemm|fully_?connected|dot", re.IGNORECASE),
}
# Of the layers that compute most, so many must match for the stretches between them to mean anything.
ENOUGH = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Layers of both engines up to and with the next ones that match.

    Attributes:
        title: What ends it, in the words of A; of the last, what comes after.
    """

    title: str
    a: tuple[Layer, ...]
    b: tuple[Layer, ...]


def stretches(a: EngineGraph, b: EngineGraph) -> tuple[Stretch, ...]:
    """Both engines cut where they match, in execution order; empty where too little does."""
    pairs = list(_matches(a.layers, b.layers))
    if not pairs or not _enough(a, b, pairs):
        return ()
    found, at_a, at_b = [], 0, 0
    ops = {node.name: node.op for node in a.source_nodes}
    for one, other in pairs:
        ending = a.layers[one]
        kinds = " + ".join(dict.fromkeys(ops[name] for name in ending.source_nodes if name in ops)) or ending.kind
        found.append(Stretch(title=f"up to {kinds}", a=a.layers[at_a : one + 1], b=b.layers[at_b : other + 1]))
        at_a, at_b = one + 1, other + 1
    if a.layers[at_a:] or b.layers[at_b:]:
        found.append(Stretch(title="after the last that match", a=a.layers[at_a:], b=b.layers[at_b:]))
    return tuple(found)


def _matches(a: Sequence[Layer], b: Sequence[Layer]) -> Iterator[tuple[int, int]]:
    """Places of layers that match, in the order of both."""
    shared = _names_once(a) & _names_once(b)
    keys = [[_key(layer, shared) for layer in layers] for layers in (a, b)]
    places = [[place for place, key in enumerate(own) if key] for own in keys]
    told = [[own[place] for place in at] for own, at in zip(keys, places, strict=True)]
    for block in SequenceMatcher(None, told[0], told[1], autojunk=False).get_matching_blocks():
        for offset in range(block.size):
            yield places[0][block.a + offset], places[1][block.b + offset]


def _enough(a: EngineGraph, b: EngineGraph, pairs: Sequence[tuple[int, int]]) -> bool:
    heavy = [{place for place, layer in enumerate(graph.layers) if _heavy(layer)} for graph in (a, b)]
    matched = [{pair[side] for pair in pairs} for side in (0, 1)]
    most = max(map(len, heavy))
    return most > 0 and min(len(own & at) for own, at in zip(heavy, matched, strict=True)) >= ENOUGH * most


def _key(layer: Layer, shared: frozenset[str]) -> tuple[object, ...] | None:
    """What a layer is matched by: a convolution's or product's kind and its output's lengths in any order, else a name."""
    if kind := _heavy(layer):
        shape = layer.outputs[0].shape if layer.outputs else None
        return (kind, tuple(sorted(length for length in shape if length > 1))) if shape else None
    names = [name for name in _names(layer) if name in shared]
    return ("name", names[-1]) if names else None


def _heavy(layer: Layer) -> str:
    return next((kind for kind, pattern in _HEAVY.items() if pattern.search(layer.kind)), "")


def _names(layer: Layer) -> list[str]:
    return [_AROUND.sub("", name) for name in layer.source_nodes]


def _names_once(layers: Sequence[Layer]) -> frozenset[str]:
    counts = Counter(name for layer in layers for name in dict.fromkeys(_names(layer)))
    return frozenset(name for name, count in counts.items() if count == 1)
