"""Reads what an ONNX model tells of itself; its external data are checked, not loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx

from core.base.dtypes import UNKNOWN, onnx_dtype
from core.base.errors import BrokenModel, UnsupportedModel
from core.base.tensors import Signature
from core.models.onnx_graph import graph_signature, weight_total
from core.models.open_lengths import lengths_taken
from core.models.reading import Reading, most_frequent_first
from core.onnxio.file import check_external_files, read_onnx
from core.onnxio.walk import STANDARD_DOMAINS, graphs, nodes, op_counts, opset

# Value types that are no tensors, as `graph_signature` names their dtype.
_NOT_TENSORS = ("sequence", "map", "optional", "sparse_tensor", "opaque")


def read_onnx_model(path: Path) -> Reading:
    """Reads an ONNX file.

    Raises:
        BrokenModel: It is damaged, or external data are missing.
        UnsupportedModel: It takes something other than tensors.
    """
    model = read_onnx(path, weights=False)
    check_external_files(model, path.parent)
    _check_texts(path.name, model)
    signature = graph_signature(model)
    _check_signature(signature)
    producer = " ".join(word for text in (model.producer_name, model.producer_version) for word in text.split() if word != "None")
    return Reading(
        signatures=(replace(signature, lengths=lengths_taken(model, signature)),),
        producer=producer or None,
        opset=opset(model),
        weights=weight_total(model),
        ops=most_frequent_first(op_counts(model)),
        notes=tuple(_notes(model, signature)),
    )


def _check_texts(name: str, model: onnx.ModelProto) -> None:
    """Makes sure that names are UTF-8; protobuf hands out those of damaged files as bytes."""
    found = [model.producer_name, model.producer_version]
    for graph in graphs(model):
        found.extend(info.name for info in (*graph.input, *graph.output))
    for node in nodes(model):
        found.extend((node.name, node.op_type, node.domain, *node.input, *node.output))
    if any(isinstance(text, bytes) for text in found):
        raise BrokenModel(f"{name} is damaged: some of its names are no text.", hint="Export or copy it again.")


def _check_signature(signature: Signature) -> None:
    if not signature.outputs:
        raise BrokenModel("The ONNX graph has no outputs.", hint="Export the model again, with its outputs named.")
    if odd := [f"{spec.name} ({spec.dtype})" for spec in signature.inputs if spec.dtype in _NOT_TENSORS]:
        raise UnsupportedModel(
            f"The ONNX graph takes something other than tensors: {', '.join(odd)}.", hint="Export it with tensor inputs alone."
        )


def _notes(model: onnx.ModelProto, signature: Signature) -> Iterator[str]:
    if odd := [f"{spec.name} ({spec.dtype})" for spec in signature.outputs if spec.dtype in _NOT_TENSORS]:
        yield f"Some outputs are no tensors: {', '.join(odd)}."
    if unranked := [spec.name for spec in signature.inputs if spec.shape is None]:
        yield f"The rank of some inputs is unknown: {', '.join(unranked)}."
    if domains := sorted({node.domain for node in model.graph.node} - set(STANDARD_DOMAINS)):
        yield f"It uses ops outside ONNX's own set, which not every runtime has: {', '.join(domains)}."
    if any(onnx_dtype(tensor.data_type) == UNKNOWN for tensor in model.graph.initializer):
        yield "Some weights have element types that are not known here; they are not counted."
