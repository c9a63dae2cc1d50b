"""Carries the stored model over to the format that the path's backend takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import onnx

from core.base.availability import installed_versions
from core.base.tensors import Signature, TensorSpec
from core.conversion.base import Conversion
from core.models.model import Format
from core.onnxio.file import read_onnx, save_onnx
from core.onnxio.walk import name_nodes, op_counts
from core.request.paths import conversion_between, path_named
from core.stages.prepare import make_prepared
from core.stages.stage import Needs, Prepared, Stage, StageContext, Task
from core.storage.builds import StageName


def run(context: StageContext) -> Prepared:
    formats = path_named(context.model, context.request.path).formats
    prepared = context.prepared
    for target in formats[1:]:
        prepared = _convert(context, prepared, conversion_between(prepared.format, target))
    return _with_named_nodes(context, prepared) if formats == (Format.ONNX,) else prepared


def _convert(context: StageContext, base: Prepared, conversion: Conversion) -> Prepared:
    def make(folder: Path) -> Prepared:
        done = conversion.convert(context.source(base), folder, context.report)
        return Prepared(
            artifact=None,
            entry=done.entry,
            format=done.format,
            signature=done.signature,
            ops=done.ops,
            versions=done.versions,
            notes=done.notes,
        )

    return make_prepared(context, base, {"step": conversion.name}, installed_versions(*conversion.packages), make)


def _with_named_nodes(context: StageContext, base: Prepared) -> Prepared:
    """ONNX as uploaded, unless it has unnamed nodes, as layers could not be traced back to those; or inputs without shapes."""
    path = context.source(base).path
    graph = read_onnx(path, weights=False)
    given = _without_shapes(graph, base.signature)
    unnamed = name_nodes(graph)
    if not unnamed and not given:
        return base

    def make(folder: Path) -> Prepared:
        model = read_onnx(path)
        name_nodes(model)
        _give_shapes(model, given)
        save_onnx(model, folder / "model.onnx")
        return Prepared(
            artifact=None,
            entry="model.onnx",
            format=Format.ONNX,
            signature=base.signature,
            ops=op_counts(model),
            notes=tuple(_notes(unnamed, given)),
        )

    return make_prepared(context, base, {"step": "name-nodes"}, installed_versions("onnx"), make)


def _without_shapes(model: onnx.ModelProto, signature: Signature) -> dict[str, TensorSpec]:
    """The inputs whose shape the file does not tell and the signature does, from the arrays that were given."""
    specs = {spec.name: spec for spec in signature.inputs if spec.shape is not None}
    untold = [info.name for info in model.graph.input if not info.type.tensor_type.HasField("shape")]
    return {name: specs[name] for name in untold if name in specs}


def _give_shapes(model: onnx.ModelProto, given: Mapping[str, TensorSpec]) -> None:
    for info in model.graph.input:
        if info.name in given:
            shape = info.type.tensor_type.shape
            shape.SetInParent()
            for axis in given[info.name].shape or ():
                shape.dim.add(**({"dim_param": axis} if isinstance(axis, str) else {"dim_value": axis}))


def _notes(unnamed: bool, given: Mapping[str, TensorSpec]) -> Iterator[str]:
    if unnamed:
        yield "Unnamed nodes were given names, so that layers can be traced back to them."
    if given:
        told = ", ".join(f"{spec.name} {list(spec.shape or ())}" for spec in given.values())
        yield f"The file tells no shapes of inputs; those of your inputs were taken: {told}."


def _needs(task: Task) -> Needs:
    return Needs(conversions=tuple(conversion_between(source, target).name for source, target in pairwise(task.path.formats)))


STAGE = Stage(
    name=StageName.CONVERT,
    result=Prepared,
    run=run,
    when=lambda task: len(task.path.formats) > 1 or task.ends_in_onnx,
    needs=_needs,
)
