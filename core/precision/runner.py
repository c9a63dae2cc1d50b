"""An ONNX model run for the tensors in it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from core.base.errors import ConversionFailed, InvalidRequest, Unavailable, first_line
from core.base.reasons import plain_reason, shortened
from core.onnxio.file import save_onnx


class Runner:
    """A model on ONNX Runtime that gives the tensors asked for, in their order.

    Args:
        model: Left as it is.
        results: Tensors of the model, or outputs of `extra`.
        extra: Nodes to append.
        exact: Run every node as it stands, with no fusion. Rounding by casts survives only so.
    """

    def __init__(
        self, model: onnx.ModelProto, results: Sequence[str], *, extra: Sequence[onnx.NodeProto] = (), exact: bool = False
    ) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise Unavailable("This needs onnxruntime, which is not installed.", hint="pip install onnxruntime") from error
        self.results = list(results)
        options = ort.SessionOptions()
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_DISABLE_ALL if exact else level.ORT_ENABLE_EXTENDED
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        outputs = [helper.make_empty_tensor_value_info(name) for name in self.results]
        with tempfile.TemporaryDirectory(prefix="engineroom-run-") as folder:
            path = Path(folder) / "model.onnx"
            with _outputs_replaced(model, outputs, extra):
                save_onnx(model, path)
            try:
                self.session: Any = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            except Exception as error:
                raise ConversionFailed(f"ONNX Runtime cannot run the model: {_why(error)}", detail=str(error)) from error
        self.inputs = [value.name for value in self.session.get_inputs()]

    def run(self, sample: dict[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        try:
            found: list[NDArray[np.generic]] = self.session.run(self.results, {name: sample[name] for name in self.inputs})
        except Exception as error:
            raise InvalidRequest(f"The model does not run on this sample: {_why(error)}", detail=str(error)) from error
        return found


def _why(error: Exception) -> str:
    return shortened(plain_reason(first_line(error)))


class _outputs_replaced:  # noqa: N801 - reads as the action it is
    """Other outputs, and nodes more, while the block runs; spares a copy of the weights."""

    def __init__(self, model: onnx.ModelProto, outputs: Sequence[onnx.ValueInfoProto], extra: Sequence[onnx.NodeProto]) -> None:
        self.graph = model.graph
        self.outputs = outputs
        self.extra = extra

    def __enter__(self) -> None:
        self.before = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in self.graph.output]
        self.nodes = len(self.graph.node)
        del self.graph.output[:]
        self.graph.output.extend(self.outputs)
        self.graph.node.extend(self.extra)

    def __exit__(self, *_: object) -> None:
        del self.graph.node[self.nodes :]
        del self.graph.output[:]
        self.graph.output.extend(self.before)
