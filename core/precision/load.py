"""Reads a model in the form that a precision is put into."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from onnx import inliner

from core.base.precision import Precision
from core.base.progress import Report, silent
from core.onnxio.file import read_onnx
from core.onnxio.simplify import ENTRY, simplify
from core.onnxio.walk import name_nodes
from core.precision.turned_weights import turn_weights
from core.precision.view import lift_constants


def load_for(source: Path, precision: Precision, report: Report = silent) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Reads a model as it comes, for `core.precision.lower.lower`, and tells what there is to note about it.

    For quantizing, the graph is simplified first: what an exporter left unfolded keeps TensorRT from fusing.
    """
    if not precision.quantizes:
        return load_simplified(source, precision), ()
    with tempfile.TemporaryDirectory(prefix="engineroom-simplify-") as folder:
        simplified = simplify(source, Path(folder), report)
        return load_simplified(Path(folder) / ENTRY, precision), simplified.notes


def load_simplified(source: Path, precision: Precision) -> onnx.ModelProto:
    """Reads a model that was simplified already, or need not be."""
    model = read_onnx(source)
    if precision.in_graph:
        model = prepare_graph(model)
        if precision.quantizes:
            turn_weights(model)
        return model
    name_nodes(model)
    return model


def prepare_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in the form that plans and rewrites read: functions inlined, constants lifted, every node named."""
    if model.functions:
        model = inliner.inline_local_functions(model)
    name_nodes(model)
    lift_constants(model)
    return model


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy to put a precision into, which changes what it is given."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
