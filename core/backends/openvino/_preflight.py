"""Asks OpenVINO which nodes of an ONNX graph it reads, and of those, which its CPU plugin takes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import onnx

from core.backends._preflight import Refusal, told_by
from core.backends.openvino._layers import NOT_NODES, nodes_by_operation
from core.backends.openvino._reading import imported, told
from core.base.availability import installed_versions
from core.base.files import link_or_copy
from core.base.progress import Report
from core.graph.source import nodes_of_onnx
from core.graph.support import Support
from core.models.model import Source
from core.onnxio.aliases import Aliases
from core.onnxio.file import external_files
from core.onnxio.parts import Types
from core.onnxio.walk import graphs_inside, op_name

_MODEL = "asked.onnx"
_NO_RULE = re.compile(r"No conversion rule found for operations?: ([^\n]+)")
_FAILED_AT = re.compile(r"ONNX node '<Node\(\w+\): ([^>]+)>'")
_VERSION = re.compile(r"-\d+$")
_OTHER = "Export it as other ops"


def preflight(source: Source, folder: Path, report: Report) -> Support:
    """What OpenVINO takes.

    Args:
        folder: On the file system of the source.

    Raises:
        BrokenModel: The model cannot be read as ONNX.
    """
    core = imported().Core()

    def judge(model: onnx.ModelProto, types: Types, aliases: Aliases) -> Sequence[Refusal]:
        if text := _carrying_text(model, types):
            return text
        path = _written(model, source.path.parent, folder)
        try:
            read = core.read_model(os.fspath(path))
        except Exception as error:  # what it raises is a RuntimeError or one of its own
            return _unread(error, model)
        return _unplaced(core, read, model)

    versions = installed_versions("openvino", "onnx")
    nodes, notes = told_by(source.path, "OpenVINO", judge, report)
    return Support(
        nodes=nodes,
        notes=notes,
        way=f"Read by the ONNX frontend of OpenVINO {versions.get('openvino', '')}, then asked its CPU plugin by query_model; "
        "compiling it may still fail.",
        versions=versions,
    )


def _carrying_text(model: onnx.ModelProto, types: Types) -> list[Refusal]:
    """Nodes that read or make text: no build is tried with them, see `_check_dtypes` of the backend."""
    reason = "Engine Room tries no build with text, which OpenVINO's CPU plugin frees twice"
    hint = "Turn text into numbers before the model."
    text = {name for name, kind in types.items() if kind.tensor_type.elem_type == onnx.TensorProto.STRING}
    carrying = [node for node in model.graph.node if text.intersection((*node.input, *node.output))]
    return [Refusal(node.name, reason, hint, is_final=True) for node in carrying]


def _written(model: onnx.ModelProto, origin: Path, folder: Path) -> Path:
    """The model in a folder, its external data beside it: OpenVINO follows no link out of it."""
    for name in external_files(model):
        beside = folder / name
        if not beside.exists():
            beside.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(origin / name, beside)
    path = folder / _MODEL
    path.write_bytes(model.SerializeToString())
    return path


def _unread(error: Exception, model: onnx.ModelProto) -> list[Refusal]:
    """Why it could not be read: the ops that it has no rule for, else the nodes that it names by what they make."""
    text = str(error)
    if found := _NO_RULE.search(text):
        ops = {_VERSION.sub("", op.strip()) for op in found[1].split(",")}
        return [
            Refusal(node.name, f"No conversion rule found for {op_name(node)}", f"{_OTHER}.", is_final=True, is_of_op=True)
            for node in model.graph.node
            if op_name(node) in ops or ops.intersection(_inside(node))
        ] or [Refusal(None, told(error))]
    made = {name for found in _FAILED_AT.finditer(text) for name in found[1].split(", ")}
    hint = f"{_OTHER}, or in another opset."
    at = [Refusal(node.name, told(error), hint) for node in model.graph.node if made.intersection(node.output)]
    return at or [Refusal(None, told(error), hint)]


def _inside(node: onnx.NodeProto) -> Iterable[str]:
    return (op_name(inside) for graph in graphs_inside(node) for inside in graph.node)


def _unplaced(core: Any, read: Any, model: onnx.ModelProto) -> list[Refusal]:
    """The nodes of which an operation has no place on the device."""
    placed = core.query_model(read, "CPU")
    missing = [
        op for op in read.get_ordered_ops() if op.get_type_name() not in NOT_NODES and op.get_friendly_name() not in placed
    ]
    if not missing:
        return []
    makes = nodes_by_operation(read, nodes_of_onnx(model))
    hint = f"{_OTHER}."
    found = {
        name: Refusal(name, f"The CPU plugin has no place for its operation {op.get_type_name()}", hint)
        for op in missing
        for name in makes.get(op.get_friendly_name(), ())
    }
    kinds = ", ".join(sorted({op.get_type_name() for op in missing}))
    return list(found.values()) or [Refusal(None, f"The CPU plugin has no place for {kinds}", hint)]
