"""One execution context of an engine with its stream and buffers: what sessions and measurements run on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.backends._tensorrt import cuda
from core.backends._tensorrt.versions import array_dtype
from core.base.dtypes import numpy_dtype
from core.base.errors import InvalidRequest, RunFailed
from core.base.tensors import Array


class Binding:
    """One input or output tensor of an engine; its buffers grow and never shrink.

    Attributes:
        on_host: TensorRT reads or writes it in host memory: the values decide about shapes.
        shape: Of the current run; None for an output whose shape only the run tells.
        array: The host buffer in that shape.
    """

    def __init__(self, name: str, dtype: np.dtype[Any], *, is_input: bool, on_host: bool) -> None:
        self.name = name
        self.dtype = dtype
        self.is_input = is_input
        self.on_host = on_host
        self.shape: tuple[int, ...] | None = None
        self.nbytes = 0
        self.host = cuda.HostBuffer(0, dtype)
        self.device: cuda.DeviceBuffer | None = None
        self.array: NDArray[Any] = self.host.flat
        self.allocator: Any = None

    def fit(self, shape: tuple[int, ...]) -> int:
        """Takes a shape, with buffers large enough for it; returns the address that TensorRT is given."""
        count = math.prod(shape)
        self.shape, self.nbytes = shape, count * self.dtype.itemsize
        if self.host.nbytes < self.nbytes:
            self.host.free()
            self.host = cuda.HostBuffer(count, self.dtype)
        if not self.on_host and (self.device is None or self.device.nbytes < self.nbytes):
            self._free_device()
            self.device = cuda.DeviceBuffer(self.nbytes)
        self.array = self.host.flat[:count].reshape(shape)
        return self.host.address if self.device is None else self.device.address

    def narrows(self, dtype: np.dtype[Any]) -> bool:
        """Whether it keeps 64-bit integers in fewer bits: before version 10, TensorRT knows no INT64."""
        return dtype.kind in "iu" and self.dtype.kind in "iu" and self.dtype.itemsize < dtype.itemsize == 8

    def check_range(self, array: Array) -> None:
        """Refuses integers that the narrower type here would wrap.

        Raises:
            InvalidRequest: A value is beyond it.
        """
        limits = np.iinfo(self.dtype)
        beyond = [end for end in (array.min(), array.max()) if not limits.min <= end <= limits.max] if array.size else []
        if beyond:
            raise InvalidRequest(
                f"Input {self.name} holds {beyond[0]}, which the engine's {self.dtype.name} cannot hold.",
                hint=f"Give values from {limits.min} to {limits.max}, or build with TensorRT 10 or later, which takes INT64.",
            )

    def take(self, array: Array) -> None:
        """Copies an input into page-locked memory, in the engine's type.

        Raises:
            InvalidRequest: It holds an integer beyond that type.
        """
        if self.narrows(array.dtype):
            self.check_range(array)
        np.copyto(self.array, array, casting="unsafe")

    def free(self) -> None:
        if self.allocator is not None:
            self.allocator.free()
        self.array = np.empty(0, self.dtype)
        self.host.free()
        self._free_device()

    def _free_device(self) -> None:
        if self.device is not None:
            self.device.free()
            self.device = None


class Execution:
    """A context ready to run; `close` gives back everything it holds on the GPU."""

    def __init__(self, trt: Any, engine: Any) -> None:
        self.trt = trt
        self.engine = engine
        self.stream = cuda.new_stream()
        self._handle = int(self.stream)
        self._transfers = cuda.Transfers(self.stream)
        self._uploads: list[tuple[int, int, int]] = []
        self._downloads: list[tuple[int, int, int]] = []
        self.context = engine.create_execution_context()
        if self.context is None:
            cuda.free_stream(self.stream)
            free, _ = cuda.memory_bytes()
            raise RunFailed(
                f"The GPU has no memory left for this engine's activations ({free / 2**30:.1f} GiB are free).",
                hint="Stop what else uses the GPU, or lower the profile's largest shapes.",
            )
        if self.context.active_optimization_profile < 0:
            cuda.free_stream(self.stream)
            raise RunFailed(
                "Another context holds this engine's optimization profile.",
                hint="Before TensorRT 10, each context needs its own.",
            )
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self.bindings = {name: self._binding(name) for name in names}
        self.inputs = [binding for binding in self.bindings.values() if binding.is_input]
        self.outputs = [binding for binding in self.bindings.values() if not binding.is_input]
        self.input_names = tuple(binding.name for binding in self.inputs)
        self.values_decide_shapes = any(binding.on_host for binding in self.inputs)
        self.unshaped: list[Binding] = []
        self.shapes: dict[str, tuple[int, ...]] | None = None
        self.profile = 0

    def prepare(self, arrays: Mapping[str, Array]) -> bool:
        """Makes the context ready for inputs of these shapes.

        Returns:
            Whether anything changed; captured graphs are then void.

        Raises:
            InvalidRequest: The shapes fit no optimization profile.
            RunFailed: The GPU has no memory for them; the next call prepares anew, whatever its shapes.
        """
        shapes = {binding.name: arrays[binding.name].shape for binding in self.inputs}
        if shapes == self.shapes and not self.values_decide_shapes:
            return False
        self.shapes = None  # a failure below leaves buffers that belong to no shapes
        self._choose_profile(shapes)
        for binding in self.inputs:
            shape = shapes[binding.name]
            if not self.context.set_input_shape(binding.name, shape):
                raise InvalidRequest(f"TensorRT refused the shape {list(shape)} of input {binding.name}.")
            self._place(binding, shape)
            if binding.on_host:
                binding.take(arrays[binding.name])
        try:
            self.context.infer_shapes()
        except RuntimeError as error:
            raise InvalidRequest("TensorRT finds that the inputs' shapes do not fit together.", detail=str(error)) from error
        for binding in self.outputs:
            told = tuple(self.context.get_tensor_shape(binding.name))
            if binding.allocator is None:
                if all(length >= 0 for length in told):
                    self._place(binding, told)
                    continue
                binding.allocator = _make_allocator(self.trt, tuple(axis for axis, length in enumerate(told) if length < 0))
                self.context.set_output_allocator(binding.name, binding.allocator)
            binding.allocator.expect(told)
        self.unshaped = [binding for binding in self.outputs if binding.shape is None]
        self._uploads = [(b.device.address, b.host.address, b.nbytes) for b in self.inputs if b.device]
        self._downloads = [(b.host.address, b.device.address, b.nbytes) for b in self.outputs if b.device and b.shape is not None]
        self.shapes = shapes
        return True

    def fill(self, arrays: Mapping[str, Array]) -> None:
        """Copies the inputs into page-locked memory, in the engine's types.

        Raises:
            InvalidRequest: One holds an integer beyond the engine's type.
        """
        for binding in self.inputs:
            binding.take(arrays[binding.name])

    def upload(self) -> None:
        for device, host, nbytes in self._uploads:
            self._transfers.upload(device, host, nbytes)

    def enqueue(self) -> None:
        for binding in self.unshaped:
            binding.allocator.shape = None
        if not self.context.execute_async_v3(self._handle):
            raise RunFailed("TensorRT refused to run the engine.", hint="The log tells why; check the inputs' shapes.")

    def download(self) -> None:
        for host, device, nbytes in self._downloads:
            self._transfers.download(host, device, nbytes)

    def synchronize(self) -> None:
        self._transfers.wait()

    def runner(self, graph: cuda.Graph | None) -> Callable[[], None]:
        """One run from page-locked memory and back, waited for: each call looked up once, for the shapes prepared last.

        Args:
            graph: A captured run with its transfers, launched in place of the calls.
        """
        if graph is not None:
            return self._transfers.runner([], partial(graph.launch, self.stream), [])
        return self._transfers.runner(self._uploads, self.enqueue, self._downloads)

    def results(self) -> dict[str, Array]:
        """Copies of the outputs, after `synchronize`."""
        return {binding.name: self._result(binding) for binding in self.outputs}

    @property
    def graph_possible(self) -> bool:
        """A graph holds fixed addresses and shapes, so every output's shape must be known before the run."""
        return not self.unshaped

    def capture(self, *, transfers: bool) -> cuda.Graph:
        """One run as a CUDA graph.

        Args:
            transfers: Whether copying inputs in and outputs out belongs to it.
        """
        self.enqueue()  # loads kernels and settles what a first run does
        self.synchronize()
        made: list[cuda.Graph] = []
        with cuda.capturing(self.stream, made):
            if transfers:
                self.upload()
            self.enqueue()
            if transfers:
                self.download()
        return made[0]

    def close(self) -> None:
        self.synchronize()
        self.context = None
        for binding in self.bindings.values():
            binding.free()
        cuda.free_stream(self.stream)

    def _binding(self, name: str) -> Binding:
        member = self.engine.get_tensor_dtype(name).name
        dtype = array_dtype(member)
        if dtype is None:
            raise RunFailed(
                f"Tensor {name} is of type {member}, which no array holds.", hint="Cast it to INT8 or FP16 in the graph."
            )
        return Binding(
            name,
            numpy_dtype(dtype),
            is_input=self.engine.get_tensor_mode(name) == self.trt.TensorIOMode.INPUT,
            on_host=self.engine.get_tensor_location(name) == self.trt.TensorLocation.HOST,
        )

    def _place(self, binding: Binding, shape: tuple[int, ...]) -> None:
        if not self.context.set_tensor_address(binding.name, binding.fit(shape)):
            raise RunFailed(f"TensorRT refused the memory of tensor {binding.name}.")

    def _choose_profile(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        count = self.engine.num_optimization_profiles
        fitting = [index for index in range(count) if not self._misfits(index, shapes)]
        if not fitting:
            raise InvalidRequest(
                "The engine was not built for these shapes: " + "; ".join(self._misfits(0, shapes)) + ".",
                hint="Build it with a wider profile, such as batch=1:8:32.",
            )
        if self.profile not in fitting:
            self.profile = fitting[0]
            self.context.set_optimization_profile_async(self.profile, int(self.stream))
            self.synchronize()

    def _misfits(self, index: int, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
        wrong = []
        for name, shape in shapes.items():
            if self.bindings[name].on_host:
                continue
            low, _, high = (tuple(limit) for limit in self.engine.get_tensor_profile_shape(name, index))
            if len(low) != len(shape) or not all(a <= n <= b for a, n, b in zip(low, shape, high, strict=True)):
                wrong.append(f"{name} is {list(shape)}, not between {list(low)} and {list(high)}")
        return wrong

    def _result(self, binding: Binding) -> Array:
        if binding.shape is not None:
            return binding.array.copy()
        found: Array = binding.allocator.read(binding.dtype, self._transfers)
        return found


def _make_allocator(trt: Any, unknown: tuple[int, ...]) -> Any:
    """An `IOutputAllocator` for outputs whose shape depends on values (NonZero, NonMaxSuppression).

    Args:
        unknown: The axes that only a run tells. Asked again after one, TensorRT 8.5 tells the lengths of that run.
    """

    class OutputAllocator(trt.IOutputAllocator):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IOutputAllocator.__init__(self)
            self.buffer: cuda.DeviceBuffer | None = None
            self.shape: tuple[int, ...] | None = None
            self.empty: tuple[int, ...] = ()

        def expect(self, told: tuple[int, ...]) -> None:
            """Takes what is known before a run: nothing is told of an output without elements."""
            self.empty = tuple(0 if axis in unknown else length for axis, length in enumerate(told))

        def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:
            if self.buffer is None or self.buffer.nbytes < size:
                self.free()
                self.buffer = cuda.DeviceBuffer(size)
            return self.buffer.address

        def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:
            return self.reallocate_output(tensor_name, memory, size, alignment)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:
            self.shape = tuple(shape)

        def read(self, dtype: np.dtype[Any], transfers: cuda.Transfers) -> Array:
            shape = self.empty if self.shape is None else self.shape
            host = cuda.HostBuffer(math.prod(shape), dtype)
            try:
                if self.buffer is not None and host.flat.size:
                    transfers.download(host.address, self.buffer.address, host.flat.nbytes)
                    transfers.wait()
                result: Array = host.flat.reshape(shape).copy()
                return result
            finally:
                host.free()

        def free(self) -> None:
            if self.buffer is not None:
                self.buffer.free()
                self.buffer = None

    return OutputAllocator()
