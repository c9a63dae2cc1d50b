"""Reads what a TensorFlow Lite file tells of itself."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.base.dtypes import tflite_dtype
from core.base.errors import BrokenModel
from core.base.tensors import Signature
from core.models.axes import RawTensor, with_symbols
from core.models.reading import Reading, most_frequent_first
from core.models.tflite_tables import op_of, read_tables, text
from core.models.weights import WeightTotal

# The name that a model without signatures has for its only callable.
SIGNATURE_NAME = "main"
_DEFAULT_SIGNATURE = "serving_default"


def read_tflite(path: Path) -> Reading:
    """Reads a `.tflite` file.

    Raises:
        BrokenModel: It is damaged.
        Unavailable: LiteRT is not installed.
    """
    try:
        return _TfliteReader(read_tables(path)).read()
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise BrokenModel(
            f"{path.name} is cut short or damaged: its tables point outside it.", hint="Convert it again."
        ) from error


class _TfliteReader:
    """One parsed file; the flatbuffer accessors raise all sorts of errors on damaged data."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def read(self) -> Reading:
        definitions = self._definitions()
        return Reading(
            signatures=tuple(self._signatures(definitions)),
            producer=self._producer(),
            weights=self._weights(definitions[0].SubgraphIndex() if definitions else 0),
            ops=most_frequent_first(Counter(self._ops())),
        )

    def _producer(self) -> str | None:
        """TensorFlow's version from the metadata its converter leaves, else the file's description.

        Source: tensorflow/compiler/mlir/lite/schema/conversion_metadata.fbs (environment, then tensorflow_version).
        """
        from flatbuffers.table import Table  # type: ignore[import-untyped]

        for entry in (self.model.Metadata(index) for index in range(self.model.MetadataLength())):
            if text(entry.Name()) == "CONVERSION_METADATA":
                data = self.model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
                metadata = Table(data, struct.unpack_from("<I", data)[0])
                environment = Table(data, metadata.Indirect(metadata.Pos + metadata.Offset(4)))
                return f"TensorFlow {text(environment.String(environment.Pos + environment.Offset(4)))} Lite converter"
        return text(self.model.Description()) or None

    def _definitions(self) -> list[Any]:
        found = [self.model.SignatureDefs(index) for index in range(self.model.SignatureDefsLength())]
        return sorted(found, key=lambda d: (text(d.SignatureKey()) != _DEFAULT_SIGNATURE, text(d.SignatureKey())))

    def _signatures(self, definitions: list[Any]) -> Iterator[Signature]:
        for definition in definitions:
            graph = self.model.Subgraphs(definition.SubgraphIndex())
            inputs = [definition.Inputs(index) for index in range(definition.InputsLength())]
            outputs = [definition.Outputs(index) for index in range(definition.OutputsLength())]
            yield with_symbols(
                text(definition.SignatureKey()),
                [self._raw(graph.Tensors(item.TensorIndex()), text(item.Name())) for item in inputs],
                [self._raw(graph.Tensors(item.TensorIndex()), text(item.Name())) for item in outputs],
            )
        if not definitions:
            graph = self.model.Subgraphs(0)
            inputs = [graph.Tensors(graph.Inputs(index)) for index in range(graph.InputsLength())]
            outputs = [graph.Tensors(graph.Outputs(index)) for index in range(graph.OutputsLength())]
            yield with_symbols(SIGNATURE_NAME, map(self._raw, inputs), map(self._raw, outputs))

    def _raw(self, tensor: Any, name: str = "") -> RawTensor:
        known = tensor.ShapeSignature if tensor.ShapeSignatureLength() else tensor.Shape
        shape = tuple(axis if (axis := int(known(index))) >= 0 else None for index in range(tensor.ShapeLength()))
        return RawTensor(name=name or text(tensor.Name()), dtype=tflite_dtype(tensor.Type()), shape=shape)

    def _weights(self, subgraph: int) -> WeightTotal:
        """Of a subgraph: tensors with stored data, those that share a buffer once."""
        graph = self.model.Subgraphs(subgraph)
        total, seen = WeightTotal(), set()
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            buffer = self.model.Buffers(tensor.Buffer())
            if tensor.Buffer() in seen or not (buffer.DataLength() or buffer.Size()):
                continue
            seen.add(tensor.Buffer())
            shape = [int(tensor.Shape(index)) for index in range(tensor.ShapeLength())]
            quantization = tensor.Quantization()
            # A quantized model's bias is a list of integers, and may be as short as a shape.
            quantized = quantization is not None and quantization.ScaleLength() > 0
            total = total.plus(tflite_dtype(tensor.Type()), shape, certain=quantized)
        return total

    def _ops(self) -> Iterator[str]:
        for graph in (self.model.Subgraphs(index) for index in range(self.model.SubgraphsLength())):
            for operator in (graph.Operators(index) for index in range(graph.OperatorsLength())):
                name, is_custom = op_of(self.model, operator)
                yield f"custom.{name}" if is_custom else name
