"""OpenVINO's compiled models: how they are set up, and how arrays get in and out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.backends._errors import failure
from core.backends._inputs import check_inputs
from core.backends.base import BuildConfig, OptionValue
from core.backends.openvino._arrays import as_array, as_tensor
from core.backends.openvino._reading import Ports, dtype_of, told
from core.base.errors import RunFailed
from core.base.precision import Precision
from core.base.tensors import Array, Signature, Tensors

# What layers compute in where nothing else is said. An INT8 graph says it itself, layer by layer.
HINTS = {Precision.FP32: "f32", Precision.FP16: "f16", Precision.BF16: "bf16", Precision.INT8: "f32"}
# Each layer as the graph types it: a hint of one type would narrow the nodes that were kept in FP32 too.
AS_TYPED = "dynamic"
_NARROW_TYPES = {Precision.FP16: "f16", Precision.BF16: "bf16"}
_WEIGHTS = ("Constant", "Convert")
_INCOMPATIBLE = "are incompatible"  # of a tensor's shape with the model's


def compile_properties(
    model: Any, config: BuildConfig, options: Mapping[str, OptionValue], *, profiled: bool = False
) -> dict[str, Any]:
    """Every property that decides what a compiled model does; no cache, so that each load does the same."""
    return {
        "INFERENCE_PRECISION_HINT": AS_TYPED if is_typed(model, config.precision) else HINTS[config.precision],
        "PERFORMANCE_HINT": str(options["performance_hint"]).upper(),
        "NUM_STREAMS": str(options["streams"]),
        "PERF_COUNT": profiled,
        "INFERENCE_NUM_THREADS": config.threads or len(os.sched_getaffinity(0)),
    }


def is_typed(model: Any, precision: Precision) -> bool:
    """Whether the graph itself computes in FP16 or BF16 somewhere; weights that are only stored so do not count."""
    narrow = _NARROW_TYPES.get(precision)
    return narrow is not None and any(
        output.get_element_type().get_type_name() == narrow
        for op in model.get_ops()
        if op.get_type_name() not in _WEIGHTS
        for output in op.outputs()
    )


def told_settings(compiled: Any) -> dict[str, str]:
    """Properties of a compiled model as people read them."""
    hint = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return {
        "threads": str(compiled.get_property("INFERENCE_NUM_THREADS")),
        "streams": str(compiled.get_property("NUM_STREAMS")),
        "inference precision": "as the graph is typed" if hint == AS_TYPED else dtype_of(hint),
        "performance hint": str(compiled.get_property("PERFORMANCE_HINT")).lower(),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """A layer in a profiled run, under OpenVINO's own name, which others may have too; `time_ms` is None where it did not run."""

    name: str
    kernel: str
    time_ms: float | None


class OpenVinoSession:
    """A loaded engine.

    Attributes:
        settings: What the runtime was set to, for the record of a measurement.
    """

    def __init__(self, compiled: Any, signature: Signature, ports: Ports) -> None:
        self.settings = told_settings(compiled)
        self._signature = signature
        # By its port: an input that passes straight through has the output's name as well.
        self._inputs = {name: compiled.input(tensor) for name, tensor in ports.inputs.items()}
        self._outputs = {name: compiled.output(tensor) for name, tensor in ports.outputs.items()}
        self._request: Any = compiled.create_infer_request()

    def close(self) -> None:
        self._inputs = {}
        self._outputs = {}
        self._request = None

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Runs once.

        Raises:
            InvalidRequest: The inputs are not the signature's.
            RunFailed: OpenVINO failed, or a shape is outside the build's profile.
        """
        # OpenVINO's tensors look at these arrays without keeping them alive.
        arrays = {name: _writeable(array) for name, array in check_inputs(self._signature, inputs).items()}
        try:
            for name, port in self._inputs.items():
                self._request.set_tensor(port, as_tensor(arrays[name]))
            self._request.infer()
            return {name: as_array(self._request.get_tensor(port)) for name, port in self._outputs.items()}
        except Exception as error:
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
            hint = "Check the input shapes against the build's shape profile." if _INCOMPATIBLE in str(error) else ""
            raise failure(RunFailed, f"OpenVINO could not run the engine on {shapes}", error, hint=hint, sentence=told) from error

    def profiled_layers(self) -> list[Profiled]:
        """What the last run told of each layer, in their order."""
        return [
            Profiled(
                name=info.node_name,
                kernel=info.exec_type,
                time_ms=info.real_time.total_seconds() * 1000 if info.status == info.status.EXECUTED else None,
            )
            for info in self._request.get_profiling_info()
        ]


def _writeable(array: Array) -> Array:
    """The array, or a copy where it is read-only: OpenVINO would refuse it, although it only reads."""
    return array if array.flags.writeable else array.copy()
