"""An engine's streams and memory in a report; nothing where its runtime tells neither."""

from __future__ import annotations

from core.analysis.colours import ColourBy, Colouring
from core.analysis.layers import layer_rows
from core.analysis.memory import (
    COLUMNS,
    BuilderLayer,
    builder_layers,
    context_rows,
    layer_bytes,
    memory_text,
    moved_texts,
    parts,
    told,
)
from core.analysis.profiles import profile_rows, profile_text, profiles_of
from core.analysis.streams import Streams, sentences, streams_of, summary
from core.graph.engine_graph import EngineGraph
from core.report.charts import lanes_chart
from core.report.elements import notes, section, table, tag, text
from core.request.build_request import BuildRequest

MOST_LAYERS = 200


def streams_section(graph: EngineGraph) -> str:
    found = streams_of(graph)
    if not found:
        return ""
    rows = layer_rows(graph)
    colouring = Colouring(rows, ColourBy.PRECISION)
    drawn = [tag("figure", lanes_chart(rows, one, colouring)) if one.several else "" for one in found]
    return section("Streams", *(tag("p", text(_words(one))) + chart for one, chart in zip(found, drawn, strict=True)))


def _words(one: Streams) -> str:
    profile = "" if one.profile is None else f"Profile {one.profile}: "
    return profile + " ".join([summary(one), *sentences(one)])


def memory_section(graph: EngineGraph, request: BuildRequest) -> str:
    memory = graph.memory
    if memory is None:
        return ""
    listed = table(
        ("memory", "bytes", "where, and for how long"),
        [(part.name, told(part.bytes), part.meaning) for part in parts(memory)],
        caption="By part",
        numbers=("bytes",),
    )
    columns = ("contexts", COLUMNS[0], "of contexts", "together", "on the host")
    contexts = table(
        columns,
        [
            (row.contexts, told(row.weights_bytes), told(row.contexts_bytes), told(row.device_bytes), told(row.host_bytes))
            for row in context_rows(memory)
        ],
        caption="With several contexts",
        numbers=columns,
    )
    profiles = [
        (row.number, profile_text(row.profile), told(row.activation_bytes), told(row.scratch_bytes))
        for row in profile_rows(memory, profiles_of(request))
    ]
    heads = ("profile", "lengths", "activations", "largest scratch of a layer")
    apart = table(heads, profiles, caption="By profile", numbers=heads[2:]) if profiles else ""
    return section(
        "GPU memory",
        tag("p", text(memory_text(memory))),
        listed,
        contexts,
        apart,
        _builder_layers(builder_layers(graph)),
        notes(moved_texts(layer_bytes(graph))),
    )


def _builder_layers(rows: list[BuilderLayer]) -> str:
    if not rows:
        return ""
    columns = ("the builder's layer", "stands for", "scratch", "device persistent", "host persistent")
    cells = [
        (
            row.name,
            "a block of kernels" if row.is_block else "one layer",
            told(row.scratch_bytes),
            told(row.device_persistent_bytes),
            told(row.host_persistent_bytes),
        )
        for row in rows[:MOST_LAYERS]
    ]
    caption = f"{len(cells):,} of {len(rows):,} layers that ask for memory, those with most scratch first"
    return table(columns, cells, caption=caption, numbers=columns[2:])
