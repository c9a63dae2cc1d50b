"""Walks TensorFlow graphs back from their outputs: which weights and ops a signature reaches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.base.dtypes import tensorflow_dtype
from core.models.tf_schema import shape_of
from core.models.weights import WeightTotal

VARIABLES = ("VarHandleOp", "VariableV2", "Variable", "AutoReloadVariable")
REFERENCES = ("VariableV2", "Variable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What lies behind some outputs.

    Attributes:
        weights: Variables and constants, each counted once.
        unsized: Names of variables that do not tell their shape; not in `weights`.
        ops: Each op of the graph and of every function it calls, a function counted once.
    """

    weights: WeightTotal
    unsized: tuple[str, ...]
    ops: dict[str, int]


def node_name(tensor: str) -> str:
    """The node that makes a tensor ("scope/op:1", "scope/op:out:0" in functions, or a bare node name)."""
    return tensor.partition(":")[0]


def tensor_name(name: str) -> str:
    """A tensor's full name; a bare node name means the node's first output."""
    return name if ":" in name else f"{name}:0"


def trace(graph: Any, outputs: Iterable[str], inputs: Iterable[str] = ()) -> Reached:
    """Follows a `GraphDef` back from tensor names to `inputs`, through every function called.

    What is fed is no part of it, whatever would make it otherwise: a constant, a parser of examples. Control inputs are not
    followed: they order side effects and carry no weights.
    """
    inputs = tuple(inputs)
    fed = {node_name(tensor) for tensor in inputs}
    functions = {function.signature.name: function for function in graph.library.function}
    weights = WeightTotal()
    unsized: list[str] = []
    ops: Counter[str] = Counter()
    for node in _reached_nodes(graph, functions, outputs, inputs):
        if node.name in fed and not node.op.startswith("Placeholder"):
            continue
        ops[node.op] += 1
        if node.op in VARIABLES:
            shape = shape_of(node.attr["shape"].shape)
            if shape is None or None in shape:
                unsized.append(node.name)
            else:
                dtype = tensorflow_dtype(node.attr["dtype"].type)
                learned = dtype.startswith(("float", "bfloat"))  # a counter or a seed is a variable too
                weights = weights.plus(dtype, [axis or 0 for axis in shape], certain=learned)
        elif node.op == "Const":
            tensor = node.attr["value"].tensor
            weights = weights.plus(tensorflow_dtype(tensor.dtype), [axis or 0 for axis in shape_of(tensor.tensor_shape) or ()])
    return Reached(weights=weights, unsized=tuple(unsized), ops=dict(ops))


def _reached_nodes(graph: Any, functions: Mapping[str, Any], outputs: Iterable[str], inputs: Iterable[str]) -> Iterator[Any]:
    called: dict[str, None] = {}
    for node in nodes_behind(graph.node, outputs, inputs):
        yield node
        called.update(dict.fromkeys(_calls(node, functions)))
    done: set[str] = set()
    while called:
        name, _ = called.popitem()
        done.add(name)
        function = functions[name]
        for node in nodes_behind(function.node_def, function.ret.values()):
            yield node
            called.update((callee, None) for callee in _calls(node, functions) if callee not in done)


def nodes_behind(nodes: Iterable[Any], outputs: Iterable[str], inputs: Iterable[str] = ()) -> Iterator[Any]:
    """The nodes that some tensors depend on, followed back to `inputs` (whose own nodes come, and no further)."""
    by_name = {node.name: node for node in nodes}
    stops = {node_name(tensor) for tensor in inputs}
    seen = {node_name(output) for output in outputs}
    pending = sorted(seen)
    while pending:
        node = by_name.get(pending.pop())
        if node is None:  # a function's argument
            continue
        yield node
        for tensor in () if node.name in stops else node.input:
            if not tensor.startswith("^") and (name := node_name(tensor)) not in seen:
                seen.add(name)
                pending.append(name)


def part_behind(graph: Any, outputs: Iterable[str], inputs: Iterable[str] = ()) -> Any:
    """A `GraphDef` of what `nodes_behind` gives, in the graph's own order, with the functions it may call."""
    wanted = {node.name for node in nodes_behind(graph.node, outputs, inputs)}
    found = type(graph)(library=graph.library)
    found.node.extend(node for node in graph.node if node.name in wanted)
    return found


def all_nodes(graph: Any) -> Iterator[Any]:
    """Nodes of a `GraphDef`, and of its functions."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _calls(node: Any, functions: Mapping[str, Any]) -> Iterator[str]:
    """Functions a node calls: named by an attribute (PartitionedCall, While, If), or by its op itself."""
    named = [node.op]
    for value in node.attr.values():
        named.append(value.func.name)
        named.extend(func.name for func in value.list.func)
    yield from (name for name in named if name in functions)
