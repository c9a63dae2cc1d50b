"""Which source nodes a node of ONNX Runtime's optimised graph carries out for certain."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile

import onnx

from core.graph.engine_graph import SourceNode
from core.graph.fates import at_work
from core.graph.source import SourceGraph, is_quantized

# Layouts with channels in blocks, written by ops of this domain.
BLOCKED_DOMAIN = "com.microsoft.nchwc"
# What such an op's name has after the tensor's, for convolutions and for what else was turned into one.
_BLOCKED_NAME = re.compile(r"(_bn|_mul)?_nchwc$")
# What a rewrite puts after the name of the node that it replaces: a fusion, a change of layout, a copy for each reader.
_REWRITTEN_NAME = re.compile(r"(/\w+Fusion(/.*)?|_new_reshape|_token_\d+|/duplicated)$")
# What a product's name has that took in the sum behind it; what reshapes around it has other names.
_ADDED_NAME = re.compile(r"/MatMulAddFusion(/|$)")
# What a tensor's name begins with where a runtime without kernels for FP16 computes it in FP32, and the casts around.
_CAST_NAME = re.compile(r"^Inserted(PrecisionFree)?Cast_")
# What the tensors of a function's body are called once it stands in the graph: the function, then the body's own name.
_INLINED_NAME = re.compile(r"_inlfunc_(.+)")
# What ONNX Runtime adds around quantized operators and layouts.
_MOVES = frozenset({"QuantizeLinear", "DequantizeLinear", "Transpose", "MemcpyFromHost", "MemcpyToHost"})
_REORDERS = frozenset({"ReorderInput", "ReorderOutput"})
_SUM_OPS = frozenset({"Add", "Sum"})
_SUM_INPUT = 3
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_ACTIVATIONS = frozenset({"Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "Softmax"})


class Claims:
    """The claims of one engine.

    ONNX Runtime keeps a tensor's name through most rewrites. Four kinds lose it:

    - Blocked layouts: a convolution is called after the tensor that it wrote, takes over a later sum and activation without
      a new name, and the other nodes keep their own names (onnxruntime/core/optimizer/nchwc_transformer.cc).
    - FP16 where there are no kernels for it: the tensor in FP32 has a prefix before its name
      (optimizer/insert_cast_transformer.cc).
    - Q/DQ: an operator between DQ and Q becomes one of integers, called after the operator, that writes what the Q wrote.
      Q and DQ also move past nodes that only shape data; they keep their scale (optimizer/qdq_transformer).
    - Functions: a node without a kernel becomes the nodes of its definition, whose tensors have its op before their names; the
      last one writes what it wrote (graph/graph.cc, `InlineFunctionProto`).
    """

    def __init__(self, source: SourceGraph, graph: onnx.GraphProto) -> None:
        self._nodes = {node.name: node for node in source.nodes}
        self._constants = frozenset(source.constants)
        self._producer = {tensor: node for node in source.nodes for tensor in node.outputs}
        self._readers: dict[str, list[SourceNode]] = defaultdict(list)
        for node in source.nodes:
            for tensor in node.inputs:
                self._readers[tensor].append(node)
        # A tensor in a blocked layout by the source tensor that it is turned back into.
        self._plain = {node.input[0]: _uncast(node.output[0]) for node in graph.node if node.op_type == "ReorderOutput"}
        self._by_scale: dict[tuple[str, str], list[str]] = defaultdict(list)
        for node in source.nodes:
            if node.op in (_QUANTIZE, _DEQUANTIZE) and len(node.inputs) > 1:
                self._by_scale[node.op, node.inputs[1]].append(node.name)
        self._quantized = bool(self._by_scale)

    def source_name(self, tensor: str) -> str:
        """What the source graph calls a tensor, for all that one can tell."""
        return self._plain.get(tensor, _uncast(tensor))

    def of_all(self, nodes: Sequence[onnx.NodeProto]) -> list[set[str]]:
        """Names of the source nodes of each node, in their order."""
        direct = [self._of(node) for node in nodes]
        for place, names in self._of_functions(nodes, direct).items():
            direct[place] = names
        if not self._quantized:
            return direct
        taken = set().union(*direct)
        return [
            found | set(self._fused(node, found, taken)) if _in_integers(node) else found
            for node, found in zip(nodes, direct, strict=True)
        ]

    def _of(self, node: onnx.NodeProto) -> set[str]:
        if _is_reorder(node) or _is_added_cast(node):
            return set()
        if node.domain == BLOCKED_DOMAIN and (made_by := self._producer.get(_BLOCKED_NAME.sub("", _uncast(node.name)))):
            return {found.name for found in self._followed(made_by, node)}
        if self._quantized and (named := self._named(node)):
            return {named}
        written = [made_by for tensor in node.output if (made_by := self._producer.get(self.source_name(tensor)))]
        if self._quantized and node.op_type == "Transpose":  # a change of layout writes what another node made
            written = [made_by for made_by in written if made_by.op == "Transpose"]
        found = {made_by.name if made_by.op == node.op_type else at_work(made_by, self._producer).name for made_by in written}
        if found:
            return found
        named = self._original(node.name)
        return {named, *self._added(node, named)} & self._nodes.keys()

    def _added(self, node: onnx.NodeProto, named: str) -> Iterator[str]:
        """The sum that a product took in, of one that says so in its name."""
        product = self._nodes.get(named) if _ADDED_NAME.search(node.name) else None
        after = self._only_reader(product) if product else None
        if after and after.op == "Add":
            yield after.name

    def _of_functions(self, nodes: Sequence[onnx.NodeProto], direct: Sequence[set[str]]) -> dict[int, set[str]]:
        """Claims of the nodes that a function's body brought: the function's node, to which their results lead."""
        leads: dict[str, set[str]] = defaultdict(set)  # by tensor, the source nodes that are met first behind it
        found: dict[int, set[str]] = {}
        for place, node in reversed(list(enumerate(nodes))):
            behind = set().union(*(leads[tensor] for tensor in node.output if tensor))
            inlined = next((told for tensor in node.output if (told := _INLINED_NAME.match(_uncast(tensor)))), None)
            if inlined and not direct[place] and not only_moves(node):
                callers = {name for name in behind if inlined[1].startswith(f"{self._nodes[name].op.rpartition('.')[2]}_")}
                if len(callers) == 1:
                    found[place] = callers
            for tensor in node.input:
                leads[tensor] |= direct[place] or behind
        return found

    def _original(self, name: str) -> str:
        while name not in self._nodes and (shorter := _REWRITTEN_NAME.sub("", name)) != name:
            name = shorter
        return name

    def _named(self, node: onnx.NodeProto) -> str | None:
        """The source node that a node of a quantized graph stands for by its name, or by its scale."""
        if (name := self._original(node.name)) in self._nodes:
            return name
        alike = self._by_scale.get((node.op_type, node.input[1]), []) if len(node.input) > 1 else []
        return alike[0] if len(alike) == 1 else None

    def _fused(self, node: onnx.NodeProto, found: set[str], taken: set[str]) -> Iterator[str]:
        """What lies around the operator in an op of integers: the weights' DQ before it, and all up to the Q that it writes."""
        writes = {self.source_name(tensor) for tensor in node.output}
        for name in found:
            own = self._nodes[name]
            for maker in map(self._producer.get, own.inputs):
                if maker and maker.op == _DEQUANTIZE and maker.name not in taken and self._constants.issuperset(maker.inputs):
                    yield maker.name
            chain = list(self._chain(own, taken))
            ends = [place for place, after in enumerate(chain) if not writes.isdisjoint(after.outputs)]
            known = chain[: ends[0] + 1] if ends else takewhile(lambda after: after.op in (_QUANTIZE, *_ACTIVATIONS), chain)
            yield from (after.name for after in known)

    def _chain(self, node: SourceNode, taken: set[str]) -> Iterator[SourceNode]:
        """The nodes behind one, each the only reader of the one before, up to a Q or to what another layer has."""
        while node.op != _QUANTIZE and (after := self._only_reader(node)) and after.name not in taken:
            yield after
            node = after

    def _only_reader(self, node: SourceNode) -> SourceNode | None:
        readers = [reader for tensor in node.outputs for reader in self._readers[tensor]]
        return readers[0] if len(readers) == 1 else None

    def _followed(self, made_by: SourceNode, node: onnx.NodeProto) -> Iterator[SourceNode]:
        yield made_by
        if len(node.input) > _SUM_INPUT and node.input[_SUM_INPUT]:
            added = self._reader(made_by, _SUM_OPS)
            if added is None:
                return
            made_by = added
            yield made_by
        activation = next((a.s.decode() for a in node.attribute if a.name == "activation"), "")
        if activation and made_by.op != activation and (active := self._reader(made_by, frozenset({activation}))):
            yield active

    def _reader(self, node: SourceNode, ops: frozenset[str]) -> SourceNode | None:
        return next((reader for tensor in node.outputs for reader in self._readers[tensor] if reader.op in ops), None)


def only_moves(node: onnx.NodeProto) -> bool:
    """Whether a node that carries out no source node only brings a tensor to another layout or type."""
    return _is_reorder(node) or _is_added_cast(node) or node.op_type in _MOVES


def _is_reorder(node: onnx.NodeProto) -> bool:
    return node.domain == BLOCKED_DOMAIN and node.op_type in _REORDERS


def _in_integers(node: onnx.NodeProto) -> bool:
    return is_quantized(node.op_type) and node.op_type not in (_QUANTIZE, _DEQUANTIZE)


def _is_added_cast(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and _CAST_NAME.match(node.name) is not None


def _uncast(tensor: str) -> str:
    return _CAST_NAME.sub("", tensor)
