"""Simplifies an ONNX graph before it is quantized or built: constants folded, dead and repeated nodes removed.

What runtimes fold badly themselves costs layers: TensorRT kept 47 constants and dozens of reformats of a ResNet-50
whose biases an exporter had passed through `Identity` nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx

from core.base.availability import installed_version
from core.base.errors import ConversionFailed
from core.base.progress import Progress, Report, silent
from core.onnxio.file import read_onnx, save_onnx
from core.onnxio.walk import RANDOM_OPS, name_nodes, nodes, op_counts

ENTRY = "model.onnx"

# Folding must not unpack a small constant into a large one (an Expand of zeros): such results stay computed.
FOLDED_CONSTANT_LIMIT_BYTES = 16 * 1024 * 1024
# It wraps a MatMul in reshapes, which hides which nodes it came from and which runtimes match less well.
SKIPPED_PATTERNS = ("FusionGemm",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simplified:
    """A simplified graph, and what changed.

    Attributes:
        entry: The main file below the folder.
        nodes_before: Nodes of the whole model.
        ops_after: Count of each op type.
        folded: Names of nodes whose inputs are constants, and that are gone.
        removed: Names of the others that are gone: without effect, without use, repeated, or merged into a neighbour.
        added: Names of nodes that were not there before.
        version: Of onnxslim.
        notes: Sentences, why the graph was left as it is among them.
    """

    entry: str
    nodes_before: int
    nodes_after: int
    ops_after: dict[str, int]
    folded: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    version: str | None = None
    notes: tuple[str, ...] = ()


def simplify(source: Path, folder: Path, report: Report = silent) -> Simplified:
    """Writes a simplified copy of an ONNX model into `folder`; nodes that stay keep their names, unnamed ones get one.

    Inputs stay, those that nothing reads among them. A graph that cannot be simplified is written as it was, and a note says why.

    Args:
        source: The `.onnx` file; weights above protobuf's limit lie beside it.
        folder: An existing, empty folder.
        report: Told where it is.

    Raises:
        BrokenModel: The file is no ONNX model.
    """
    report(Progress(message="Reading the graph", fraction=0.0))
    model = read_onnx(source)
    name_nodes(model)
    before = [node.name for node in nodes(model)]
    foldable = _foldable(model.graph)
    report(Progress(message=f"Simplifying {len(before)} nodes", fraction=0.2))
    notes: tuple[str, ...] = ()
    try:
        slimmed = _slimmed(model)
        _restore_names(slimmed.graph, model.graph)
        name_nodes(slimmed)
        _write_kernel_shapes(slimmed.graph)
    except Exception as error:  # onnxslim raises what its many passes raise
        notes = (f"onnxslim could not simplify this graph, so it is used as it was: {type(error).__name__}: {error}",)
        slimmed = read_onnx(source)
        name_nodes(slimmed)
    report(Progress(message="Writing the graph", fraction=0.9))
    save_onnx(slimmed, folder / ENTRY)
    after = [node.name for node in nodes(slimmed)]
    gone, known = set(before) - set(after), set(before)
    return Simplified(
        entry=ENTRY,
        nodes_before=len(before),
        nodes_after=len(after),
        ops_after=op_counts(slimmed),
        folded=tuple(name for name in before if name in gone and name in foldable),
        removed=tuple(name for name in before if name in gone and name not in foldable),
        added=tuple(name for name in after if name not in known),
        version=installed_version("onnxslim"),
        notes=notes,
    )


def _slimmed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model after onnxslim, checked; onnxslim works on a copy, as a failed pass can leave a graph half changed."""
    import onnxslim

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    slimmed: onnx.ModelProto = onnxslim.slim(
        copy, skip_fusion_patterns=list(SKIPPED_PATTERNS), size_threshold=FOLDED_CONSTANT_LIMIT_BYTES
    )
    if not set(_names(slimmed.graph.input)) <= set(_names(model.graph.input)) or _names(model.graph.output) != _names(
        slimmed.graph.output
    ):
        raise ConversionFailed("it changed the graph's inputs or outputs")
    if _random(slimmed) < _random(model):
        raise ConversionFailed("it took out nodes that give other values each time")
    _restore_inputs(slimmed.graph, model.graph)
    return slimmed


def _random(model: onnx.ModelProto) -> int:
    return sum(node.op_type in RANDOM_OPS for node in nodes(model))


def _names(values: Iterable[onnx.ValueInfoProto]) -> list[str]:
    return [value.name for value in values]


def _restore_inputs(graph: onnx.GraphProto, before: onnx.GraphProto) -> None:
    """Puts back the inputs that nothing reads any more: a caller feeds what the model's signature says."""
    left = {value.name: value for value in graph.input}
    weights = {tensor.name for tensor in before.initializer} - left.keys()
    inputs = [left.get(value.name, value) for value in before.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)


def _restore_names(graph: onnx.GraphProto, before: onnx.GraphProto) -> None:
    """Gives a node that others were merged into (Conv, from Conv, Mul and Add) the name it had before."""
    known = {node.name for node in before.node}
    makers = {output: node for node in before.node for output in node.output}
    taken = {node.name for node in graph.node}
    for node in graph.node:
        queue = [] if node.name in known else list(node.output)
        while queue:
            old = makers.get(queue.pop(0))
            if old is None or old.name in taken:
                continue
            if old.op_type == node.op_type:
                node.name = old.name
                taken.add(old.name)
                break
            queue += old.input


def _write_kernel_shapes(graph: onnx.GraphProto) -> None:
    """Spells out what a convolution's weights imply: TensorRT 8.5 needs it once the weights come out of a DequantizeLinear."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        kernel = shapes.get(node.input[1], ())[2:] if node.op_type in ("Conv", "ConvTranspose") else ()
        if kernel and all(attribute.name != "kernel_shape" for attribute in node.attribute):
            node.attribute.append(onnx.helper.make_attribute("kernel_shape", kernel))


def _foldable(graph: onnx.GraphProto) -> set[str]:
    """Names of the main graph's nodes that depend on constants alone."""
    constants = {"", *(tensor.name for tensor in graph.initializer)}
    names = set()
    for node in graph.node:
        if node.op_type == "Constant" or (node.input and constants.issuperset(node.input)):
            names.add(node.name)
            constants.update(node.output)
    return names
