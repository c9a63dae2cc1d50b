"""Short names for a graph's nodes while a builder has them.

The builder cuts what it tells of a layer near 4,000 characters, lists names without quoting them and refuses long ones. Under
aliases of its own making nothing is cut, whatever the nodes are called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx

from core.onnxio.walk import graphs_inside, nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases:
    """The real names of the main graph's nodes by alias; an alias is `prefix` and a number."""

    prefix: str = ""
    names: Mapping[str, str]

    def name(self, told: str) -> str:
        """The node that the builder means by an alias, or by one with an ending of its own; anything else as it is."""
        found = self._pattern.match(told)
        return self.names.get(found.group(), told) if found else told

    def nodes_in(self, told: str) -> tuple[str, ...]:
        """The nodes whose aliases are in a text."""
        return tuple(self.names[alias] for alias in self._pattern.findall(told) if alias in self.names)

    def mentioned(self, text: str) -> str | None:
        """The first alias in a text; None when there is none."""
        found = self._pattern.search(text)
        return found.group() if found else None

    def restore(self, text: str) -> str:
        """A text of the builder's with the real names in place of the aliases."""
        return self._pattern.sub(lambda found: self.names.get(found.group(), found.group()), text)

    @property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![A-Za-z0-9]){self.prefix}\d+(?![0-9])" if self.prefix else r"(?!)")


NO_ALIASES = Aliases(names={})


def alias_nodes(model: onnx.ModelProto) -> Aliases:
    """Gives every node of the main graph an alias, in place; nodes inside it get its alias and an ending."""
    prefix = _free_prefix(model)
    names = {}
    for index, node in enumerate(model.graph.node):
        alias = f"{prefix}{index}"
        names[alias] = node.name
        node.name = alias
        inner = (inside for graph in graphs_inside(node) for inside in graph.node)
        for number, inside in enumerate(inner):
            inside.name = f"{alias}_in{number}"
    return Aliases(prefix=prefix, names=names)


def _free_prefix(model: onnx.ModelProto) -> str:
    """A prefix that no tensor's name could be mistaken for."""
    tensors = [*_names(model.graph.input), *_names(model.graph.output), *_names(model.graph.initializer)]
    tensors += [name for node in nodes(model) for name in (*node.input, *node.output)]
    text = "\n".join(tensors)
    prefix = "er"
    while re.search(rf"{prefix}\d", text):
        prefix += "x"
    return prefix


def _names(values: Iterable[onnx.ValueInfoProto] | Iterable[onnx.TensorProto]) -> list[str]:
    return [value.name for value in values]
