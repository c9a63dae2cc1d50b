"""Tries the builder on single nodes that the parser took: some ops can be read, and have nothing that carries them out.

For a builder that needs no GPU, which takes some hundredths of a second for a node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import onnx

from core.backends._preflight import Refusal
from core.backends._tensorrt.log import Log, clean
from core.backends._tensorrt.parse import CHANGE_HINT, PLUGIN_HINT
from core.backends._tensorrt.versions import Features, network_flags
from core.base.children.nodes import at_node
from core.onnxio.aliases import Aliases
from core.onnxio.parts import Alone, Types
from core.onnxio.walk import op_name, subgraphs

MOST_TRIALS = 200
# A network of one node on larger tensors than this says no more, and takes longer.
_MOST_ELEMENTS = 1 << 26

Network = Any
MakeNetwork = Callable[[bytes], Network]


class Trials:
    """Builds single nodes, and where one fails the whole graph, to be sure.

    Args:
        fixed: Types of the whole graph's tensors at one length of every axis.
        whole: How many nodes the graph had before any was cut out.
    """

    def __init__(self, trt: Any, builder: Any, logger: Any, log: Log, version: Features, *, path: str, fixed: Types, whole: int):
        self._trt, self._builder, self._logger, self._log, self._version = trt, builder, logger, log, version
        self._path, self._fixed, self._whole = path, fixed, whole

    def doubts(self, model: onnx.ModelProto, types: Types, aliases: Aliases) -> Sequence[Refusal]:
        """The nodes that the builder does not build alone; final when it does not build the graph with them either."""
        found = dict(self._refused_alone(model, aliases))
        if not found:
            return ()
        final = False
        if len(model.graph.node) == self._whole:
            if self._builds(model.SerializeToString()):
                return ()
            final = True
        with_what = "the builder refuses it" if final else "the builder refuses it alone"
        return [
            Refusal(alias, f"The parser reads it, but {with_what}: {said}", _hint(said), is_final=final)
            for alias, said in found.items()
        ]

    def _refused_alone(self, model: onnx.ModelProto, aliases: Aliases) -> Iterable[tuple[str, str]]:
        alone = Alone(model, self._fixed)
        tried: dict[object, str | None] = {}
        for node in model.graph.node:
            if node.op_type == "Constant" or any(True for _ in subgraphs(node)):
                continue
            one = alone.model_of([node])
            if not all(_is_fixed(info.type) for info in one.graph.input):
                continue
            kind = _kind(node, one)
            if kind not in tried and len(tried) < MOST_TRIALS:
                at_node(op_name(node), aliases.names[node.name])
                tried[kind] = self._refusal(one.SerializeToString())
            if said := tried.get(kind):
                yield node.name, said

    def _refusal(self, content: bytes) -> str | None:
        """Why the builder does not build a model; None when it does, and for one that cannot be tried like this."""
        network = self._network(content)
        if network is None or any(network.get_input(index).is_shape_tensor for index in range(network.num_inputs)):
            return None
        del self._log.errors[:]
        if self._builder.build_serialized_network(network, self._builder.create_builder_config()) is not None:
            return None
        return clean(self._log.errors[0]) if self._log.errors else "it gives no reason"

    def _builds(self, content: bytes) -> bool:
        """Whether the whole graph is built, its open axes at the length of `fixed`."""
        network = self._network(content)
        if network is None:
            return False
        config, profile = self._builder.create_builder_config(), self._builder.create_optimization_profile()
        for tensor in (network.get_input(index) for index in range(network.num_inputs)):
            kind = self._fixed.get(tensor.name)
            if kind is not None and _is_fixed(kind):
                lengths = [int(dim.dim_value) for dim in kind.tensor_type.shape.dim]
                profile.set_shape(tensor.name, lengths, lengths, lengths)
        config.add_optimization_profile(profile)
        return self._builder.build_serialized_network(network, config) is not None

    def _network(self, content: bytes) -> Network:
        network = self._builder.create_network(network_flags(self._trt, self._version))
        return network if self._trt.OnnxParser(network, self._logger).parse(content, self._path) else None


def _is_fixed(kind: onnx.TypeProto) -> bool:
    told = kind.tensor_type
    lengths = [dim.dim_value for dim in told.shape.dim if dim.HasField("dim_value") and dim.dim_value >= 0]
    return told.HasField("shape") and len(lengths) == len(told.shape.dim) and math.prod(lengths) <= _MOST_ELEMENTS


def _kind(node: onnx.NodeProto, one: onnx.ModelProto) -> object:
    """Nodes of one kind are built alike: the same op and attributes on inputs of the same types and ranks."""
    given = {info.name: (info.type.tensor_type.elem_type, len(info.type.tensor_type.shape.dim)) for info in one.graph.input}
    attributes = tuple(sorted(attribute.SerializeToString() for attribute in node.attribute))
    return (node.domain, node.op_type, attributes, tuple(given.get(name, bool(name)) for name in node.input), len(node.output))


def _hint(said: str) -> str:
    return PLUGIN_HINT if "no runners" in said else CHANGE_HINT
