"""Which TensorFlow ops went into which TRTEngineOp, and which stayed outside, from the converted GraphDef."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from typing import Any

from core.graph.engine_graph import EngineGraph, Fate, Layer, LayerTensor, LooseNode, SourceNode

ENGINE_OP = "TRTEngineOp"
# What TF-TRT adds around a segment, and what holds no computation of the model.
_PLUMBING = ("TensorRTInputPH_", "TensorRTOutputPH_", "TensorRT-Dummy-ConstantNode")
_NEVER_CONVERTED = {
    "Placeholder": "It is an input of the model.",
    "_Arg": "It is an input of the model.",
    "_Retval": "It is an output of the model.",
    "NoOp": "It computes nothing.",
    "Const": "It is a constant that an op outside the engines needs.",
    "Identity": "It passes a tensor to an output.",
}
_PASSING = ("Identity", "IdentityN", "NoOp", "StopGradient", "PreventGradient", "Snapshot", "ReadVariableOp")
_CONVERTIBLE = "TF-TRT could convert it, but found too few others to go with it into one engine (minimum_segment_size)."
_UNTOLD = "TF-TRT did not say why."
_AT = ", at "
_ONE_BATCH_AXIS = ("implicit batch mode", "explicit batch mode")
# By op type, the reasons not to convert it, and how many ops each holds for.
Reasons = Mapping[str, Mapping[str, int]]


def source_nodes(graph_def: Any) -> tuple[SourceNode, ...]:
    """The nodes of the frozen graph that TF-TRT was given."""
    return tuple(
        SourceNode(
            name=node.name,
            op=node.op,
            inputs=tuple(_tensor(name) for name in node.input if not name.startswith("^")),
            outputs=(node.name,),
        )
        for node in graph_def.node
    )


def segments(graph_def: Any) -> dict[str, tuple[Any, ...]]:
    """The `NodeDef`s inside each TRTEngineOp, by its name."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    found = {}
    for node in graph_def.node:
        if node.op != ENGINE_OP:
            continue
        name = node.attr["segment_func"].func.name or f"{node.name}_native_segment"
        inside = functions[name].node_def if name in functions else ()
        found[node.name] = tuple(inner for inner in inside if not inner.name.startswith(_PLUMBING))
    return found


def engine_graph(source: tuple[SourceNode, ...], converted: Any, reasons: Reasons) -> EngineGraph:
    """The converted graph: an engine is one layer, every op outside the engines another.

    Args:
        source: `source_nodes` of the graph before.
        converted: The converted GraphDef.
        reasons: TF-TRT's reasons by op type, from `read_report`.
    """
    order = {node.name: index for index, node in enumerate(source)}
    inside = segments(converted)
    outside = Counter(node.op for node in converted.node)
    layers = []
    for node in converted.node:
        if node.op == ENGINE_OP:
            nodes = tuple(sorted({inner.name for inner in inside[node.name]} & set(order), key=order.__getitem__))
            layers.append(_engine_layer(node, nodes, Counter(inner.op for inner in inside[node.name])))
        elif node.op != "Const":
            layers.append(_outside_layer(node, order, _why(node, outside[node.op], reasons)))
    homes = {name: index for index, layer in enumerate(layers) for name in layer.source_nodes}
    constant = _constants(source)
    ends = _ends(source, homes)
    absorbed = _absorbed(source, ends, homes.keys() | constant)
    layers = [_with_nodes(layer, absorbed.get(index, ()), order) for index, layer in enumerate(layers)]
    placed = {name for layer in layers for name in layer.source_nodes}
    kept = {node.name for node in converted.node}
    engines = {index: layer for index, layer in enumerate(layers) if layer.kind == ENGINE_OP}
    loose = tuple(
        _loose(node, kept=node.name in kept, constant=node.name in constant, in_engines=bool(engines.keys() & ends[node.name]))
        for node in source
        if node.name not in placed
    )
    run_there = sum(len(engine.source_nodes) for engine in engines.values())
    notes = [f"{run_there} of {len(source)} TensorFlow nodes run in {len(engines)} TensorRT engines."]
    if held := _held_by_one_batch_axis(reasons):
        notes.append(
            f"{held} ops stay with TensorFlow because engines for one shape have an implicit batch axis. "
            "dynamic_shapes=true makes engines without one."
        )
    return EngineGraph(layers=tuple(layers), source_nodes=source, loose_nodes=loose, notes=tuple(notes))


def read_report(text: str) -> dict[str, dict[str, int]]:
    """TF-TRT's reasons not to convert ops, and how many ops each holds for, by op type.

    Args:
        text: Lines of op type, reason and count after a heading that shows what is between them, as
            `ExportNonConversionReportToCSV` in TensorFlow's tf2tensorrt/segment/segment.cc writes them.
    """
    heading, *lines = text.splitlines() or [""]
    between = heading.removeprefix("OP Name")[:1] or "|"
    reasons: dict[str, dict[str, int]] = {}
    for line in lines:
        op, _, rest = line.partition(between)
        reason, _, count = rest.rpartition(between)
        if reason and count.isdecimal() and int(count):
            reasons.setdefault(op, {})[reason] = int(count)
    return reasons


def _held_by_one_batch_axis(reasons: Reasons) -> int:
    """How many ops TF-TRT would take if its engines had no implicit batch axis, as far as it tells."""
    told = [(reason, count) for by_reason in reasons.values() for reason, count in by_reason.items()]
    return sum(count for reason, count in told if any(words in reason for words in _ONE_BATCH_AXIS))


def _engine_layer(node: Any, nodes: tuple[str, ...], ops: Counter[str]) -> Layer:
    attributes = {key: node.attr[key] for key in ("workspace_size_bytes", "max_cached_engines_count", "use_explicit_precision")}
    return Layer(
        name=node.name,
        kind=ENGINE_OP,
        precision={"FP32": "float32", "FP16": "float16", "INT8": "int8"}.get(node.attr["precision_mode"].s.decode()),
        inputs=_tensors(node.input),
        outputs=(LayerTensor(name=node.name),),
        source_nodes=nodes,
        attributes={
            "ops inside": ", ".join(f"{count} {op}" for op, count in ops.most_common()),
            **{key: str(value.i) for key, value in attributes.items() if value.WhichOneof("value") == "i"},
        },
    )


def _outside_layer(node: Any, order: Mapping[str, int], why: str) -> Layer:
    return Layer(
        name=node.name,
        kind=node.op,
        inputs=_tensors(node.input),
        outputs=(LayerTensor(name=node.name),),
        source_nodes=(node.name,) if node.name in order else (),
        attributes={"why not in an engine": why},
    )


def _why(node: Any, outside: int, reasons: Reasons) -> str:
    """Why an op is outside. TF-TRT names the op in some reasons; of others it tells how many of a type they hold for.

    Args:
        outside: How many ops of the node's type are outside.
    """
    if node.op in _NEVER_CONVERTED:
        return _NEVER_CONVERTED[node.op]
    told = reasons.get(node.op, {})
    named = {name: reason for reason, _, name in (text.rpartition(_AT) for text in told) if reason}
    if node.name in named:
        return _sentence(named[node.name])
    others = {reason: count for reason, count in told.items() if _AT not in reason}
    rest = outside - len(named) - sum(others.values())
    if len(others) == 1 and rest <= 0:
        return _sentence(*others)
    if not others:
        return _CONVERTIBLE if reasons else _UNTOLD
    parts = [f"{count} of these {node.op}: {_sentence(reason)}" for reason, count in others.items()]
    return " ".join([*parts, *([f"The other {rest}: {_CONVERTIBLE}"] if rest > 0 else [])])


def _sentence(reason: str) -> str:
    return reason if reason.endswith(".") else f"{reason}."


def _ends(source: tuple[SourceNode, ...], homes: Mapping[str, int]) -> dict[str, frozenset[int]]:
    """By node, the layers that compute it or, where its name is lost, what its output flows into through other such nodes."""
    consumers: dict[str, list[SourceNode]] = {}
    for node in source:
        for name in node.inputs:
            consumers.setdefault(name, []).append(node)
    found: dict[str, frozenset[int]] = {}
    for node in reversed(source):
        if node.name in homes:
            found[node.name] = frozenset((homes[node.name],))
        else:
            found[node.name] = frozenset(index for user in consumers.get(node.name, ()) for index in found.get(user.name, ()))
    return found


def _absorbed(
    source: tuple[SourceNode, ...], ends: Mapping[str, frozenset[int]], elsewhere: Set[str]
) -> dict[int, tuple[str, ...]]:
    """The nodes that lost their names, by the layer that computes them now.

    TensorFlow's optimizer folds a batch normalization into the convolution before it, and keeps the last name of the chain. So a
    node without a name left is computed where everything that its output flows into is computed.

    Args:
        elsewhere: Names of nodes that kept theirs or are constant.
    """
    found: dict[int, list[str]] = {}
    for node in reversed(source):
        if len(ends[node.name]) == 1 and node.name not in elsewhere and node.op not in _PASSING:
            found.setdefault(next(iter(ends[node.name])), []).append(node.name)
    return {index: tuple(names) for index, names in found.items()}


def _constants(source: tuple[SourceNode, ...]) -> frozenset[str]:
    """Constants, and what follows from constants alone."""
    found: set[str] = set()
    for node in source:
        if node.op == "Const" or (node.inputs and found.issuperset(node.inputs)):
            found.add(node.name)
    return frozenset(found)


def _with_nodes(layer: Layer, names: tuple[str, ...], order: Mapping[str, int]) -> Layer:
    if not names or layer.kind != ENGINE_OP:
        return layer
    return replace(layer, source_nodes=tuple(sorted({*layer.source_nodes, *names}, key=order.__getitem__)))


def _loose(node: SourceNode, *, kept: bool, constant: bool, in_engines: bool) -> LooseNode:
    """A node in no layer. `in_engines`: what it makes is needed in engines, so that one of them may compute it."""
    fate = Fate.UNMAPPED if in_engines else Fate.ELIMINATED
    reason = "TensorFlow's optimizer rewrote it before TF-TRT: no node of this name is left."
    if node.op == "Const":
        fate = Fate.FOLDED
        reason = "A constant outside the engines." if kept else "A constant: it became a weight of an engine."
    elif node.op in _PASSING:
        fate, reason = Fate.ELIMINATED, "It passes a tensor on unchanged."
    elif constant:
        fate, reason = Fate.FOLDED, "It follows from constants alone: TensorFlow's optimizer computed it."
    return LooseNode(name=node.name, op=node.op, fate=fate, reason=reason)


def _tensors(names: Iterable[str]) -> tuple[LayerTensor, ...]:
    return tuple(LayerTensor(name=_tensor(name)) for name in names if not name.startswith("^"))


def _tensor(name: str) -> str:
    return name.partition(":")[0]
