"""What a session checks before TensorRT sees an array, and what a failed run leaves to the next one."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from core.backends._tensorrt import cuda as _cuda
from core.backends._tensorrt.build import build_plan
from core.backends._tensorrt.execution import Execution
from core.backends._tensorrt.log import Log
from core.backends._tensorrt.session import TensorRTSession, checked_arrays
from core.backends._tensorrt.session import opened as opened_by
from core.backends.tensorrt._product import PRODUCT
from core.base.errors import InvalidRequest, RunFailed
from core.base.progress import silent
from core.base.tensors import Signature, TensorSpec
from tests.unit.backends.tensorrt.stubs import ILLEGAL_ADDRESS, TRT, Cuda, CudaEngine, engine_in, signature_of

SIGNATURE = Signature(
    name="main",
    inputs=(
        TensorSpec(name="image", dtype="float32", shape=("batch", 8)),
        TensorSpec(name="shift", dtype="float32", shape=("batch", "width")),
    ),
    outputs=(),
)


@pytest.fixture
def cuda(monkeypatch):
    stub = Cuda()
    monkeypatch.setattr(_cuda, "runtime", lambda: stub)
    return stub


@pytest.fixture
def opened(cuda, tmp_path):
    """Gives sessions of an engine that copies `[batch, 4]`, batch 1 to 64."""

    def made(dtype="float32", member="FLOAT", **options):
        execution = Execution(TRT, CudaEngine(cuda, (1, 4), (64, 4), member))
        return TensorRTSession(engine_in(tmp_path, signature_of(("batch", 4), dtype), **options), execution)

    return made


def values(batch, dtype="float32"):
    return {"x": np.arange(batch * 4, dtype=dtype).reshape(batch, 4)}


def test_one_symbol_is_one_length():
    inputs = {"image": np.zeros((2, 8), np.float32), "shift": np.zeros((2, 3), np.float32)}
    assert list(checked_arrays(SIGNATURE, inputs)) == ["image", "shift"]
    with pytest.raises(InvalidRequest, match="batch is 2 in input image and 1 in shift"):
        checked_arrays(SIGNATURE, {**inputs, "shift": np.zeros((1, 3), np.float32)})


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("full", ["cudaMalloc", "cudaHostAlloc"])
def test_a_run_after_one_that_found_no_memory(cuda, opened, full, cuda_graph):
    session = opened(cuda_graph=cuda_graph)
    np.testing.assert_array_equal(session.run(values(2))["y"], values(2)["x"])
    cuda.memory[full] = 100
    with pytest.raises(RunFailed, match="memory is full"):
        session.run(values(64))
    assert cuda.graphs == []
    for _ in range(2):
        np.testing.assert_array_equal(session.run(values(2))["y"], values(2)["x"])
    assert len(cuda.graphs) == cuda_graph
    session.close()
    assert cuda.graphs == []


def test_a_run_after_shapes_that_were_refused(opened):
    session = opened()
    session.run(values(2))
    with pytest.raises(InvalidRequest, match="not between"):
        session.run(values(65))
    np.testing.assert_array_equal(session.run(values(2))["y"], values(2)["x"])


@pytest.mark.parametrize("runs_before", [0, 1])
@pytest.mark.parametrize(("beyond", "told"), [(2**31, "2147483648"), (-(2**31) - 1, "-2147483649")])
def test_integers_beyond_the_engines_type_are_refused(opened, runs_before, beyond, told):
    session = opened("int64", "INT32")
    for _ in range(runs_before):
        session.run(values(2, "int64"))
    wide = values(2, "int64")
    wide["x"][1, 3] = beyond
    with pytest.raises(InvalidRequest, match=f"Input x holds {told}, which the engine's int32 cannot hold") as failure:
        session.run(wide)
    assert "from -2147483648 to 2147483647" in failure.value.hint
    wide["x"][1, 3] = 2**31 - 1
    result = session.run(wide)["y"]
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, wide["x"])


@pytest.mark.parametrize(("dtype", "member"), [("float32", "FLOAT"), ("int32", "INT32"), ("int64", "INT64")])
def test_other_types_are_not_searched(opened, monkeypatch, dtype, member):
    session = opened(dtype, member)
    for binding in session.execution.inputs:
        monkeypatch.setattr(binding, "check_range", None)
    for _ in range(2):
        np.testing.assert_array_equal(session.run(values(2, dtype))["y"], values(2, dtype)["x"])


def test_empty_integers_are_taken(opened):
    session = opened("int64", "INT32")
    session.execution.engine.low = (0, 4)
    assert session.run(values(0, "int64"))["y"].shape == (0, 4)


@pytest.mark.parametrize(
    "start",
    [
        lambda trt, engine: opened_by(PRODUCT, engine).__enter__(),
        lambda trt, engine: build_plan(trt, SimpleNamespace(on_gpu=True), Log(), silent),
    ],
    ids=["session", "build"],
)
def test_nothing_starts_where_a_kernel_broke_the_context(cuda, monkeypatch, tmp_path, start):
    def asked(*_):
        pytest.fail("TensorRT 8.6 crashes here.")

    cuda.answers["cudaMemGetInfo"] = lambda: (ILLEGAL_ADDRESS, None, None)
    parts = dict.fromkeys(("Runtime", "Builder", "init_libnvinfer_plugins"), asked)
    trt = SimpleNamespace(__version__="8.6.0", ILogger=type("ILogger", (), {}), **parts)
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    with pytest.raises(RunFailed, match="left this process without a working GPU: 700") as failure:
        start(trt, engine_in(tmp_path, signature_of(("batch", 4), "float32")))
    assert "new process" in failure.value.hint
