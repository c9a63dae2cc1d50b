"""Which source nodes ONNX Runtime's layers can carry out, by the values that they read and write.

Every tensor of the source graph, run as it stands, against every tensor of the optimised graph, run as it stands: where two
are equal, the layers between one equal tensor and the next carry out what lies between those in the source graph, whatever
anything is called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from bench.mapping.rules import Misplaced
from core.backends.onnxruntime._layers import layer_names
from core.base.tensors import Array
from core.graph.engine_graph import EngineGraph, SourceNode
from core.graph.source import SourceGraph, drop_fed_weights
from core.onnxio.walk import name_nodes

_RELATIVE = 2e-3
_FAR = 1e-4  # of the largest value
_TELLING = 4  # elements: fewer are equal by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Layers between tensors of which values are known, and the source nodes that can lie in them."""

    layers: frozenset[str]
    nodes: frozenset[str]


def regions(model: Path, engine: Path, source: SourceGraph, inputs: Mapping[str, Array]) -> list[Region]:
    """What ONNX Runtime's engine can carry out where.

    Args:
        model: What it was built from.
        engine: The optimised graph.
        source: The nodes of `model`, as the build named them.

    Returns:
        Those of which every end is known (a random value, a sequence or text is not) and that change values.
    """
    given = onnx.load(model)
    name_nodes(given)
    drop_fed_weights(given)
    built = onnx.load(engine)
    before, after = _all_values(given, model.parent, inputs), _all_values(built, engine.parent, inputs)
    alike = _Alike(before)
    same = {name: alike.of(value) for name, value in after.items() if name in before or value.size >= _TELLING}
    same |= {value.name: {value.name} | same.get(value.name, set()) for value in built.graph.input}
    names = layer_names(built.graph)
    same |= {tensor.name: alike.of(numpy_helper.to_array(tensor)) for tensor in built.graph.initializer if tensor.name in before}
    known = {name for name, found in same.items() if found}
    ends = {value.name for value in built.graph.output} | _unread(built.graph.node)
    groups = (
        group
        for group in _groups(built.graph.node, known)
        if known.issuperset(ends.intersection(name for place in group for name in built.graph.node[place].output if name))
    )
    found = (_region(group, built.graph.node, names, same, source, before.keys()) for group in groups)
    return [region for region in found if region]


def misplaced_by_value(graph: EngineGraph, found: Sequence[Region]) -> list[Misplaced]:
    """Nodes in layers that cannot carry them out."""
    able = {layer: region.nodes for region in found for layer in region.layers}
    return [
        Misplaced(node=name, layer=layer.name, rule="other values", why="what the layer reads and writes does not enclose it")
        for layer in graph.layers
        for name in layer.source_nodes
        if layer.name in able and name not in able[layer.name]
    ]


def _all_values(model: onnx.ModelProto, folder: Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every tensor of the main graph, by name."""
    import onnxruntime

    known = {value.name for value in model.graph.output}
    made = [name for node in model.graph.node for name in node.output if name and name not in known]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    fed = {value.name: inputs[value.name] for value in session.get_inputs()}
    values = session.run(names, fed)
    return {name: value for name, value in zip(names, values, strict=True) if isinstance(value, np.ndarray)} | fed


class _Alike:
    """The source's tensors by their values."""

    def __init__(self, values: Mapping[str, Array]) -> None:
        self._by_size: dict[tuple[int, bool], list[tuple[str, Array]]] = defaultdict(list)
        for name, value in values.items():
            if value.dtype.kind in "biuf":
                self._by_size[value.size, value.dtype.kind == "f"].append((name, _flat(value)))

    def of(self, value: Array) -> set[str]:
        if value.dtype.kind not in "biuf" or not value.size:
            return set()
        flat = _flat(value)
        return {name for name, other in self._by_size[value.size, value.dtype.kind == "f"] if _equal(flat, other)}


def _flat(value: Array) -> Array:
    return value.ravel().astype(np.float64)


def _equal(one: Array, other: Array) -> bool:
    finite = np.abs(other[np.isfinite(other)])
    return bool(np.allclose(one, other, rtol=_RELATIVE, atol=_FAR * float(finite.max(initial=0.0)), equal_nan=True))


def _groups(nodes: Sequence[Any], known: set[str]) -> list[list[int]]:
    """Places of the nodes that hand tensors of unknown values to each other, put together."""
    maker = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    group = list(range(len(nodes)))

    def first(place: int) -> int:
        while group[place] != place:
            place = group[place]
        return place

    for place, node in enumerate(nodes):
        for name in node.input:
            if name in maker and name not in known:
                one, other = sorted((first(maker[name]), first(place)))
                group[other] = one
    found: dict[int, list[int]] = defaultdict(list)
    for place in range(len(nodes)):
        found[first(place)].append(place)
    return list(found.values())


def _unread(nodes: Sequence[Any]) -> set[str]:
    return {name for node in nodes for name in node.output if name} - {name for node in nodes for name in node.input}


def _region(
    places: Iterable[int],
    nodes: Sequence[Any],
    names: Sequence[str],
    same: Mapping[str, set[str]],
    source: SourceGraph,
    named: Collection[str],
) -> Region | None:
    """None of layers that hand values on within a node that became several: nothing tells those apart from the ones around."""
    inside = list(places)
    made = {name for place in inside for name in nodes[place].output if name}
    read = {name for place in inside for name in nodes[place].input if name and name not in made}
    ends = {tensor for name in made for tensor in same.get(name, ())}
    starts = {tensor for name in read for tensor in same.get(name, ())}
    if ends <= starts and made.isdisjoint(named):
        return None
    return Region(
        layers=frozenset(names[place] for place in inside),
        nodes=frozenset(node.name for node in _between(starts, ends, source)),
    )


def _between(starts: set[str], ends: set[str], source: SourceGraph) -> list[SourceNode]:
    """The nodes on the way back from some tensors to others of known values; those that only hand values on count as within."""
    maker = {tensor: node for node in source.nodes for tensor in node.outputs}
    found: dict[str, SourceNode] = {}
    pending = [maker[tensor] for tensor in ends if tensor in maker]
    while pending:
        node = pending.pop()
        if node.name in found:
            continue
        found[node.name] = node
        for tensor in node.inputs:
            before = maker.get(tensor)
            if before and (tensor not in starts or starts.intersection(before.inputs)):
                pending.append(before)
    return list(found.values())
