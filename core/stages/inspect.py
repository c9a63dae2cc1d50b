"""Looks into the engine: its layers, the source nodes in each, and each one's time."""

from __future__ import annotations

from dataclasses import replace

from core.backends.base import backend_named
from core.base.progress import Progress
from core.graph.engine_graph import EngineGraph, SourceNode
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
    return replace(graph.with_times(times), source_nodes=_with_requested_types(context, graph))


def _with_requested_types(context: StageContext, graph: EngineGraph) -> tuple[SourceNode, ...]:
    """The source nodes with the type that the precision stage's graph asks each of them for."""
    record = context.prepared.precision
    asked = record.requested if record else {}
    return tuple(replace(node, requested=asked.get(node.name)) for node in graph.source_nodes)
