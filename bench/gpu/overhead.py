"""What this project's session adds to a bare loop on the same engine; both take turns, so drift hits both alike."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from core.base.tensors import Tensors
from core.benchmark.collector import collector_off

BLOCK = 25


def bare_loop(execution: Any, graph: Any) -> Callable[[Tensors], dict[str, Any]]:
    """Arrays in, arrays out with CUDA's and TensorRT's calls alone: stage, copy in, run, copy out, wait, copy the results."""
    from core.backends._tensorrt.cuda import runtime

    cuda = runtime()
    stream, handle, enqueue = execution.stream, int(execution.stream), execution.context.execute_async_v3
    copy, wait, launch = cuda.cudaMemcpyAsync, cuda.cudaStreamSynchronize, cuda.cudaGraphLaunch
    into, out = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice, cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
    inputs = [(b.name, b.array, b.device.address, b.host.address, b.nbytes) for b in execution.inputs]
    outputs = [(b.name, b.array, b.device.address, b.host.address, b.nbytes) for b in execution.outputs]

    def run(arrays: Tensors) -> dict[str, Any]:
        for name, staged, _, _, _ in inputs:
            np.copyto(staged, arrays[name])
        if graph is None:
            for _, _, device, host, nbytes in inputs:
                copy(device, host, nbytes, into, stream)
            enqueue(handle)
            for _, _, device, host, nbytes in outputs:
                copy(host, device, nbytes, out, stream)
        else:
            launch(graph.executable, stream)
        wait(stream)
        return {name: array.copy() for name, array, _, _, _ in outputs}

    return run


def compare(session: Any, inputs: Tensors, seconds: float) -> dict[str, float]:
    """Medians of the session and of the bare loop on the session's own context, and their ratio."""
    session.run(inputs)
    session.run(inputs)
    bare = bare_loop(session.execution, session._graph)
    ours_ms: list[float] = []
    bare_ms: list[float] = []
    with collector_off():  # as in every measurement here
        ended = perf_counter() + seconds
        while perf_counter() < ended:
            for run, samples in ((session.run, ours_ms), (bare, bare_ms)):
                for _ in range(BLOCK):
                    started = perf_counter()
                    run(inputs)
                    samples.append((perf_counter() - started) * 1000)
    ours, bare_median = float(np.median(ours_ms)), float(np.median(bare_ms))
    return {"session_ms": ours, "bare_ms": bare_median, "ratio": ours / bare_median, "runs": float(len(ours_ms))}
