"""Reads SavedModel folders, TF1-style and TF2, without TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.base.dtypes import tensorflow_dtype
from core.base.errors import BrokenModel, UnsupportedModel
from core.base.tensors import Signature
from core.models.axes import RawTensor, with_symbols
from core.models.reading import Reading, most_frequent_first
from core.models.tf_graph import VARIABLES, part_behind, trace
from core.models.tf_schema import parse, shape_of

FILE_NAME = "saved_model.pb"
DEFAULT_SIGNATURE = "serving_default"
_SERVE = "serve"


def read_savedmodel(folder: Path) -> Reading:
    """Reads what a SavedModel folder tells of itself.

    Raises:
        BrokenModel: The graph is damaged, or the values of its variables are missing.
        UnsupportedModel: It has no signature.
    """
    saved = parse("SavedModel", (folder / FILE_NAME).read_bytes(), FILE_NAME)
    if not saved.meta_graphs:
        raise BrokenModel(f"{FILE_NAME} holds no graph.", hint="Export the model again.")
    graph, notes = _serving_graph(saved)
    found = {name: definition for name, definition in graph.signature_def.items() if _is_callable(name, definition)}
    if not found:
        raise UnsupportedModel(
            "The SavedModel has no signature, so nobody can tell its inputs and outputs.",
            hint="Save it with tf.saved_model.save(model, folder, signatures=...), or Keras's model.export(folder).",
        )
    default = DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in found else min(found)
    names = [default, *sorted(found.keys() - {default})]
    reached = trace(graph.graph_def, _ends(found[default].outputs), _ends(found[default].inputs))
    if any(node.op in VARIABLES for node in graph.graph_def.node):
        _check_variables(folder)
    if reached.unsized:
        notes.append(f"Variables of unknown shape are not counted: {', '.join(sorted(reached.unsized))}.")
    for name in names:
        notes.extend(_composite_notes(name, found[name]))
    version = graph.meta_info_def.tensorflow_version
    placeholders = {f"{node.name}:0": shape_of(node.attr["shape"].shape) for node in graph.graph_def.node if _tells_shape(node)}
    return Reading(
        signatures=tuple(_signature(name, found[name], placeholders) for name in names),
        producer=f"TensorFlow {version}" if version else None,
        weights=reached.weights,
        ops=most_frequent_first(reached.ops),
        notes=tuple(notes),
    )


def signature_graph(folder: Path, signature: str) -> Any:
    """A `GraphDef` of what lies behind a signature's outputs, with the functions it may call.

    Raises:
        BrokenModel: The graph is damaged.
    """
    saved = parse("SavedModel", (folder / FILE_NAME).read_bytes(), FILE_NAME)
    graph, _ = _serving_graph(saved)
    definition = graph.signature_def[signature]
    return part_behind(graph.graph_def, _ends(definition.outputs), _ends(definition.inputs))


def _serving_graph(saved: Any) -> tuple[Any, list[str]]:
    """The meta graph tagged "serve" alone, else one that has the tag, else the first; and what is odd about that."""
    by_tags = {tuple(sorted(graph.meta_info_def.tags)): graph for graph in saved.meta_graphs}
    tags = min(by_tags, key=lambda tags: (_SERVE not in tags, len(tags)))
    if len(by_tags) == 1 and _SERVE in tags:
        return by_tags[tags], []
    others = [" + ".join(other) or "no tag" for other in by_tags if other != tags]
    chosen = " + ".join(tags) or "no tag"
    return by_tags[tags], [f"The graph tagged {chosen} is used" + (f"; there is also {', '.join(others)}." if others else ".")]


def _is_callable(name: str, definition: Any) -> bool:
    """Whether a signature is one; TensorFlow keeps its initialization and training ops among them."""
    return not name.startswith("__saved_model_") and bool(definition.outputs)


def _ends(infos: Mapping[str, Any]) -> Iterator[str]:
    for info in infos.values():
        yield from _tensor_names(info)


def _tensor_names(info: Any) -> Iterator[str]:
    if info.HasField("coo_sparse"):
        sparse = info.coo_sparse
        yield from (sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name)
    elif info.HasField("composite_tensor"):
        for component in info.composite_tensor.components:
            yield from _tensor_names(component)
    else:
        yield info.name


Shapes = Mapping[str, tuple[int | None, ...] | None]


def _tells_shape(node: Any) -> bool:
    """Whether it is a placeholder that tells its shape; before graph version 24 an empty one told of none."""
    return node.op == "Placeholder" and bool(node.attr["shape"].shape.dim)


def _signature(name: str, definition: Any, placeholders: Shapes) -> Signature:
    return with_symbols(name, _raw(definition.inputs, placeholders), _raw(definition.outputs, placeholders))


def _raw(infos: Mapping[str, Any], placeholders: Shapes) -> list[RawTensor]:
    """Tensors of a signature; the shape of one that is only named is its placeholder's, or unknown."""
    return [
        RawTensor(
            name=key,
            dtype=tensorflow_dtype(info.dtype),
            shape=shape_of(info.tensor_shape) if info.HasField("tensor_shape") else placeholders.get(info.name),
        )
        for key, info in sorted(infos.items())
    ]


def _composite_notes(name: str, definition: Any) -> Iterator[str]:
    for key, info in (*sorted(definition.inputs.items()), *sorted(definition.outputs.items())):
        if info.HasField("coo_sparse") or info.HasField("composite_tensor"):
            yield f"{key} of signature {name} is a sparse, ragged or other composite tensor, which no converter carries over."


def _check_variables(folder: Path) -> None:
    names = {path.name for path in folder.glob("variables/variables.*")}
    shards = [match for name in names if (match := re.fullmatch(r"variables\.data-(\d+)-of-(\d+)", name))]
    count = int(shards[0][2]) if shards else 1
    wanted = {"variables.index"} | {f"variables.data-{index:05d}-of-{count:05d}" for index in range(count)}
    if missing := sorted(wanted - names):
        raise BrokenModel(
            f"The SavedModel's variables are missing: {', '.join(f'variables/{name}' for name in missing)}.",
            hint="Give the whole folder, with variables/ beside saved_model.pb, or an archive of it.",
        )
