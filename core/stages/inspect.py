"""Looks into the engine: its layers, the source nodes in each, and each one's time."""

from __future__ import annotations

from dataclasses import replace

from core.backends.base import backend_named
from core.graph.engine_graph import EngineGraph
from core.progress import Progress
from core.stages.build import built_engine
from core.stages.inputs import input_sets
from core.stages.stage import StageContext

PROFILED_RUNS = 20


def run(context: StageContext) -> EngineGraph:
    backend = backend_named(context.request.backend)
    engine = built_engine(context)
    context.report(Progress(message="Reading the layers"))
    graph = backend.describe(engine)
    context.report(Progress(message="Timing the layers", fraction=0.5))
    times = backend.layer_times(engine, input_sets(context)[0][0], PROFILED_RUNS)
    layers = tuple(replace(layer, time_ms=times.get(layer.name)) for layer in graph.layers)
    return replace(graph, layers=layers)
