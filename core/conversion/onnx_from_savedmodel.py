"""SavedModel to ONNX, by tf2onnx."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.base.errors import ConversionFailed
from core.base.lean import import_tensorflow
from core.base.progress import Progress, Report
from core.conversion import _tf2onnx
from core.conversion._failures import explained
from core.conversion._savedmodel import load_signature, state_told
from core.conversion._weights_file import taken_out
from core.conversion.base import Converted
from core.models.model import Format, Source


class OnnxFromSavedModel(_tf2onnx.FromTensorFlow):
    """See `Conversion`."""

    name = "onnx_from_savedmodel"
    source = Format.SAVEDMODEL

    def convert(self, source: Source, folder: Path, report: Report) -> Converted:
        what = f"signature {source.signature.name}"
        with explained(_tf2onnx.TOOL, what, logger=_tf2onnx.LOGGER) as log:
            report(Progress(message="Loading TensorFlow and the SavedModel", fraction=0.0))
            frozen = self._frozen(source, what, report)
            return _tf2onnx.to_onnx(frozen, source.signature, folder, what=what, log=log, report=report)

    def _frozen(self, source: Source, what: str, report: Report) -> _tf2onnx.Frozen:
        tf = import_tensorflow()
        from tf2onnx import tf_loader

        with tf.device("/cpu:0"):
            loaded, function = load_signature(source)
            inputs, outputs = _tensor_names(function)
            _check_names(inputs, outputs, source, what)
            report(Progress(message="Freezing the variables", fraction=0.2))
            weight_bytes = sum(variable.dtype.size * variable.shape.num_elements() for variable in function.graph.variables)
            large = weight_bytes >= self.large_from_bytes
            # `large_model` freezes without building a function from the result, which costs as much again; only with a
            # lookup table is that needed, to find it.
            direct = large or not _uses_tables(function)
            with state_told(what, function):
                graph, tables = tf_loader.from_trackable(loaded, function, list(inputs), list(outputs), large_model=direct)
                if direct and not large:
                    graph = _tf2onnx.folded(graph, list(inputs), list(outputs))
            graph, weights = taken_out(graph) if large else (graph, None)
        return _tf2onnx.Frozen(graph=graph, inputs=inputs, outputs=outputs, tables=tables, weights=weights)


def _uses_tables(function: Any) -> bool:
    """Whether a function uses resources other than variables."""
    variables = {id(variable.handle) for variable in function.graph.variables}
    return any(tensor.dtype == "resource" and id(tensor) not in variables for tensor in function.captured_inputs)


def _tensor_names(function: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Names of a signature function's input and output tensors, each with the signature's own name for it."""
    captured = {id(tensor) for tensor in function.graph.internal_captures}
    tensors = [tensor for tensor in function.inputs if id(tensor) not in captured]
    inputs = {tensor.name: str(key) for tensor, key in zip(tensors, function._arg_keywords, strict=True)}
    # TensorFlow flattens dicts by sorted keys.
    outputs = {tensor.name: str(key) for tensor, key in zip(function.outputs, sorted(function.structured_outputs), strict=True)}
    return inputs, outputs


def _check_names(inputs: Mapping[str, str], outputs: Mapping[str, str], source: Source, what: str) -> None:
    wanted = source.signature
    for kind, have, want in (("inputs", inputs, wanted.inputs), ("outputs", outputs, wanted.outputs)):
        if sorted(have.values()) != sorted(spec.name for spec in want):
            raise ConversionFailed(
                f"The {kind} of {what} are {', '.join(have.values())}; {', '.join(spec.name for spec in want)} were expected.",
                hint="The model has changed since it was added. Add it again.",
            )


CONVERSION = OnnxFromSavedModel()
