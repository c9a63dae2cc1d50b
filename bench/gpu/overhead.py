"""What this project's session adds to a bare loop on the same engine; both take turns, so drift hits both alike."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from core.backends.base import Tensors

BLOCK = 25


def bare_loop(execution: Any, graph: Any) -> Callable[[Tensors], dict[str, Any]]:
    """Arrays in, arrays out with as few calls as it takes: stage, copy in, run, copy out, wait, copy the results."""
    inputs, outputs = execution.inputs, execution.outputs
    views = {binding.name: binding.array for binding in inputs}

    def run(arrays: Tensors) -> dict[str, Any]:
        for name, view in views.items():
            np.copyto(view, arrays[name])
        if graph is None:
            execution.upload()
            execution.enqueue()
            execution.download()
        else:
            graph.launch(execution.stream)
        execution.synchronize()
        return {binding.name: binding.array.copy() for binding in outputs}

    return run


def compare(session: Any, inputs: Tensors, seconds: float) -> dict[str, float]:
    """Medians of the session and of the bare loop on the session's own context, and their ratio."""
    session.run(inputs)
    session.run(inputs)
    bare = bare_loop(session.execution, session._graph)
    ours_ms: list[float] = []
    bare_ms: list[float] = []
    ended = perf_counter() + seconds
    while perf_counter() < ended:
        for run, samples in ((session.run, ours_ms), (bare, bare_ms)):
            for _ in range(BLOCK):
                started = perf_counter()
                run(inputs)
                samples.append((perf_counter() - started) * 1000)
    ours, bare_median = float(np.median(ours_ms)), float(np.median(bare_ms))
    return {"session_ms": ours, "bare_ms": bare_median, "ratio": ours / bare_median, "runs": float(len(ours_ms))}
