"""The few calls of the CUDA runtime that running an engine needs, each checked, over cuda-bindings 11 to 13."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.backends._tensorrt.log import CUDA_ERRORS
from core.base.errors import RunFailed, Unavailable

T = TypeVar("T")
_OUT_OF_MEMORY, _NO_DRIVER, _UNKNOWN = 2, 35, 999
_FIRST_CALLS = ("cudaGetDevice", "cudaSetDevice")  # an unknown error there is of the driver's start; later, of a run
# Errors after which every call of the process fails: memory and links that broke, and what a kernel did wrong.
_BROKEN = frozenset({214, 220, 700, 702, 709, 710, *range(714, 720)})
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 1, 2
_NON_BLOCKING_STREAM = 1
_SPIN, _BLOCKING_SYNC = 1, 4
_MAJOR, _MINOR, _PCI_BUS, _PCI_DEVICE = 75, 76, 33, 34


@lru_cache(maxsize=1)
def runtime() -> ModuleType:
    """The module of the CUDA runtime: `cuda.bindings.runtime` since 12.6, `cuda.cudart` before.

    Raises:
        Unavailable: cuda-bindings is not installed, or finds no driver.
    """
    try:
        from cuda.bindings import runtime as module
    except ImportError:
        try:
            from cuda import cudart as module
        except ImportError as error:
            raise Unavailable(
                "cuda-bindings is not installed, which runs the engines.", hint="pip install cuda-bindings", detail=str(error)
            ) from error
    found: ModuleType = module
    return found


def call(name: str, *arguments: Any) -> Any:
    """Calls a function of the runtime and returns what it gives besides its error code.

    Raises:
        Unavailable: There is no GPU, or no driver that works.
        RunFailed: It gave another error.
    """
    try:
        error, *results = getattr(runtime(), name)(*arguments)
    except RuntimeError as missing:  # bindings before 12.6 raise where the driver lacks what they call
        raise _unavailable(_NO_DRIVER, f"{name}: {missing}") from missing
    if int(error) != 0:
        raise failure(name, error)
    return results[0] if len(results) == 1 else tuple(results) or None


def failure(name: str, error: Any) -> RunFailed | Unavailable:
    """What an error of the runtime says: of the machine, of its memory, or of the run."""
    detail = f"{name}: {error}"
    if int(error) in CUDA_ERRORS and (int(error) != _UNKNOWN or name in _FIRST_CALLS):
        return _unavailable(int(error), detail)
    if int(error) == _OUT_OF_MEMORY:
        return RunFailed("The GPU's memory is full.", hint="Stop what else uses the GPU, or lower the batch.", detail=detail)
    return RunFailed(
        f"CUDA failed in {name}: {error}.",
        hint="The engine or its inputs broke a kernel; `nvidia-smi` must list the GPU healthy.",
    )


def _unavailable(code: int, detail: str) -> Unavailable:
    reason, hint = CUDA_ERRORS[code]
    return Unavailable(reason, hint=hint, detail=detail)


class HostBuffer:
    """Page-locked host memory seen as one NumPy array, so that copies to the GPU need no detour."""

    def __init__(self, count: int, dtype: np.dtype[Any]) -> None:
        self.nbytes = max(1, count * dtype.itemsize)
        self.address = int(call("cudaHostAlloc", self.nbytes, 0))
        memory = memoryview((ctypes.c_ubyte * self.nbytes).from_address(self.address))
        self.flat: NDArray[Any] = np.frombuffer(memory, dtype=np.uint8)[: count * dtype.itemsize].view(dtype)

    def free(self) -> None:
        if self.address:
            self.flat = np.empty(0, dtype=self.flat.dtype)
            call("cudaFreeHost", self.address)
            self.address = self.nbytes = 0


class DeviceBuffer:
    """GPU memory."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = max(1, nbytes)
        self.address = int(call("cudaMalloc", self.nbytes))

    def free(self) -> None:
        if self.address:
            call("cudaFree", self.address)
            self.address = 0


class Event:
    """A point in a stream; two of them tell the time that the GPU spent between."""

    def __init__(self, *, timing: bool = True) -> None:
        self.handle = call("cudaEventCreateWithFlags", 0 if timing else 2)

    def record(self, stream: Any) -> None:
        call("cudaEventRecord", self.handle, stream)

    def wait(self) -> None:
        call("cudaEventSynchronize", self.handle)

    def milliseconds_since(self, start: Event) -> float:
        return float(call("cudaEventElapsedTime", start.handle, self.handle))

    def free(self) -> None:
        call("cudaEventDestroy", self.handle)


class Graph:
    """A captured sequence of work that one call launches."""

    def __init__(self, executable: Any) -> None:
        self.executable = executable
        self._launch = runtime().cudaGraphLaunch

    def launch(self, stream: Any) -> None:
        (error,) = self._launch(self.executable, stream)
        if error:
            raise failure("cudaGraphLaunch", error)

    def free(self) -> None:
        call("cudaGraphExecDestroy", self.executable)


@contextmanager
def capturing(stream: Any, made: list[Graph]) -> Iterator[None]:
    """What is put into the stream inside the block becomes a graph, appended to `made`, instead of running."""
    mode = runtime().cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    call("cudaStreamBeginCapture", stream, mode)
    try:
        yield
    except BaseException:
        runtime().cudaStreamEndCapture(stream)
        raise
    graph = call("cudaStreamEndCapture", stream)
    try:
        made.append(Graph(call("cudaGraphInstantiate", graph, 0)))
    finally:
        call("cudaGraphDestroy", graph)


def new_stream() -> Any:
    return call("cudaStreamCreateWithFlags", _NON_BLOCKING_STREAM)


def free_stream(stream: Any) -> None:
    call("cudaStreamDestroy", stream)


class Transfers:
    """Copies between host and device in one stream, and waiting for it: the calls of every run, looked up once."""

    def __init__(self, stream: Any) -> None:
        module = runtime()
        self._copy, self._wait, self._stream = module.cudaMemcpyAsync, module.cudaStreamSynchronize, stream
        self._in, self._out = module.cudaMemcpyKind(_HOST_TO_DEVICE), module.cudaMemcpyKind(_DEVICE_TO_HOST)

    def upload(self, device: int, host: int, nbytes: int) -> None:
        (error,) = self._copy(device, host, nbytes, self._in, self._stream)
        if error:
            raise failure("cudaMemcpyAsync", error)

    def download(self, host: int, device: int, nbytes: int) -> None:
        (error,) = self._copy(host, device, nbytes, self._out, self._stream)
        if error:
            raise failure("cudaMemcpyAsync", error)

    def runner(
        self, uploads: Sequence[tuple[int, int, int]], enqueue: Callable[[], None], downloads: Sequence[tuple[int, int, int]]
    ) -> Callable[[], None]:
        """Copies in, what `enqueue` starts, copies out and the wait, as one function with nothing left to look up.

        Args:
            uploads: Device address, host address and bytes of each copy in.
            downloads: Host address, device address and bytes of each copy out.
        """
        copy, wait, stream = self._copy, self._wait, self._stream
        into = tuple((*addresses, self._in, stream) for addresses in uploads)
        out = tuple((*addresses, self._out, stream) for addresses in downloads)

        def run() -> None:
            for arguments in into:
                (error,) = copy(*arguments)
                if error:
                    raise failure("cudaMemcpyAsync", error)
            enqueue()
            for arguments in out:
                (error,) = copy(*arguments)
                if error:
                    raise failure("cudaMemcpyAsync", error)
            (error,) = wait(stream)
            if error:
                raise failure("cudaStreamSynchronize", error)

        return run

    def wait(self) -> None:
        (error,) = self._wait(self._stream)
        if error:
            raise failure("cudaStreamSynchronize", error)


def wait_by(spin: bool) -> None:
    """How `synchronize` waits: a busy loop (lowest latency) or the operating system's. A GPU in use may keep what it has."""
    runtime().cudaSetDeviceFlags(_SPIN if spin else _BLOCKING_SYNC)


def on_this_device(work: Callable[[], T]) -> Callable[[], T]:
    """The work, for another thread, where it first makes this one's device current: a new thread has no CUDA context."""
    device = _device()

    def run() -> T:
        call("cudaSetDevice", device)
        return work()

    return run


def check_context() -> None:
    """Asks whether this process can still use its GPU, before TensorRT does: in a context that a kernel broke, 8.6 crashes.

    Every other error is left to TensorRT, which says more about it.

    Raises:
        RunFailed: It cannot.
    """
    try:
        error, *_ = runtime().cudaMemGetInfo()
    except RuntimeError:  # bindings before 12.6, where no driver is
        return
    if int(error) in _BROKEN:
        raise RunFailed(
            f"An earlier run left this process without a working GPU: {error}.",
            hint="Start a new process; `nvidia-smi` must list the GPU healthy.",
            detail=f"cudaMemGetInfo: {error}",
        )


def memory_bytes() -> tuple[int, int]:
    """Free and total memory of the GPU."""
    free, total = call("cudaMemGetInfo")
    return int(free), int(total)


def compute_capability() -> tuple[int, int]:
    return _attribute(_MAJOR), _attribute(_MINOR)


def pci_bus_id() -> str:
    """The GPU's address as NVML names it: `0000:3b:00.0`."""
    found = call("cudaDeviceGetPCIBusId", 32, _device())
    return (found.decode() if isinstance(found, bytes) else str(found)).rstrip("\0").strip()


def device_name() -> str:
    name = call("cudaGetDeviceProperties", _device()).name
    return (name.decode() if isinstance(name, bytes) else str(name)).rstrip("\0").strip()


def versions() -> dict[str, str]:
    """The CUDA runtime's version and the newest that the driver supports."""
    numbers = {"cuda runtime": call("cudaRuntimeGetVersion"), "cuda driver": call("cudaDriverGetVersion")}
    return {name: f"{number // 1000}.{number % 1000 // 10}" for name, number in numbers.items()}


def _device() -> int:
    return int(call("cudaGetDevice"))


def _attribute(number: int) -> int:
    return int(call("cudaDeviceGetAttribute", runtime().cudaDeviceAttr(number), _device()))
