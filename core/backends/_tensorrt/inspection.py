"""Looks into an engine: the inspector's JSON and each layer's time."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from core.backends._tensorrt.execution import Execution
from core.backends._tensorrt.inspector import unique_names
from core.base.profile import ShapeProfile
from core.base.tensors import Signature, Tensors

_WARMUP_RUNS = 5


def inspector_json(trt: Any, engine: Any, signature: Signature, profile: ShapeProfile) -> str:
    """`IEngineInspector`'s answer at the profile's opt shapes; without a context, dimensions would read -1."""
    inspector = engine.create_engine_inspector()
    context = engine.create_execution_context()
    if context is not None:
        for spec in signature.inputs:
            context.set_input_shape(spec.name, profile.shape(spec))
        inspector.execution_context = context
    text: str = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    inspector.execution_context = None
    return text


def layer_times(execution: Execution, inputs: Tensors, runs: int) -> dict[str, float]:
    """Mean milliseconds a run of each layer, by the names of `read_inspector`; profiling slows the run as a whole."""
    times: list[tuple[str, float]] = []
    profiler = _make_profiler(execution.trt, times)
    execution.prepare(inputs)
    execution.fill(inputs)
    execution.upload()
    for _ in range(_WARMUP_RUNS):
        execution.enqueue()
    execution.synchronize()
    execution.context.profiler = profiler
    execution.context.enqueue_emits_profile = False
    total: defaultdict[str, float] = defaultdict(float)
    for _ in range(runs):
        execution.enqueue()
        execution.synchronize()
        times.clear()
        execution.context.report_to_profiler()
        for name, spent in zip(unique_names(name for name, _ in times), (spent for _, spent in times), strict=True):
            total[name] += spent
    return {name: spent / runs for name, spent in total.items()}


def _make_profiler(trt: Any, times: list[tuple[str, float]]) -> Any:
    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times.append((layer_name, ms))

    return Profiler()
