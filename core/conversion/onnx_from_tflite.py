"""TensorFlow Lite to ONNX, by tf2onnx. Quantized models keep their scales, as Q/DQ nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.base.availability import Availability, from_packages
from core.base.errors import ConversionFailed
from core.base.progress import Progress, Report
from core.base.tensors import Signature
from core.conversion import _tf2onnx
from core.conversion._failures import explained
from core.conversion.base import Converted
from core.models.model import Format, Source
from core.models.tflite_tables import read_tables, signature_ends


class OnnxFromTflite:
    """See `Conversion`."""

    name = "onnx_from_tflite"
    source = Format.TFLITE
    target = Format.ONNX
    packages = _tf2onnx.PACKAGES

    def availability(self) -> Availability:
        litert = from_packages("LiteRT", "ai-edge-litert")  # its schema tells which tensor a signature's name means
        return _tf2onnx.availability() if litert.available else litert

    def convert(self, source: Source, folder: Path, report: Report) -> Converted:
        with explained(_tf2onnx.TOOL, source.title, logger=_tf2onnx.LOGGER) as log:
            report(Progress(message="Loading TensorFlow", fraction=0.0))
            inputs, outputs = _tensor_names(source.path, source.signature)
            frozen = _tf2onnx.Frozen(tflite=source.path, inputs=inputs, outputs=outputs)
            return _tf2onnx.to_onnx(frozen, source.signature, folder, what=source.title, log=log, report=report)


def _tensor_names(path: Path, signature: Signature) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Names of the file's input and output tensors, each with the signature's name for it.

    Raises:
        ConversionFailed: The signature is not that of the file's main graph, the only one that tf2onnx converts.
    """
    ends = signature_ends(read_tables(path), signature.name)
    if ends is None:  # a file without signatures goes by its tensors' own names
        return {spec.name: spec.name for spec in signature.inputs}, {spec.name: spec.name for spec in signature.outputs}
    if ends.subgraph != 0:
        raise ConversionFailed(
            f"tf2onnx converts only the first graph of {path.name}, and signature {signature.name} is another one's.",
            hint="Convert the model that the file was made from, or run it with LiteRT.",
        )
    return {tensor: name for name, tensor in ends.inputs.items()}, {tensor: name for name, tensor in ends.outputs.items()}


CONVERSION = OnnxFromTflite()
