"""Layers that only change how tensors lie in memory, those of constants among them."""

from __future__ import annotations

from collections.abc import Iterator

from core.analysis.finding import Finding, FindingKind
from core.analysis.kernels import brings_from_quantized, brings_to_quantized, is_reformat_kind, mixes_floats, nodes_of, only_moves
from core.analysis.traffic import Traffic
from core.graph.engine_graph import EngineGraph, Layer

LAYOUTS = "They stand where neighbours want other layouts: look at the layers beside them, and at transposes in the source."
CONSTANTS = (
    "Constants that reach their layer through other nodes, such as biases behind Identity, are no weights to the builder: "
    "simplify the graph, which folds them, and build again."
)


def find(graph: EngineGraph, traffic: Traffic) -> Iterator[Finding]:
    layers = [layer for layer in graph.layers if _only_reformats(layer)]
    if not layers:
        return
    made_of = {tensor.name: layer.kind.lower() for layer in graph.layers for tensor in layer.outputs}
    constants = sum(bool(layer.inputs) and all(made_of.get(one.name) == "constant" for one in layer.inputs) for layer in layers)
    moved = traffic.of(layers)
    bytes_told = f": {moved.text} are read and written" if moved.known is not None and moved.tensors else ""
    of_constants = f", {constants} of them that of constants" if constants else ""
    yield Finding(
        kind=FindingKind.REFORMATS,
        message=f"{len(layers)} of {len(graph.layers)} layers only change the memory layout{of_constants}{bytes_told}.",
        hint=CONSTANTS if 2 * constants > len(layers) else LAYOUTS,
        layers=tuple(layer.name for layer in layers),
        nodes=nodes_of(graph, layers),
        moved=moved,
    )


def _only_reformats(layer: Layer) -> bool:
    """Those that change the type too are told elsewhere."""
    changes_type = brings_to_quantized(layer) or brings_from_quantized(layer) or mixes_floats(layer)
    return not changes_type and (is_reformat_kind(layer) or only_moves(layer))
