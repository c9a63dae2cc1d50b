"""The source nodes of a TensorFlow function: its graph with every call and every branch opened up.

Names follow those that TensorFlow's own inliner gives ("call/node", "cond/then/node", "while/body/node"), so that an
executed node can be found again; `Naming` shortens them for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.base.dtypes import tensorflow_dtype
from core.graph.engine_graph import SourceNode

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Attributes that hold the functions of a control flow op, and the scope the inliner gives each.
_BRANCHES: dict[str, tuple[tuple[str, str], ...]] = {
    "If": (("then_branch", "then"), ("else_branch", "else")),
    "StatelessIf": (("then_branch", "then"), ("else_branch", "else")),
    "While": (("cond", "cond"), ("body", "body")),
    "StatelessWhile": (("cond", "cond"), ("body", "body")),
}
# What brings values from one place or type to another.
_MOVING = frozenset(
    {"Cast", "ReadVariableOp", "Identity", "IdentityN", "Reshape", "Transpose", "Squeeze", "ExpandDims", "ConcatV2"}
)
# A graph's ends and its data: no work of their own.
_NOT_NODES = ("Placeholder", "_Arg", "_Retval", "Const", "NoOp")

_COUNTED_SCOPE = re.compile(r"/(then|else|cond|body)/_\d+(?=/)")
_CALL_SCOPES = re.compile(r"^(?:(?:Stateful)?PartitionedCall/)+")


def source_nodes(graph: Any) -> tuple[SourceNode, ...]:
    """Every node of a `GraphDef` that does work; inputs are names of nodes and of the graph's placeholders."""
    functions = {function.signature.name: function for function in graph.library.function}
    opened = _Opened(functions=functions)
    opened.add(graph.node, scope="", arguments={})
    return tuple(opened.as_source_nodes())


def called(source: Iterable[SourceNode], caller: Any) -> tuple[SourceNode, ...]:
    """Source nodes as the inliner names them once `caller`, a `GraphDef`, has called the function that they are in."""
    scope = next(f"{node.name}/" for node in caller.node if node.op in _CALLS)
    return tuple(
        SourceNode(
            name=scope + node.name,
            op=node.op,
            inputs=tuple(scope + name for name in node.inputs),
            outputs=tuple(scope + name for name in node.outputs),
            own=node.own,
        )
        for node in source
    )


def plain_name(name: str) -> str:
    """An executed node's name without the numbers that the inliner puts after a branch's scope."""
    return _COUNTED_SCOPE.sub(r"/\1", name)


def ancestors(source: Mapping[str, SourceNode], names: Iterable[str]) -> set[str]:
    """These nodes and all they need."""
    seen: set[str] = set()
    pending = list(names)
    while pending:
        node = source.get(pending.pop())
        if node and node.name not in seen:
            seen.add(node.name)
            pending.extend(node.inputs)
    return seen


class Naming:
    """Short names for nodes: without the scopes of enclosing calls, wherever that is still unique."""

    def __init__(self, names: Iterable[str]) -> None:
        short: dict[str, list[str]] = {}
        for name in dict.fromkeys(names):
            short.setdefault(_CALL_SCOPES.sub("", name), []).append(name)
        self._short = {full[0]: name for name, full in short.items() if len(full) == 1}

    def __call__(self, name: str) -> str:
        return self._short.get(name, name)


@dataclass(slots=True)
class _Opened:
    """Nodes collected so far, by full name: their op and the nodes whose results they read."""

    functions: Mapping[str, Any]
    ops: dict[str, str] = field(default_factory=dict)
    types: dict[str, str | None] = field(default_factory=dict)
    inputs: dict[str, list[str]] = field(default_factory=dict)
    # (call, output index) -> the node inside that makes it
    results: dict[tuple[str, int], str] = field(default_factory=dict)

    def add(self, nodes: Iterable[Any], *, scope: str, arguments: Mapping[str, str]) -> None:
        """Adds the nodes of a graph or a function body; `arguments` maps its parameters to nodes outside."""
        nodes = list(nodes)
        local = {node.name for node in nodes}

        def producer(tensor: str) -> str:
            name, _, rest = tensor.partition(":")
            if name not in local:
                return arguments.get(name, name)
            index = rest.rpartition(":")[2]
            return self._origin(scope + name, int(index) if index.isdigit() else 0)

        for node in in_order(nodes):
            inputs = [producer(tensor) for tensor in node.input if not tensor.startswith("^")]
            self._add_node(node, scope + node.name, inputs)

    def _add_node(self, node: Any, name: str, inputs: list[str]) -> None:
        if node.op in _CALLS and node.attr["f"].func.name in self.functions:
            self._open(node.attr["f"].func.name, scope=f"{name}/", call=name, inputs=inputs)
            return
        self.ops[name] = node.op
        self.types[name] = _own_type(node)
        self.inputs[name] = inputs
        for attribute, branch in _BRANCHES.get(node.op, ()):
            function = node.attr[attribute].func.name
            if function in self.functions:
                passed = inputs[1:] if "If" in node.op else inputs
                made = self._open(function, scope=f"{name}/{branch}/", call="", inputs=passed)
                self.inputs[name] = [*self.inputs[name], *made]

    def _open(self, function_name: str, *, scope: str, call: str, inputs: list[str]) -> list[str]:
        function = self.functions[function_name]
        arguments = {parameter.name: value for parameter, value in zip(function.signature.input_arg, inputs, strict=False)}
        self.add(function.node_def, scope=scope, arguments=arguments)
        made = []
        for index, result in enumerate(function.signature.output_arg):
            name, _, rest = function.ret[result.name].partition(":")
            if name in arguments:
                origin = arguments[name]
            else:
                position = rest.rpartition(":")[2]
                origin = self._origin(scope + name, int(position) if position.isdigit() else 0)
            made.append(origin)
            if call:
                self.results[call, index] = origin
        return made

    def _origin(self, name: str, index: int) -> str:
        while (name, index) in self.results:
            name, index = self.results[name, index], 0
        return name

    def as_source_nodes(self) -> Iterable[SourceNode]:
        data = {name for name, op in self.ops.items() if op == "Const"}
        for name, op in self.ops.items():
            if op not in _NOT_NODES:
                read = tuple(dict.fromkeys(made for made in self.inputs[name] if made not in data))
                yield SourceNode(name=name, op=op, inputs=read, outputs=(name,), own=self.types[name])


def _own_type(node: Any) -> str | None:
    """The float type that a `NodeDef` computes in; "" for other types, for branches and for what computes nothing."""
    if node.op in _BRANCHES or node.op in _MOVING:
        return ""
    number = node.attr["T"].type if "T" in node.attr else node.attr["dtype"].type if "dtype" in node.attr else 0
    if not number:
        return None
    kind = tensorflow_dtype(number)
    return kind if "float" in kind else ""


def in_order(nodes: Iterable[Any]) -> list[Any]:
    """`NodeDef`s so that each comes after those it reads; loops of TensorFlow 1 are cut where they close."""
    by_name = {node.name: node for node in nodes}
    done: dict[str, None] = {}
    for root in by_name.values():
        stack = [(root, iter(root.input))]
        waiting = {root.name}
        while stack:
            node, rest = stack[-1]
            names = (tensor.lstrip("^").partition(":")[0] for tensor in rest)
            step = next((by_name[name] for name in names if name in by_name and name not in done and name not in waiting), None)
            if step is None:
                stack.pop()
                done.setdefault(node.name)
            else:
                waiting.add(step.name)
                stack.append((step, iter(step.input)))
    return [by_name[name] for name in done]
