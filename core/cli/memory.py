"""`memory`: what an engine takes of a GPU's memory, with how many contexts, at which shapes."""

from __future__ import annotations

from typing import Annotated

import typer

from core.analysis.memory import CONTEXTS, BuilderLayer, builder_layers, context_rows, memory_text, parts, told
from core.analysis.memory_data import builds_beside, curves, memory_as_data, memory_graph
from core.analysis.profiles import ProfilePoint, growth_text, profile_rows, profile_text, profiles_of
from core.base.units import digest
from core.cli.models import AsJson
from core.cli.output import print_fields, print_json, print_notes, print_table
from core.graph.memory import EngineMemory
from core.stages.inspect import STAGE as INSPECT
from core.stages.outcome import load_outcome
from core.stages.stage import result_of
from core.storage.builds import all_builds
from core.storage.workspace import default_workspace

RIGHT = ["contexts", "largest", "weights", "activations", "with one context", "of contexts", "together", "on the host", "scratch",
         "persistent"]  # fmt: skip


def register(app: typer.Typer) -> None:
    app.command("memory")(memory_command)


def memory_command(
    build: Annotated[str, typer.Argument(help="Key of a build, or its beginning.")],
    contexts: Annotated[
        list[int] | None,
        typer.Option("--contexts", min=1, help="With so many contexts (repeatable); else 1, 2, 4 and 8."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Show what an engine takes of memory: its parts, N contexts, and the same build at other shapes."""
    workspace = default_workspace()
    outcome = load_outcome(workspace, build)
    graph, memory = memory_graph(outcome)

    def memory_of(key: str) -> EngineMemory | None:
        found = result_of(workspace.build_folder(key), INSPECT)
        return found.memory if found else None

    request = outcome.build.request
    points = curves(request, builds_beside(request, all_builds(workspace), memory_of))
    if json:
        print_json(memory_as_data(outcome, points, contexts or CONTEXTS))
        return
    print_fields(
        f"{outcome.model.name} → {request.path}, build {digest(outcome.build.key)}",
        [(part.name.lower(), f"{told(part.bytes)}: {part.meaning}") for part in parts(memory)],
    )
    rows = [
        (row.contexts, told(row.weights_bytes), told(row.contexts_bytes), told(row.device_bytes), told(row.host_bytes))
        for row in context_rows(memory, contexts or CONTEXTS)
    ]
    columns = ["contexts", "weights", "of contexts", "together", "on the host"]
    print_table("Contexts", columns, rows, numbers=RIGHT)
    print_notes([memory_text(memory)])
    if apart := profile_rows(memory, profiles_of(request)):
        cells = [(row.number, profile_text(row.profile), told(row.activation_bytes), told(row.scratch_bytes)) for row in apart]
        print_table("Profiles", ["number", "profile", "activations", "scratch"], cells, numbers=RIGHT)
        print_notes(["A context takes what the largest of its engine's profiles does, unless it is made for one."])
    for axis, found in points.items():
        _print_curve(axis, found)
    _print_builder_layers(builder_layers(graph))


def _print_curve(axis: str, points: list[ProfilePoint]) -> None:
    if len(points) < 2:
        return
    cells = [
        (
            point.length,
            point.text + (" (this build)" if point.is_chosen else ""),
            digest(point.key),
            told(point.memory.weights_bytes if point.memory else None),
            told(point.activation_bytes),
            told(point.memory.device_bytes(1) if point.memory else None),
        )
        for point in points
    ]
    columns = ["largest", "profile", "build", "weights", "activations", "with one context"]
    print_table(f"At other lengths of {axis}", columns, cells, numbers=RIGHT)
    print_notes([text] if (text := growth_text(points, axis)) else [])


def _print_builder_layers(rows: list[BuilderLayer]) -> None:
    if rows:
        cells = [
            (
                row.name,
                "many kernels" if row.is_block else "one layer",
                told(row.scratch_bytes),
                told(row.device_persistent_bytes),
                told(row.host_persistent_bytes),
            )
            for row in rows
        ]
        columns = ["the builder's layer", "stands for", "scratch", "persistent", "on the host"]
        print_table("The builder's own layers", columns, cells, numbers=RIGHT)
        print_notes(["Layers that ask for nothing are not listed."])
