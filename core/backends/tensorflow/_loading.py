"""A SavedModel, a Keras file or a GraphDef as one flat callable, in the signature's own order."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.base.errors import BuildFailed, InvalidRequest
from core.base.lean import import_keras
from core.base.tensors import Signature
from core.models.keras_ends import flat_call
from core.models.model import Format, Source
from core.models.tf_graph import REFERENCES, tensor_name
from core.models.tf_loadable import loadable
from core.models.tf_state import STATE_HINT, kept_values

# Takes the signature's inputs in their order, gives its outputs in theirs.
Flat = Callable[..., list[Any]]


def load(tf: Any, source: Source, *, as_loaded: bool) -> Flat:
    """The model's callable.

    Args:
        as_loaded: Keep TensorFlow 1's reference variables, which can neither be compiled nor frozen inside a call;
            otherwise they become constants here.

    Raises:
        InvalidRequest: The model has no such signature, input or output.
        BuildFailed: The model cannot be loaded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if source.format is Format.KERAS:
            return _keras(source)
        return _graphdef(tf, source) if source.format is Format.GRAPHDEF else _savedmodel(tf, source, as_loaded=as_loaded)


def concrete(tf: Any, function: Flat, signature: Signature) -> Any:
    """The callable traced once, at the signature's symbolic shapes."""
    traced = tf.function(function, input_signature=input_specs(tf, signature), autograph=False).get_concrete_function()
    traced.flat = function  # it holds the variables and tables, which the trace refers to but does not keep
    return traced


def input_specs(tf: Any, signature: Signature) -> list[Any]:
    return [tf.TensorSpec(spec.lengths, tf.as_dtype(spec.dtype), name=spec.name) for spec in signature.inputs]


def format_of(path: Path) -> Format:
    if path.is_dir():
        return Format.SAVEDMODEL
    return Format.GRAPHDEF if path.suffix == ".pb" else Format.KERAS


def _savedmodel(tf: Any, source: Source, *, as_loaded: bool) -> Flat:
    with loadable(source.path) as found:
        loaded = tf.saved_model.load(str(found.folder), tags=list(found.tags))
    name = source.signature.name
    if name not in loaded.signatures:
        known = ", ".join(loaded.signatures) or "none"
        raise InvalidRequest(f"The SavedModel has no signature {name!r}.", hint=f"It has: {known}.")
    function = loaded.signatures[name]
    _require("inputs", [spec.name for spec in source.signature.inputs], function.structured_input_signature[1])
    _require("outputs", [spec.name for spec in source.signature.outputs], function.structured_outputs)
    if not as_loaded and any(node.op in REFERENCES for node in function.graph.as_graph_def().node):
        return _without_references(tf, source.signature, function, found.signatures[name])

    def call(*tensors: Any) -> list[Any]:
        fed = {spec.name: tensor for spec, tensor in zip(source.signature.inputs, tensors, strict=True)}
        results = loaded.signatures[name](**fed)  # by way of `loaded`, which holds the variables
        return [results[spec.name] for spec in source.signature.outputs]

    return call


def _without_references(tf: Any, signature: Signature, function: Any, definition: Any) -> Flat:
    """A signature of TensorFlow 1 with its variables as constants; `definition` maps its keys to tensors of the graph."""
    graph = with_constants(function).graph.as_graph_def()
    feeds = [definition.inputs[spec.name].name for spec in signature.inputs]
    return graph_call(tf, graph, feeds, [definition.outputs[spec.name].name for spec in signature.outputs])


def with_constants(function: Any) -> Any:
    """The concrete function with its variables as constants.

    Raises:
        BuildFailed: It writes some of them.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        return convert_variables_to_constants_v2(function)
    except ValueError as error:
        if not (kept := kept_values(function.graph.as_graph_def())):
            raise
        raise BuildFailed(f"The model {kept}; constants cannot be written.", hint=STATE_HINT, detail=str(error)) from error


def _keras(source: Source) -> Flat:
    keras = import_keras()
    model = keras.models.load_model(str(source.path), compile=False)
    return flat_call(model, source.signature)


def _graphdef(tf: Any, source: Source) -> Flat:
    graph = tf.compat.v1.GraphDef.FromString(source.path.read_bytes())
    feeds = [tensor_name(spec.name) for spec in source.signature.inputs]
    return graph_call(tf, graph, feeds, [tensor_name(spec.name) for spec in source.signature.outputs])


def graph_call(tf: Any, graph: Any, feeds: list[str], fetches: list[str]) -> Flat:
    """A GraphDef between named tensors.

    Raises:
        InvalidRequest: The graph has no tensor of one of those names.
        BuildFailed: The graph cannot be imported.
    """
    try:
        wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
        ends = [[wrapped.graph.as_graph_element(name) for name in names] for names in (feeds, fetches)]
    except KeyError as error:
        raise InvalidRequest(f"The graph has no such tensor: {error.args[0]}", hint="Inspect the model for its names.") from error
    except ValueError as error:
        raise BuildFailed(f"TensorFlow cannot import the graph: {error}") from error
    pruned = wrapped.prune(*ends)
    if unset := [node.name for node in pruned.graph.as_graph_def().node if node.op in (*REFERENCES, "VarHandleOp")]:
        raise BuildFailed(
            f"The graph has variables without values: {', '.join(unset[:5])}.",
            hint="Export a SavedModel, which holds them, or freeze the graph before uploading it.",
        )

    def call(*tensors: Any) -> list[Any]:
        return list(pruned(*tensors))

    return call


def _require(what: str, wanted: list[str], have: Any) -> None:
    if missing := [name for name in wanted if name not in have]:
        raise InvalidRequest(f"The signature has no {what} {', '.join(missing)}.", hint=f"It has: {', '.join(have)}.")
