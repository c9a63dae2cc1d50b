"""An engine's memory for scripts and downloads: everything the pages show of it, in bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from core.analysis.memory import CONTEXTS, builder_layers, context_rows, layer_bytes, memory_text, parts
from core.analysis.profiles import ProfilePoint, curve, ends_bytes, profile_rows, profile_text, profiles_of, same_but_shapes
from core.base.errors import NotFound
from core.base.serialization import to_data
from core.graph.engine_graph import EngineGraph
from core.graph.memory import EngineMemory
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome
from core.storage.builds import Build, State

ENDED_WITHOUT = (State.FAILED, State.CANCELLED)


def memory_graph(outcome: Outcome) -> tuple[EngineGraph, EngineMemory]:
    """A build's layers and memory.

    Raises:
        NotFound: Its runtime tells no memory, or it has not been inspected.
    """
    graph = outcome.graph
    if graph is None or graph.memory is None:
        raise NotFound(
            "Nothing tells what memory this build takes.",
            hint="TensorRT's builders tell it; other runtimes do not, nor does a build whose layers were not inspected.",
        )
    return graph, graph.memory


def builds_beside(
    of: BuildRequest, builds: Iterable[Build], memory_of: Callable[[str], EngineMemory | None]
) -> dict[str, tuple[BuildRequest, EngineMemory | None]]:
    """The builds that differ from one in their profiles alone, itself among them, with their memory; failed ones are left out.

    Args:
        memory_of: The memory of a build by its key; asked only for those.
    """
    alike = same_but_shapes(of)
    found = (build for build in builds if build.state not in ENDED_WITHOUT and same_but_shapes(build.request) == alike)
    return {build.key: (build.request, memory_of(build.key)) for build in found}


def curves(of: BuildRequest, beside: dict[str, tuple[BuildRequest, EngineMemory | None]]) -> dict[str, list[ProfilePoint]]:
    """The builds on the curve of each axis."""
    return {axis: curve(of, axis, beside) for axis in of.profile.axes}


def memory_as_data(outcome: Outcome, points: dict[str, list[ProfilePoint]], contexts: Sequence[int] = CONTEXTS) -> dict[str, Any]:
    """All of it, in bytes; None for what is not told.

    Args:
        points: Of `curves`.

    Raises:
        NotFound: As `memory_graph`.
    """
    graph, memory = memory_graph(outcome)
    request = outcome.build.request
    profiles = profiles_of(request)
    signature = outcome.built.engine.signature if outcome.built else outcome.model.signature(request.signature)
    inputs, outputs = ends_bytes(signature, profiles)
    return {
        "build": outcome.build.key,
        "summary": memory_text(memory),
        "parts": [to_data(part) for part in parts(memory)],
        "inputs_bytes": inputs,
        "outputs_bytes": outputs,
        "context_bytes": memory.context_bytes,
        "contexts": [to_data(row) for row in context_rows(memory, contexts)],
        "profiles": [{**to_data(row), "profile": profile_text(row.profile)} for row in profile_rows(memory, profiles)],
        "other_profiles": {
            axis: [
                {
                    "build": point.key,
                    "length": point.length,
                    "profiles": point.text,
                    "weights_bytes": point.memory.weights_bytes if point.memory else None,
                    "activation_bytes": point.activation_bytes,
                    "gpu_memory_bytes": point.memory.device_bytes(1) if point.memory else None,
                }
                for point in found
            ]
            for axis, found in points.items()
        },
        "builder_layers": [to_data(row) for row in builder_layers(graph)],
        "layers": [{**to_data(row), "total": row.total} for row in layer_bytes(graph)],
    }
