"""Asks TensorRT's parser which nodes it takes."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import onnx

from core.backends._preflight import Refusal, told_by
from core.backends._tensorrt.build import SHAPE_HINT, SHAPE_REASON
from core.backends._tensorrt.graph import Graph
from core.backends._tensorrt.log import Log, make_logger, start_failure
from core.backends._tensorrt.parse import CHANGE_HINT, TAKEN, is_about_op, is_about_type, refusal_of
from core.backends._tensorrt.plugins import load_plugins
from core.backends._tensorrt.product import Product
from core.backends._tensorrt.trial import Trials
from core.backends._tensorrt.versions import Features, network_flags
from core.base.availability import installed_versions
from core.base.children.nodes import at_node
from core.base.profile import ShapeProfile
from core.base.progress import Report
from core.graph.source import nodes_of_onnx
from core.graph.support import Support
from core.models.model import Source
from core.onnxio.aliases import Aliases
from core.onnxio.file import read_onnx
from core.onnxio.parts import Types, reads
from core.onnxio.types import tensor_types

_PARSED = re.compile(r"(?:Parsing node|While parsing node number \d+).*?(\w+) \[(\w+)")
PLUGIN_HINT = "Give a library with a plugin for {op} by the option `plugins`."
TYPE_HINT = f"Cast to a type that it takes before this node: {', '.join(TAKEN[:-1])} or {TAKEN[-1]}."


class _Watched(Log):
    """Tells at which node the parser is, should it crash there."""

    def __init__(self, title: str) -> None:
        super().__init__(title=title)
        self.names = Aliases(names={})

    def take(self, level: int, text: str) -> None:
        super().take(level, text)
        if found := _PARSED.search(text):
            at_node(found[2], self.names.name(found[1]))


def preflight(product: Product, source: Source, plugins: str, report: Report) -> Support:
    """What the parser takes.

    Args:
        plugins: See `load_plugins`.

    Raises:
        Unavailable: TensorRT is not here, or wants a GPU that is not.
        BrokenModel: The model cannot be read.
    """
    trt = product.imported()
    version = product.features_of(trt)
    log = _Watched(product.title)
    logger = make_logger(trt, log)
    load_plugins(trt, logger, plugins, version)
    try:
        builder = trt.Builder(logger)
    except TypeError as error:  # pybind11: the factory returned nothing
        raise start_failure(log, "start its builder") from error

    fed = {spec.name for spec in source.signature.inputs}

    def judge(model: onnx.ModelProto, types: Types, aliases: Aliases) -> Sequence[Refusal]:
        log.names = aliases
        network = builder.create_network(network_flags(trt, version))  # the parser does not keep it alive
        parser = trt.OnnxParser(network, logger)
        graph = Graph(path=source.path, source=nodes_of_onnx(model), content=model.SerializeToString())
        return _refusals(parser, graph, version, aliases) or _fed_shapes(network, model, fed)

    trials = _trials(trt, builder, logger, log, version, source) if "cpu" in product.builds_on else None
    nodes, notes = told_by(source.path, product.title, judge, report, trials.doubts if trials else None)
    how = ", then its builder about one node of each kind alone, and about the whole where that failed" if trials else ""
    return Support(
        nodes=nodes,
        notes=notes,
        way=f"Asked the ONNX parser of {product.title} {trt.__version__} what it reads{how}. A build, which looks for kernels "
        "for all the nodes together, may still be refused.",
        versions={product.name: trt.__version__, **installed_versions("onnx")},
    )


def _trials(trt: Any, builder: Any, logger: Any, log: Log, version: Features, source: Source) -> Trials:
    """With every open axis at the length that a build has by default."""
    light = read_onnx(source.path, weights=False)
    whole = len(light.graph.node)
    profile = ShapeProfile().complete(source.signature)
    shapes = {spec.name: profile.shape(spec) for spec in source.signature.inputs if spec.shape is not None}
    for info in light.graph.input:
        if info.name in shapes:
            kind = info.type.tensor_type.elem_type
            info.type.CopyFrom(onnx.helper.make_tensor_type_proto(kind, shapes[info.name]))
    fixed = tensor_types(light)
    return Trials(trt, builder, logger, log, version, path=str(source.path), fixed=fixed, whole=whole)


def _refusals(parser: Any, graph: Graph, version: Features, aliases: Aliases) -> Sequence[Refusal]:
    if version.subgraphs:
        taken = parser.supports_model_v2(graph.bytes(), str(graph.path))
        parts = [parser.get_subgraph_nodes(index) for index in range(parser.num_subgraphs)]
    else:
        taken, told = parser.supports_model(graph.bytes(), str(graph.path))
        parts = [indices for indices, _ in told]
    if taken:
        return ()
    errors = [refusal_of(parser.get_error(index), graph, version) for index in range(parser.num_errors)]
    if errors:
        return [_refusal(error.op, error.node, error.reason, aliases) for error in errors]
    inside = {index for indices in parts for index in indices}
    left_out = [node.name for index, node in enumerate(graph.source.nodes) if index not in inside]
    return [
        Refusal(name, "the parser leaves it out of every part that it takes, and gives no reason", CHANGE_HINT)
        for name in left_out
    ]


def _fed_shapes(network: Any, model: onnx.ModelProto, fed: Collection[str]) -> list[Refusal]:
    """The nodes that take a shape from an input of the model's own: a build refuses those, see `_add_profiles`."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    shapes = {tensor.name for tensor in inputs if tensor.is_shape_tensor} & set(fed)
    return [
        Refusal(node.name, SHAPE_REASON.format(name=shapes.intersection(reads(node)).pop()), SHAPE_HINT, is_final=True)
        for node in model.graph.node
        if shapes.intersection(reads(node))
    ]


def _refusal(op: str, node: str, reason: str, aliases: Aliases) -> Refusal:
    """A parser error; a node inside another is told by that one's alias."""
    alias = aliases.mentioned(node)
    told = reason if not node or node == alias else f"{reason} (at {node})"
    if is_about_op(reason):
        return Refusal(alias, told, PLUGIN_HINT.format(op=op), is_final=True, is_of_op=True)
    if is_about_type(reason):
        return Refusal(alias, told, TYPE_HINT, is_final=True)
    return Refusal(alias, told, CHANGE_HINT)
