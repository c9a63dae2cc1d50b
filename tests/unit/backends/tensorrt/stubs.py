"""A CUDA runtime and an engine that live in host memory, and notice the use of what was given back."""

import ctypes
import math
from contextlib import contextmanager
from types import SimpleNamespace

from core.backends._tensorrt.versions import array_dtype
from core.backends.base import BuildConfig, Engine
from core.base.dtypes import numpy_dtype
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.tensors import Signature, TensorSpec

OUT_OF_MEMORY, ILLEGAL_ADDRESS = 2, 700
TRT = SimpleNamespace(
    TensorIOMode=SimpleNamespace(INPUT=0, OUTPUT=1),
    TensorLocation=SimpleNamespace(DEVICE=0, HOST=1),
)


class Cuda:
    """As `cuda.bindings.runtime`: error code and results of each call; what `answers` lacks succeeds.

    Attributes:
        answers: The functions by name.
        memory: The largest block that a call finds memory for, by name.
        graphs: Captured graphs that were not destroyed.
    """

    def __init__(self):
        self.memory = {"cudaMalloc": 2**20, "cudaHostAlloc": 2**20}
        self.graphs = []
        self._blocks = {}
        self._freed = []  # never given out again, so that a late use is told and breaks nothing
        self._captured = None
        self.answers = {
            "cudaMemcpyKind": int,
            "cudaStreamCaptureMode": SimpleNamespace(cudaStreamCaptureModeThreadLocal=1),
            "cudaMalloc": lambda size: self._take("cudaMalloc", size),
            "cudaHostAlloc": lambda size, flags: self._take("cudaHostAlloc", size),
            "cudaFree": self._free,
            "cudaFreeHost": self._free,
            "cudaMemGetInfo": lambda: (0, 2**20, 2**21),
            "cudaMemcpyAsync": lambda to, source, size, kind, stream: (self.submit(lambda: self.copy(to, source, size)),),
            "cudaStreamCreateWithFlags": lambda flags: (0, 7),
            "cudaStreamBeginCapture": self._begin,
            "cudaStreamEndCapture": self._end,
            "cudaGraphInstantiate": self._instantiate,
            "cudaGraphLaunch": lambda captured, stream: (max((work() for work in captured), default=0),),
            "cudaGraphExecDestroy": self._destroy,
            "cudaEventCreateWithFlags": lambda flags: (0, 1),
            "cudaEventElapsedTime": lambda start, end: (0, 0.5),
            "cudaGetDevice": lambda: (0, 3),
            "cudaDeviceGetPCIBusId": lambda size, device: (0, b"0000:3b:00.0"),
        }

    def __getattr__(self, name):
        return self.answers.get(name, lambda *_: (0,))

    def submit(self, work):
        """Does the work, or keeps it for the graph that is being captured; gives its error code."""
        if self._captured is None:
            return work()
        self._captured.append(work)
        return 0

    def copy(self, to, source, size):
        if any(len(self._blocks.get(address, ())) < max(1, size) for address in (to, source)):
            return ILLEGAL_ADDRESS
        ctypes.memmove(to, source, size)
        return 0

    def _take(self, name, size):
        if size > self.memory[name]:
            return OUT_OF_MEMORY, None
        block = (ctypes.c_ubyte * size)()
        self._blocks[ctypes.addressof(block)] = block
        return 0, ctypes.addressof(block)

    def _free(self, address):
        if address not in self._blocks:
            return (ILLEGAL_ADDRESS,)
        self._freed.append(self._blocks.pop(address))
        return (0,)

    def _begin(self, stream, mode):
        self._captured = []
        return (0,)

    def _end(self, stream):
        captured, self._captured = self._captured, None
        return 0, captured

    def _instantiate(self, captured, flags):
        self.graphs.append(captured)
        return 0, captured

    def _destroy(self, captured):
        self.graphs = [graph for graph in self.graphs if graph is not captured]
        return (0,)


class Context:
    """Copies input x to output y, whose shapes are alike."""

    active_optimization_profile = 0

    def __init__(self, cuda, engine):
        self.cuda, self.engine = cuda, engine
        self.addresses = {}
        self.shape = ()

    def set_input_shape(self, name, shape):
        self.shape = shape
        self.engine.seen.append(shape)
        return True

    def infer_shapes(self):
        return []

    def get_tensor_shape(self, name):
        return self.shape

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def execute_async_v3(self, handle):
        size = math.prod(self.shape) * numpy_dtype(array_dtype(self.engine.member)).itemsize
        to, source = self.addresses["y"], self.addresses["x"]
        return self.cuda.submit(lambda: self.cuda.copy(to, source, size)) == 0


class CudaEngine:
    """As `ICudaEngine`.

    Attributes:
        member: Of `tensorrt.DataType`, of both tensors.
        seen: The input's shapes that contexts were given.
    """

    num_io_tensors = 2
    num_optimization_profiles = 1

    def __init__(self, cuda, low, high, member="FLOAT"):
        self.cuda, self.low, self.high, self.member = cuda, low, high, member
        self.seen = []

    def create_execution_context(self):
        return Context(self.cuda, self)

    def get_tensor_name(self, index):
        return "xy"[index]

    def get_tensor_dtype(self, name):
        return SimpleNamespace(name=self.member)

    def get_tensor_mode(self, name):
        return "xy".index(name)

    def get_tensor_location(self, name):
        return TRT.TensorLocation.DEVICE

    def get_tensor_profile_shape(self, name, profile_index):
        return self.low, self.low, self.high


def signature_of(shape, dtype="float32"):
    specs = [TensorSpec(name=name, dtype=dtype, shape=shape) for name in "xy"]
    return Signature(name="main", inputs=(specs[0],), outputs=(specs[1],))


def engine_in(folder, signature, **options):
    """An engine as the backend's `build` gives it, without its files."""
    config = BuildConfig(precision=Precision.FP32, profile=parse_profile([]), options=options, device="cuda")
    return Engine(
        folder=folder, backend="tensorrt", config=config, signature=signature, artifact="engine.plan", size_bytes=0, versions={}
    )


class Clocks:
    """As `_nvml.Clocks`, telling what it is asked for."""

    def __init__(self, told):
        self.samples = []
        self._told = told

    def sample(self, moment):
        self._told.append(moment)


@contextmanager
def no_clocks(bus_id):
    yield Clocks([])
