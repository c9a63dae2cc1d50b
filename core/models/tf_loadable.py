"""SavedModels as TensorFlow loads them: which of their graphs, and without what it trips over.

Of a Keras 2 optimizer TensorFlow revives the state with the Keras that wrote it, and else fails to load the model:
"'_UserObject' object has no attribute 'add_slot'" (https://github.com/tensorflow/tensorflow/issues/52091). No signature needs it.

TensorFlow 1's files hold what its Session runs and `tf.saved_model.load` does not: signatures that give out a reference variable
("Output 0 of node 'counter' has a reference type float_ref"), and tensors of no told shape, which are no scalars: those that a
signature only names, and placeholders of before graph version 24.

TensorFlow leaves calls of functions that are marked for XLA as they are (Keras marks every grouped convolution), and no converter
translates a call. `keep_no_calls` takes the marks away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.models.savedmodel import FILE_NAME
from core.models.tf_graph import all_nodes

_REFERENCE = 100  # of a reference's `DataType`, above that of its value
_EMPTY_IS_SCALAR = 24  # the first graph version: TF_GRAPH_DEF_VERSION's history in tensorflow/core/public/version.h
_MARKS = ("_XlaMustCompile", "_XlaCompile", "_noinline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loadable:
    """What to give to TensorFlow's loaders.

    Attributes:
        folder: The SavedModel itself, or one that links to its files beside a changed graph.
        tags: Of the graph for serving: that tagged "serve" alone if there is one, like the reader of SavedModels.
        signatures: That graph's `SignatureDef`s by name.
    """

    folder: Path
    tags: tuple[str, ...]
    signatures: Mapping[str, Any]


@contextmanager
def loadable(folder: Path, *, to_convert: bool = False) -> Iterator[Loadable]:
    """Reads a SavedModel's graphs, with TensorFlow's own messages; load it inside.

    Stages end without Python's own exit, so nothing may be left to that. A changed model that reads an asset not while it is
    loaded but whenever it runs does not find it afterwards.

    Args:
        to_convert: Every call is to be inlined when it is frozen.
    """
    tags, signatures, changed = _read(folder, to_convert=to_convert)
    if changed is None:
        yield Loadable(folder=folder, tags=tags, signatures=signatures)
        return
    with tempfile.TemporaryDirectory(prefix="engineroom-savedmodel-") as home:
        for path in folder.iterdir():
            if path.name != FILE_NAME:
                (Path(home) / path.name).symlink_to(path.resolve())
        (Path(home) / FILE_NAME).write_bytes(changed)
        yield Loadable(folder=Path(home), tags=tags, signatures=signatures)


def keep_no_calls(graph: Any) -> bool:
    """Takes away what keeps calls in a `GraphDef` from being inlined, in place; whether there was any."""
    marked = [*graph.library.function, *all_nodes(graph)]
    found = [(item, name) for item in marked for name in _MARKS if name in item.attr]
    for item, name in found:
        del item.attr[name]
    return bool(found)


def _give_out_values(serving: Any) -> bool:
    """Has signatures give out a reference's value, in place; whether any gave out a reference."""
    nodes = {node.name: node for node in serving.graph_def.node}
    ends = [info for signature in serving.signature_def.values() for info in signature.outputs.values()]
    found = [info for info in ends if info.dtype > _REFERENCE or _is_reference(nodes, info.name)]
    for info in found:
        info.dtype %= _REFERENCE
        name = f"{info.name.replace(':', '_')}_value"
        if name not in nodes:
            nodes[name] = serving.graph_def.node.add(name=name, op="Identity", input=[info.name])
            nodes[name].attr["T"].type = info.dtype
        info.name = f"{name}:0"
    return bool(found)


def _is_reference(nodes: Mapping[str, Any], tensor: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    name, _, index = tensor.partition(":")
    definition = op_def_registry.get(nodes[name].op) if name in nodes else None
    outputs = definition.output_arg if definition else []
    return int(index or 0) < len(outputs) and bool(outputs[int(index or 0)].is_ref)


def _open_shapes(serving: Any) -> bool:
    """Says of tensors without a shape that they have none, in place; whether there were any."""
    ends = [info for one in serving.signature_def.values() for side in (one.inputs, one.outputs) for info in side.values()]
    untold = [info.tensor_shape for info in ends if info.WhichOneof("encoding") == "name" and not info.HasField("tensor_shape")]
    if serving.graph_def.versions.producer < _EMPTY_IS_SCALAR:
        fed = (node.attr["shape"].shape for node in serving.graph_def.node if node.op == "Placeholder")
        untold += [shape for shape in fed if not shape.dim and not shape.unknown_rank]
    for shape in untold:
        shape.unknown_rank = True
    return bool(untold)


def _read(folder: Path, *, to_convert: bool) -> tuple[tuple[str, ...], Mapping[str, Any], bytes | None]:
    """Tags and signatures of the graph for serving, and the file without what is in the way, where anything is."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString((folder / FILE_NAME).read_bytes())
    slotted = [node for graph in saved.meta_graphs for node in graph.object_graph_def.nodes if node.slot_variables]
    for node in slotted:
        node.ClearField("slot_variables")
    serving = min(saved.meta_graphs, key=lambda graph: ("serve" not in graph.meta_info_def.tags, len(graph.meta_info_def.tags)))
    changed = bool(slotted)
    changed = _give_out_values(serving) or changed
    changed = _open_shapes(serving) or changed
    if to_convert:
        changed = keep_no_calls(serving.graph_def) or changed
    # Copies, as a part of a message keeps the whole of it in memory.
    signatures = {name: type(given).FromString(given.SerializeToString()) for name, given in serving.signature_def.items()}
    return tuple(serving.meta_info_def.tags), signatures, saved.SerializeToString() if changed else None
