"""Times on the GPU, with an engine in host memory: what fails beside the times themselves leaves a sentence."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.backends._tensorrt import cuda as _cuda
from core.backends._tensorrt import measure as _measure
from core.base.errors import RunFailed
from core.base.progress import silent
from core.benchmark.measurement import Protocol
from tests.unit.backends.tensorrt.stubs import TRT, Clocks, Cuda, CudaEngine, no_clocks, signature_of

SHORT = Protocol(warmup_seconds=0.0, min_seconds=0.0, min_samples=10)


@pytest.fixture
def cuda(monkeypatch):
    stub = Cuda()
    monkeypatch.setattr(_cuda, "runtime", lambda: stub)
    monkeypatch.setattr(_measure.nvml, "clocks", no_clocks)
    monkeypatch.setattr(_measure, "_STREAM_SECONDS", 0.01)
    monkeypatch.setattr(_measure, "_SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(_measure, "_SAMPLED_MS", 0.1)
    return stub


def timed(engine, shape, lengths):
    return _measure.gpu_times(TRT, engine, signature_of(shape), {"x": np.ones(lengths, np.float32)}, SHORT, silent)


def test_every_figure_is_taken(cuda):
    times = timed(CudaEngine(cuda, (1, 4), (4, 4)), ("batch", 4), (2, 4))
    assert [(run.transfers, run.graph) for run in times.runs] == [(False, False), (False, True), (True, False), (True, True)]
    assert set(times.host_to_host) == {"plain", "graph"}
    assert [point.streams for point in times.streams] == [1, 2, 4]
    assert [point.batch for point in times.batches] == [1, 2, 4]
    assert cuda.graphs == []


def test_scalars_have_no_batch_to_sweep(cuda):
    times = timed(CudaEngine(cuda, (), ()), (), ())
    assert times.batches == ()
    assert times.runs


def test_axes_of_one_name_are_swept_together(cuda):
    engine = CudaEngine(cuda, (1, 1, 3), (4, 4, 8))
    times = timed(engine, ("n", "n", "width"), (2, 2, 5))
    assert [point.batch for point in times.batches] == [1, 2, 4]
    assert engine.seen[-3:] == [(1, 1, 5), (2, 2, 5), (4, 4, 5)]


def test_a_graph_that_cannot_be_captured_leaves_the_other_figures(cuda):
    cuda.answers["cudaStreamBeginCapture"] = lambda stream, mode: (901,)
    times = timed(CudaEngine(cuda, (1, 4), (4, 4)), ("batch", 4), (2, 4))
    assert [run.graph for run in times.runs] == [False, False]
    assert set(times.host_to_host) == {"plain"}
    assert "No CUDA graph host to host: CUDA failed in cudaStreamBeginCapture: 901." in times.warnings
    assert times.batches


def test_a_sweep_ends_where_memory_does(cuda):
    cuda.memory["cudaMalloc"] = 2 * 4 * 4
    times = timed(CudaEngine(cuda, (1, 4), (16, 4)), ("batch", 4), (2, 4))
    assert [point.batch for point in times.batches] == [1, 2]
    assert times.knee is not None
    assert "No batch sizes from 4 on: The GPU's memory is full." in times.warnings


def test_plain_runs_that_fail_are_an_error(cuda):
    cuda.answers["cudaEventRecord"] = lambda event, stream: (700,)
    with pytest.raises(RunFailed, match="700"):
        timed(CudaEngine(cuda, (1, 4), (4, 4)), ("batch", 4), (2, 4))


@pytest.mark.parametrize(("run_ms", "runs"), [(0.0, 5000), (20.0, 3), (1000.0, 1)])
def test_clocks_are_sampled_with_runs_queued(run_ms, runs):
    told = []
    execution = SimpleNamespace(enqueue=lambda: told.append("run"), synchronize=lambda: told.append("wait"))
    _measure._sample_busy(execution, Clocks(told), "during", run_ms)
    assert told == ["run"] * runs + ["during", "wait"]
