"""ONNX Runtime's sessions: how they are set up, and how arrays get in and out."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.backends._errors import failure
from core.backends._inputs import as_text, check_inputs
from core.backends.base import BuildConfig, OptionValue
from core.backends.onnxruntime._hints import running_hint
from core.base.dtypes import dtype_in, numpy_dtype, onnx_number
from core.base.errors import RunFailed, Unavailable
from core.base.tensors import Array, Signature, Tensors

_ERRORS_ONLY = 3
# Types that the plain call does not know; those of 4 bits, two in a byte, are not among them.
_BY_REFERENCE = frozenset({"bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"})


def imported() -> Any:
    """The `onnxruntime` module.

    Raises:
        Unavailable: It is not installed, or does not load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable(f"ONNX Runtime cannot be imported: {error}", hint="pip install onnxruntime") from error
    return onnxruntime


def session_options(config: BuildConfig, options: Mapping[str, OptionValue]) -> Any:
    """Threads, spinning and execution mode; everything but the graph's optimisation."""
    runtime = imported()
    made = runtime.SessionOptions()
    made.log_severity_level = _ERRORS_ONLY
    made.intra_op_num_threads = config.threads or len(os.sched_getaffinity(0))
    made.inter_op_num_threads = int(options["inter_op_threads"])
    modes = runtime.ExecutionMode
    made.execution_mode = modes.ORT_PARALLEL if options["execution_mode"] == "parallel" else modes.ORT_SEQUENTIAL
    spinning = "1" if options["spinning"] else "0"
    made.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    made.add_session_config_entry("session.inter_op.allow_spinning", spinning)
    return made


def told_settings(made: Any) -> dict[str, str]:
    """Session options as people read them."""
    return {
        "threads": str(made.intra_op_num_threads),
        "spinning": "on" if made.get_session_config_entry("session.intra_op.allow_spinning") == "1" else "off",
        "execution mode": "parallel" if made.execution_mode == imported().ExecutionMode.ORT_PARALLEL else "sequential",
    }


def create_session(model: Path | bytes, made: Any, device: str) -> Any:
    """An `InferenceSession` on the device that was asked for.

    Raises:
        Unavailable: ONNX Runtime fell back to the CPU.
    """
    wanted = _providers(device)
    session = imported().InferenceSession(model if isinstance(model, bytes) else os.fspath(model), made, providers=wanted)
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise Unavailable(
            "ONNX Runtime could not start its CUDA provider and fell back to the CPU.",
            hint="pip install onnxruntime-gpu[cuda,cudnn], and check NVIDIA's driver with nvidia-smi.",
        )
    return session


def _providers(device: str) -> list[Any]:
    if device == "cuda":
        # Exhaustive search picks kernels by racing them, so two sessions of one engine could differ.
        cuda = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
        return [cuda, "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


class OnnxRuntimeSession:
    """A loaded engine.

    Attributes:
        settings: What the runtime was set to, for the record of a measurement.
    """

    def __init__(self, session: Any, signature: Signature, settings: Mapping[str, str]) -> None:
        self._session: Any = session
        self._signature = signature
        self._outputs = [spec.name for spec in signature.outputs]
        self._by_reference = not _BY_REFERENCE.isdisjoint(spec.dtype for spec in signature.inputs + signature.outputs)
        self.settings = dict(settings)

    def close(self) -> None:
        self._session = None

    def end_profiling(self) -> Path:
        """The file that the runs so far were written to."""
        return Path(self._session.end_profiling())

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Runs once.

        Raises:
            InvalidRequest: The inputs are not the signature's.
            RunFailed: ONNX Runtime failed.
        """
        feeds = check_inputs(self._signature, inputs)
        try:
            results = self._run_by_reference(feeds) if self._by_reference else self._session.run(self._outputs, feeds)
        except Exception as error:
            raise failure(RunFailed, "ONNX Runtime could not run the engine", error, hint=running_hint) from error
        arrays = (as_text(array) if array.dtype.kind == "O" else array for array in map(np.asarray, results))
        return dict(zip(self._outputs, arrays, strict=True))

    def _run_by_reference(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Through `OrtValue`s: the plain call knows no types that NumPy lacks."""
        value = imported().OrtValue
        given = {
            name: value.ortvalue_from_numpy_with_onnx_type(array, onnx_number(array.dtype.name))
            if array.dtype.name in _BY_REFERENCE
            else value.ortvalue_from_numpy(array)
            for name, array in feeds.items()
        }
        return [_as_array(result) for result in self._session.run_with_ort_values(self._outputs, given)]


def _as_array(value: Any) -> Array:
    name = dtype_in(value.data_type())  # of "tensor(float8e5m2)"
    if name not in _BY_REFERENCE:
        return np.asarray(value.numpy())
    dtype = numpy_dtype(name)
    shape = tuple(value.shape())
    count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.array((ctypes.c_uint8 * count).from_address(value.data_ptr())) if count else np.empty(0, np.uint8)
    return np.asarray(raw.view(dtype).reshape(shape))
