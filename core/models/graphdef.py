"""Reads frozen TensorFlow graphs (`.pb`) and finds out which tensors to feed and to fetch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.base.dtypes import tensorflow_dtype
from core.base.errors import InvalidRequest, Unavailable, UnsupportedModel
from core.models.axes import RawTensor, with_symbols
from core.models.probe import probe_graphdef
from core.models.reading import Reading, most_frequent_first
from core.models.tf_graph import VARIABLES, all_nodes, node_name, nodes_behind, trace
from core.models.tf_schema import parse, shape_of

# The name of the only callable; its tensors are named by their node, with ":1" and so on for a node's later outputs.
SIGNATURE_NAME = "main"
# Ends of a graph that nobody fetches.
_SIDE_EFFECTS = ("NoOp", "Assert", "Assign", "Const", "Placeholder", "Print", "PrintV2", "RestoreV2", "SaveV2", "ShardedFilename")
# Attributes that tell a node's output type, the more telling ones first.
_TYPE_ATTRIBUTES = ("DstT", "output_type", "dtype", "out_type", "T")


def read_graphdef(path: Path, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Reading:
    """Reads a frozen graph.

    Args:
        path: The `.pb` file.
        inputs: Names of tensors to feed ("x" or "x:0"); every placeholder that the outputs need when none is named.
        outputs: Names of tensors to fetch; the nodes whose outputs nobody uses when none is named.

    Raises:
        BrokenModel: It is damaged.
        InvalidRequest: A name is not in the graph, or the outputs need a placeholder that is not named.
        UnsupportedModel: The graph is not frozen, or has nothing to feed.
    """
    graph = parse("GraphDef", path.read_bytes(), path.name)
    nodes = {node.name: node for node in graph.node}
    notes: list[str] = []
    fetched = [_checked(name, nodes) for name in outputs] or list(_terminals(graph))
    if not outputs:
        notes.append(f"No outputs were named; the graph's ends are taken: {', '.join(fetched)}.")
    needed = [node.name for node in nodes_behind(graph.node, fetched, inputs) if node.op == "Placeholder"]
    fed = [_checked(name, nodes) for name in inputs] or [name for name in nodes if name in needed]
    if not inputs:
        notes.append(f"No inputs were named; the placeholders are taken: {', '.join(fed)}.")
    _check_fed(path.name, fed, needed)
    _check_frozen(path.name, graph)
    reached = trace(graph, fetched, fed)
    raw, unknown = _tensors(path, [*fed, *fetched], nodes)
    return Reading(
        signatures=(with_symbols(SIGNATURE_NAME, raw[: len(fed)], raw[len(fed) :]),),
        producer=f"TensorFlow (graph version {graph.versions.producer})" if graph.versions.producer else None,
        weights=reached.weights,
        ops=most_frequent_first(reached.ops),
        notes=(*notes, *unknown),
    )


def _checked(name: str, nodes: dict[str, Any]) -> str:
    """The tensor's name in its short form.

    Raises:
        InvalidRequest: The graph has no such node.
    """
    if node_name(name) in nodes:
        return name.removesuffix(":0")
    some = ", ".join([*[n for n, node in nodes.items() if node.op == "Placeholder"], *list(nodes)[-3:]])
    raise InvalidRequest(f"The graph has no tensor {name!r}.", hint=f"Its placeholders and last nodes are: {some}.")


def _terminals(graph: Any) -> Iterator[str]:
    used = {node_name(tensor.lstrip("^")) for node in graph.node for tensor in node.input}
    yield from (node.name for node in graph.node if node.name not in used and node.op not in _SIDE_EFFECTS)


def _check_fed(name: str, fed: Sequence[str], needed: Sequence[str]) -> None:
    if not fed:
        raise UnsupportedModel(
            f"{name} has no placeholder to feed that its outputs depend on.",
            hint="Name the tensors to feed and to fetch, or export a SavedModel.",
        )
    if left := sorted(set(needed) - {node_name(tensor) for tensor in fed}):
        raise InvalidRequest(f"The outputs also need these placeholders: {', '.join(left)}.", hint="Name them as inputs too.")


def _check_frozen(name: str, graph: Any) -> None:
    if found := [node.name for node in all_nodes(graph) if node.op in VARIABLES]:
        raise UnsupportedModel(
            f"{name} is not frozen: {len(found)} variables, such as {found[0]}, have no values in this file.",
            hint="Export a SavedModel, or freeze the graph with convert_variables_to_constants_v2.",
        )


def _tensors(path: Path, names: Sequence[str], nodes: dict[str, Any]) -> tuple[list[RawTensor], tuple[str, ...]]:
    try:
        return probe_graphdef(path, names), ()
    except Unavailable as error:
        return [_from_attributes(name, nodes[node_name(name)]) for name in names], (
            f"TensorFlow could not tell the outputs' shapes. {error.message}",
        )


def _from_attributes(name: str, node: Any) -> RawTensor:
    kind = next((node.attr[key].type for key in _TYPE_ATTRIBUTES if key in node.attr and node.attr[key].type), 0)
    shape = shape_of(node.attr["shape"].shape) if node.op.startswith("Placeholder") and "shape" in node.attr else None
    return RawTensor(name=name, dtype=tensorflow_dtype(kind), shape=shape)
