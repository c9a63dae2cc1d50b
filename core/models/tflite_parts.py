"""One operator of a TensorFlow Lite file as a file of its own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from core.models.tflite_tables import read_tables, schema

FILE_IDENTIFIER = b"TFL3"


class Operators:
    """The operators of one subgraph of a file.

    Args:
        path: The `.tflite` file.
        subgraph: Its number.

    Raises:
        Unavailable: LiteRT is not installed.
    """

    def __init__(self, path: Path, subgraph: int) -> None:
        self._model = schema().ModelT.InitFromObj(read_tables(path))
        self._graph = self._model.subgraphs[subgraph]

    def __len__(self) -> int:
        return len(self._graph.operators or ())

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of the tensors that the file stores."""
        tensors = (tensor for place, tensor in enumerate(self._graph.tensors) if self._is_stored(place))
        return tuple((tensor.name or b"").decode("utf-8", "replace") for tensor in tensors)

    def alone(self, position: int) -> bytes:
        """A file of that operator alone: its stored tensors go along, the others it reads are inputs."""
        operator = copy.copy(self._graph.operators[position])
        model, graph = copy.copy(self._model), copy.copy(self._graph)
        graph.operators, model.signatureDefs, model.metadata = [operator], None, None
        if _calls(operator):  # what it calls is told by number, and has tensors of its own
            graph.inputs = [int(place) for place in operator.inputs if place >= 0 and not self._is_stored(place)]
            graph.outputs = [int(place) for place in operator.outputs]
            model.subgraphs = [graph, *self._model.subgraphs[1:]]
            return _packed(model)
        used = list(dict.fromkeys(int(place) for place in (*operator.inputs, *operator.outputs) if place >= 0))
        numbers = {place: number for number, place in enumerate(used)} | {-1: -1}
        graph.tensors, model.buffers = [], [schema().BufferT()]
        for place in used:
            tensor = copy.copy(self._graph.tensors[place])
            if self._is_stored(place):
                model.buffers.append(self._model.buffers[tensor.buffer])
                tensor.buffer = len(model.buffers) - 1
            else:
                tensor.buffer = 0
            graph.tensors.append(tensor)
        operator.inputs = [numbers[int(place)] for place in operator.inputs]
        operator.outputs = [numbers[int(place)] for place in operator.outputs]
        graph.inputs = [numbers[place] for place in used if not self._is_stored(place) and numbers[place] not in operator.outputs]
        graph.outputs = operator.outputs
        model.subgraphs = [graph]
        return _packed(model)

    def _is_stored(self, place: int) -> bool:
        buffer = self._model.buffers[self._graph.tensors[place].buffer]
        return buffer.data is not None and len(buffer.data) > 0


def _calls(operator: Any) -> bool:
    """Whether it runs other subgraphs: IF, WHILE, CALL_ONCE."""
    return any(
        "ubgraph" in name for options in (operator.builtinOptions, operator.builtinOptions2) if options for name in vars(options)
    )


def _packed(model: Any) -> bytes:
    import flatbuffers  # type: ignore[import-untyped]

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())
