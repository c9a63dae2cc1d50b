"""ONNX Runtime's optimised graph as layers: what each carries out, and what a profiled run tells of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from core.backends.onnxruntime._claims import BLOCKED_DOMAIN, Claims, only_moves
from core.backends.onnxruntime._sessions import OnnxRuntimeSession
from core.base.dtypes import worded_dtype
from core.base.profile import Point, ShapeProfile
from core.base.tensors import Signature, Tensors
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor
from core.graph.mapping import EngineFacts, with_sources
from core.graph.source import SourceGraph
from core.onnxio.walk import captured, initializers

_WARM_UP_RUNS = 3
_CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One layer in a profiled run: how long each pass took, and its outputs.

    Attributes:
        index: The node's place in the graph.
        times_us: Microseconds, one entry a pass.
        outputs: Type and shape of each output that there is.
    """

    index: int
    provider: str
    times_us: list[int] = field(default_factory=list)
    inputs: list[tuple[str, tuple[int, ...]]]
    outputs: list[tuple[str, tuple[int, ...]]]


def fixed_axes(model: onnx.ModelProto, signature: Signature, profile: ShapeProfile) -> dict[str, int]:
    """The file's own symbols of dynamic axes for which the profile allows one length only."""
    specs = {spec.name: spec.shape for spec in signature.inputs if spec.shape is not None}
    found = {}
    for value in model.graph.input:
        for axis, dim in zip(specs.get(value.name, ()), value.type.tensor_type.shape.dim, strict=False):
            if isinstance(axis, str) and dim.dim_param and profile.length(axis, Point.MIN) == profile.length(axis, Point.MAX):
                found[str(dim.dim_param)] = profile.length(axis)
    return found


def engine_graph(
    graph: onnx.GraphProto, source: SourceGraph, signature: Signature, seen: Sequence[Seen], notes: tuple[str, ...]
) -> EngineGraph:
    """Layers in the order in which they ran, with the source nodes in each.

    Args:
        graph: The optimised graph, as saved.
        seen: What a trial run at the profile's opt point showed; empty when it failed.
    """
    names = layer_names(graph)
    of_graph = _of_graph(graph, seen)
    if further := len(seen) - len(of_graph):
        notes = (*notes, f"ONNX Runtime added {further} nodes when it loaded the engine, which are in no layer.")
    seen = of_graph
    by_index = {layer.index: layer for layer in seen}
    known = _tensors(graph, signature, by_index)
    order = [layer.index for layer in seen] or list(range(len(graph.node)))
    order += [index for index in range(len(graph.node)) if index not in set(order)]
    layers = [_layer(names[index], graph.node[index], by_index.get(index), known) for index in order]
    found = Claims(source, graph)
    claims = dict(zip(names, found.of_all(graph.node), strict=True))
    apart = [name for name, node in zip(names, graph.node, strict=True) if not claims[name] and only_moves(node)]
    held = [tensor.name for tensor in initializers(graph)]
    held += [tensor for node in source.nodes if node.op == "Constant" for tensor in node.outputs]
    known_as = {tensor: found.source_name(tensor) for node in graph.node for tensor in node.output}
    return with_sources(layers, source, claims, notes, EngineFacts(apart=apart, held=held, known_as=known_as))


def layer_names(graph: onnx.GraphProto) -> list[str]:
    """A unique name for each node of the optimised graph, its own where it has one."""
    names: list[str] = []
    taken = set()
    for index, node in enumerate(graph.node):
        name = node.name or f"{node.op_type}_{index}"
        while name in taken:
            name = f"{name}#{index}"
        taken.add(name)
        names.append(name)
    return names


def _layer(name: str, node: onnx.NodeProto, seen: Seen | None, known: Mapping[str, LayerTensor]) -> Layer:
    attributes = {"domain": node.domain or "ai.onnx"}
    if seen:
        attributes["provider"] = seen.provider
    attributes.update(_told(attribute) for attribute in node.attribute if not attribute.HasField("g"))
    outputs = tuple(known[tensor] for tensor in node.output if tensor)
    return Layer(
        name=name,
        kind=node.op_type,
        precision=_precision(seen),
        inputs=tuple(known[tensor] for tensor in dict.fromkeys((*node.input, *captured(node))) if tensor in known),
        outputs=outputs,
        attributes=attributes,
    )


def _told(attribute: onnx.AttributeProto) -> tuple[str, str]:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return attribute.name, value.decode(errors="replace")
    if isinstance(value, onnx.TensorProto):
        return attribute.name, f"tensor {list(value.dims)}"
    return attribute.name, str(list(value) if attribute.type == onnx.AttributeProto.INTS else value)


def _precision(seen: Seen | None) -> str | None:
    """The type it computes in: that of its first input when this is quantized, else of its output."""
    if seen is None or not seen.outputs:
        return None
    first = seen.inputs[0][0] if seen.inputs else ""
    return first if first in ("int8", "uint8") else seen.outputs[0][0]


def _tensors(graph: onnx.GraphProto, signature: Signature, seen: Mapping[int, Seen]) -> dict[str, LayerTensor]:
    """Everything that layers hand to each other, by name; weights are not among them."""
    known = {spec.name: LayerTensor(name=spec.name, dtype=spec.dtype) for spec in signature.inputs}
    for index, node in enumerate(graph.node):
        outputs = [tensor for tensor in node.output if tensor]
        told = seen[index].outputs if index in seen else []
        blocked = node.domain == BLOCKED_DOMAIN and node.op_type != "ReorderOutput"
        for place, tensor in enumerate(outputs):
            dtype, shape = told[place] if len(told) == len(outputs) else (None, None)
            known[tensor] = LayerTensor(name=tensor, dtype=dtype, shape=shape, format="NCHWc" if blocked else None)
        if index in seen and len(seen[index].inputs) == len([tensor for tensor in node.input if tensor]):
            for tensor, (dtype, shape) in zip((t for t in node.input if t), seen[index].inputs, strict=True):
                if tensor in known and known[tensor].shape is None:
                    known[tensor] = LayerTensor(name=tensor, dtype=dtype, shape=shape, format=known[tensor].format)
    return known


def profiled(load: Callable[[Path], OnnxRuntimeSession], inputs: Tensors, runs: int) -> list[Seen]:
    """Layers in the order in which they ran first, with the times of the last `runs` runs and a few before."""
    with tempfile.TemporaryDirectory(prefix="ort-profile-") as folder:
        session = load(Path(folder) / "profile")
        try:
            for _ in range(runs + _WARM_UP_RUNS):
                session.run(inputs)
            events = json.loads(session.end_profiling().read_text(encoding="utf-8"))
        finally:
            session.close()
    return list(_layers_seen(events))


def mean_times(graph: onnx.GraphProto, seen: Sequence[Seen], runs: int) -> dict[str, float]:
    """Mean milliseconds of the last `runs` runs, by layer name."""
    names = layer_names(graph)
    told = _of_graph(graph, seen)
    return {names[layer.index]: sum(layer.times_us[-runs:]) / len(layer.times_us[-runs:]) / 1000 for layer in told}


def _of_graph(graph: onnx.GraphProto, seen: Sequence[Seen]) -> list[Seen]:
    """Without the nodes that ONNX Runtime adds behind the saved ones when it loads them."""
    return [layer for layer in seen if layer.index < len(graph.node)]


def _layers_seen(events: Sequence[Mapping[str, Any]]) -> Iterator[Seen]:
    kernels = [event for event in events if event.get("cat") == "Node" and str(event["name"]).endswith("_kernel_time")]
    kernels.sort(key=lambda event: (event["ts"], -event["dur"]))
    found: dict[int, Seen] = {}
    inside_until = -1
    for event in kernels:
        told = event["args"]
        if event["ts"] < inside_until:  # a node of the branch or the body that a control flow node runs
            continue
        if told["op_name"] in _CONTROL_FLOW:
            inside_until = event["ts"] + event["dur"]
        index = int(told["node_index"])
        if index not in found:
            found[index] = Seen(
                index=index,
                provider=told["provider"],
                inputs=_types_and_shapes(told.get("input_type_shape", [])),
                outputs=_types_and_shapes(told.get("output_type_shape", [])),
            )
        found[index].times_us.append(event["dur"])
    yield from found.values()


def _types_and_shapes(told: Sequence[Mapping[str, Sequence[int]]]) -> list[tuple[str, tuple[int, ...]]]:
    return [(worded_dtype(dtype) or dtype, tuple(shape)) for entry in told for dtype, shape in entry.items()]
