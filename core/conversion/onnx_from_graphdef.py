"""Frozen GraphDef to ONNX, by tf2onnx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.base.errors import ConversionFailed
from core.base.lean import import_tensorflow
from core.base.progress import Progress, Report
from core.base.tensors import Signature
from core.conversion import _tf2onnx
from core.conversion._failures import explained
from core.conversion._weights_file import taken_out
from core.conversion.base import Converted
from core.models.model import Format, Source
from core.models.tf_graph import tensor_name
from core.models.tf_loadable import keep_no_calls


class OnnxFromGraphDef(_tf2onnx.FromTensorFlow):
    """See `Conversion`."""

    name = "onnx_from_graphdef"
    source = Format.GRAPHDEF

    def convert(self, source: Source, folder: Path, report: Report) -> Converted:
        with explained(_tf2onnx.TOOL, source.title, logger=_tf2onnx.LOGGER) as log:
            report(Progress(message="Loading TensorFlow and the graph", fraction=0.0))
            frozen = self._frozen(source)
            return _tf2onnx.to_onnx(frozen, source.signature, folder, what=source.title, log=log, report=report)

    def _frozen(self, source: Source) -> _tf2onnx.Frozen:
        tf = import_tensorflow()

        with tf.device("/cpu:0"):
            graph, feeds, marked = _cut(source.path, source.signature)
            inputs = {feed: spec.name for feed, spec in zip(feeds, source.signature.inputs, strict=True)}
            outputs = {tensor_name(spec.name): spec.name for spec in source.signature.outputs}
            large = source.path.stat().st_size >= self.large_from_bytes
            if marked or not large:  # which inlines calls too
                graph = _tf2onnx.folded(graph, list(inputs), list(outputs))
            graph, weights = taken_out(graph) if large else (graph, None)
        return _tf2onnx.Frozen(graph=graph, inputs=inputs, outputs=outputs, weights=weights)


def _cut(path: Path, signature: Signature) -> tuple[Any, list[str], bool]:
    """The part of the graph between the signature's inputs and outputs, and the names of its new placeholders.

    And whether it has calls that were marked to stay.

    New ones, because an input may be any tensor of the graph, and its shape in the signature says more.

    Raises:
        ConversionFailed: The graph has no tensor of one of those names.
    """
    tf = import_tensorflow()

    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    marked = keep_no_calls(definition)
    with tf.Graph().as_default() as graph:
        feeds = {}
        for index, spec in enumerate(signature.inputs):
            feeds[tensor_name(spec.name)] = tf.compat.v1.placeholder(
                tf.as_dtype(spec.dtype), spec.lengths, name=f"signature_input_{index}"
            )
        fetches = [tensor_name(spec.name) for spec in signature.outputs]
        try:
            tf.graph_util.import_graph_def(definition, input_map=feeds, return_elements=fetches, name="")
        except ValueError as error:
            if "not found in graph" not in str(error):
                raise
            raise ConversionFailed(
                f"{path.name} lacks one of the tensors {', '.join([*feeds, *fetches])}.",
                hint="Inspect the model for its tensors' names.",
            ) from error
        ends = [tensor.op.name for tensor in feeds.values()] + [name.split(":")[0] for name in fetches]
        part = tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), ends)
        return part, [tensor.name for tensor in feeds.values()], marked


CONVERSION = OnnxFromGraphDef()
