"""Requested against realized: which precision the graph asks each node for, and which one the engine ran it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from core.graph.engine_graph import EngineGraph, Layer
from core.onnxfile import dtype_name
from core.precision.quantize import WEIGHTED_OPS
from core.precision.view import GraphView

# Narrower types have higher numbers; what is not here (integers for indices, booleans) is no matter of precision.
_NARROWNESS = {"float64": 0, "float32": 1, "tf32": 2, "bfloat16": 3, "float16": 3, "float8_e4m3fn": 4, "int8": 4}
_ALIASES = {"uint8": "int8", "fp8": "float8_e4m3fn", "half": "float16", "float": "float32"}
_NAMED = 3  # nodes that a warning names
_SMALL = 0.01  # a share of the time that is worth no warning


def requested_types(model: onnx.ModelProto) -> dict[str, str]:
    """The type each node is asked to compute in, by node name; Q/DQ nodes, casts and nodes without floats are left out."""
    view = GraphView(model)
    found: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "Cast", "Constant"):
            continue
        quantized = [_quantized_type(name, view) for name in node.input[:2]] if node.op_type in WEIGHTED_OPS else [""]
        made = next((dtype_name(view.dtypes[name]) for name in node.output if name in view.dtypes), "")
        kind = _plain(quantized[0] if all(quantized) else made)
        if kind in _NARROWNESS:
            found[node.name] = kind
    return found


def _quantized_type(tensor: str, view: GraphView) -> str:
    """The type that a DQ behind a tensor reads, "" without one."""
    maker = view.producer.get(tensor)
    while maker is not None and maker.op_type in ("Cast", "Transpose", "Reshape"):
        maker = view.producer.get(maker.input[0])
    if maker is None or maker.op_type != "DequantizeLinear":
        return ""
    return dtype_name(view.dtypes.get(maker.input[0], onnx.TensorProto.INT8))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePrecision:
    """One source node.

    Attributes:
        realized: None when the engine does not tell, or the node is in no layer.
        layer: Where it went, None when it is in none.
        share: Of the profiled time that its layer took, split evenly over the layer's nodes; None when not measured.
    """

    node: str
    requested: str
    realized: str | None
    layer: str | None
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Realized:
    """The comparison.

    Attributes:
        time_shares: Of the profiled time, by the precision that layers ran in; empty when not measured.
        agreeing: Of the nodes whose layer tells its precision, the share that ran as asked.
    """

    nodes: tuple[NodePrecision, ...]
    time_shares: dict[str, float]
    agreeing: float | None
    warnings: tuple[str, ...]


def compare_precisions(requested: Mapping[str, str], graph: EngineGraph) -> Realized:
    """Compares what was asked with the layers' own precision.

    A layer is judged by the narrowest type among its nodes, as a ReLU fused into an INT8 convolution is not asked for on its
    own. Nor is it odd when a layer takes over a narrower type that the graph asks for elsewhere: runtimes move Q and DQ past
    pooling and transposes.

    Args:
        requested: From `requested_types` of the graph that the engine was built from.
        graph: The engine's layers, with times where they were measured.
    """
    total = sum(layer.time_ms or 0.0 for layer in graph.layers)
    nodes: list[NodePrecision] = []
    wider: dict[tuple[str, str], list[Layer]] = {}
    narrower: dict[tuple[str, str], list[Layer]] = {}
    agreeing = told = 0
    present = set(requested.values())
    for layer in graph.layers:
        inside = [name for name in layer.source_nodes if name in requested]
        realized = _plain(layer.precision)
        share = (layer.time_ms or 0.0) / total / max(len(inside), 1) if total else None
        nodes += [
            NodePrecision(node=name, requested=requested[name], realized=realized or None, layer=layer.name, share=share)
            for name in inside
        ]
        if not inside or realized not in _NARROWNESS:
            continue
        asked = max((requested[name] for name in inside), key=_NARROWNESS.__getitem__)
        told += len(inside)
        gap = _NARROWNESS[realized] - _NARROWNESS[asked]
        if gap == 0 or (gap > 0 and realized in present):
            agreeing += len(inside)
        else:
            (narrower if gap > 0 else wider).setdefault((asked, realized), []).append(layer)
    placed = {node.node for node in nodes}
    nodes += [
        NodePrecision(node=name, requested=kind, realized=None, layer=None, share=None)
        for name, kind in requested.items()
        if name not in placed
    ]
    warnings = [_warning(*pair, layers, total, requested) for group in (wider, narrower) for pair, layers in group.items()]
    shares: dict[str, float] = {}
    for layer in graph.layers:
        if total and layer.time_ms:
            kind = _plain(layer.precision) or "unknown"
            shares[kind] = shares.get(kind, 0.0) + layer.time_ms / total
    return Realized(
        nodes=tuple(nodes),
        time_shares=shares,
        agreeing=agreeing / told if told else None,
        warnings=tuple(text for text in warnings if text),
    )


def _plain(precision: str | None) -> str:
    return _ALIASES.get(precision, precision) if precision else ""


def _warning(asked: str, realized: str, layers: list[Layer], total: float, requested: Mapping[str, str]) -> str:
    share = sum(layer.time_ms or 0.0 for layer in layers) / total if total else None
    if share is not None and share < _SMALL:
        return ""
    names = [name for layer in layers for name in layer.source_nodes if name in requested]
    listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    spent = "" if share is None else f", {share:.0%} of the time"
    return f"{len(layers)} layers asked for in {asked} ran in {realized}{spent}: {listed}."
