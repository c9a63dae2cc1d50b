"""Looks into the engine: its layers, the source nodes in each, and each one's time."""

from __future__ import annotations

import traceback
from dataclasses import replace

from core.backends.base import Backend, Engine, backend_named
from core.base.availability import availability_of
from core.base.errors import Cancelled, EngineRoomError
from core.base.progress import Progress
from core.base.serialization import write_json
from core.graph.engine_graph import EngineGraph, SourceNode
from core.models.model import Format
from core.onnxio.file import read_onnx
from core.onnxio.walk import name_nodes
from core.precision.requested import requested_types
from core.request.running import not_run_here, runs_elsewhere
from core.stages.build import built_engine
from core.stages.inputs import first_inputs
from core.stages.stage import Stage, StageContext, needs_backend
from core.storage.builds import StageName, result_file

PROFILED_RUNS = 20


def run(context: StageContext) -> EngineGraph:
    backend = backend_named(context.request.backend)
    engine = built_engine(context)
    context.report(Progress(message="Reading the layers"))
    graph = backend.describe(engine)
    graph = replace(graph, source_nodes=_with_types(context, graph))
    device = context.device or context.request.device
    if not_run := not_run_here(runs_elsewhere(backend, device, availability_of(backend), context.request.options)):
        return replace(graph, notes=(*graph.notes, f"The layers were not timed; {not_run}."))
    # A profiler may take the process with it; the layers are known by then.
    write_json(result_file(context.folder, StageName.INSPECT), graph)
    context.report(Progress(message="Timing the layers", fraction=0.5))
    return _timed(context, backend, engine, graph)


def _timed(context: StageContext, backend: Backend, engine: Engine, graph: EngineGraph) -> EngineGraph:
    """The graph with each layer's time; without them, and with a note why, where they could not be taken."""
    try:
        return graph.with_times(backend.layer_times(engine, first_inputs(context), PROFILED_RUNS))
    except Cancelled:
        raise
    except EngineRoomError as error:
        reason = str(error)
    except Exception as error:  # a runtime raises what it likes
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
    return replace(graph, notes=(*graph.notes, f"The layers were not timed: {reason}"))


def _with_types(context: StageContext, graph: EngineGraph) -> tuple[SourceNode, ...]:
    """The source nodes with the type that the precision stage's graph asks each of them for; without it, with their own."""
    prepared = context.prepared
    if prepared.precision:
        asked = prepared.precision.requested
        return tuple(replace(node, requested=asked.get(node.name)) for node in graph.source_nodes)
    if prepared.format is not Format.ONNX:
        return graph.source_nodes
    try:
        model = read_onnx(context.source(prepared).path, weights=False)
        name_nodes(model)
        own = requested_types(model)
    except Exception:  # the layers are worth more than the types
        traceback.print_exc()
        return graph.source_nodes
    return tuple(replace(node, own=own.get(node.name, "")) for node in graph.source_nodes)


STAGE = Stage(name=StageName.INSPECT, result=EngineGraph, run=run, optional=True, leaves_early=True, needs=needs_backend)
