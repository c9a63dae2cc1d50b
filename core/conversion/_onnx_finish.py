"""The last steps to an ONNX file: the signature's names and axes, and a trial load."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import ValueInfoProto

from core.base.dtypes import onnx_number
from core.base.errors import ConversionFailed
from core.base.tensors import Signature, TensorSpec
from core.conversion._failures import last_words
from core.onnxio import walk


def keep_signature(model: onnx.ModelProto, signature: Signature, what: str) -> None:
    """Makes the graph's inputs and outputs the signature's: its names, its order, its symbol for each dynamic axis.

    Raises:
        ConversionFailed: The graph lacks an output, or has an input that the signature does not know.
    """
    graph = model.graph
    inputs, outputs = ({info.name: info for info in infos} for infos in (graph.input, graph.output))
    wanted = {spec.name for spec in signature.inputs}
    strange = (inputs.keys() - wanted) | {spec.name for spec in signature.outputs if spec.name not in outputs}
    if strange:
        raise ConversionFailed(
            f"After the conversion of {what}, these inputs or outputs do not match its signature: {', '.join(sorted(strange))}.",
            hint="Export the model again with inputs and outputs that depend on each other.",
        )
    # An input that nothing uses has dropped out; a caller still feeds it.
    new_inputs = [_with_axes(inputs.get(spec.name) or _unused(spec), spec) for spec in signature.inputs]
    new_outputs = [_with_axes(outputs[spec.name], spec) for spec in signature.outputs]
    for field, infos in ((graph.input, new_inputs), (graph.output, new_outputs)):
        del field[:]
        field.extend(infos)
    known = {axis for spec in (*signature.inputs, *signature.outputs) for axis in spec.dynamic_axes}
    for subgraph in walk.graphs(model):
        for info in [*subgraph.input, *subgraph.output, *subgraph.value_info]:
            _forget_strange_symbols(info, known)


def _unused(spec: TensorSpec) -> ValueInfoProto:
    return onnx.helper.make_tensor_value_info(spec.name, onnx_number(spec.dtype), None)


def _with_axes(info: ValueInfoProto, spec: TensorSpec) -> ValueInfoProto:
    """The tensor with the specification's shape; with its own when the specification has none or another rank."""
    shape = info.type.tensor_type.shape
    known = info.type.tensor_type.HasField("shape")
    if spec.shape is not None and (not known or len(shape.dim) == len(spec.shape)):
        shape.ClearField("dim")
        shape.SetInParent()
        for axis in spec.shape:
            shape.dim.add(**({"dim_param": axis} if isinstance(axis, str) else {"dim_value": axis}))
    return info


def _forget_strange_symbols(info: ValueInfoProto, known: set[str]) -> None:
    """Clears tf2onnx's own `unk__12`: it makes a new one for every axis, so equal axes look different."""
    for dim in info.type.tensor_type.shape.dim:
        if dim.dim_param and dim.dim_param not in known:
            dim.ClearField("dim_param")


def load_in_runtime(path: Path, what: str) -> list[str]:
    """Loads the model in ONNX Runtime, which finds what a converter got wrong; notes on what could not be checked.

    Raises:
        ConversionFailed: The model is not valid.
    """
    try:
        import onnxruntime
    except ImportError:
        return ["ONNX Runtime is not installed, so the converted model was not loaded."]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        words = last_words(error)
        # Its CPU kernels do not cover every type of every op; another runtime's may.
        if type(error).__name__ == "NotImplemented":
            return [f"ONNX Runtime cannot run the converted model: {words}."]
        raise ConversionFailed(
            f"ONNX Runtime refuses the ONNX model that tf2onnx made of {what}: {words}.",
            hint="This is most likely a fault of tf2onnx, which a path without ONNX does not meet.",
            detail=str(error),
        ) from error
    return []
