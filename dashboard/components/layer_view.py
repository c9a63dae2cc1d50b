"""A build as its pages look at it: read from disk once, its layers' rows and edges worked out once."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from core.analysis.contradiction import contradiction_in
from core.analysis.finding import Finding
from core.analysis.findings import findings_of
from core.analysis.layer_graph import Edge, layer_edges
from core.analysis.layers import LayerRow, layer_rows
from core.analysis.streams import Streams, streams_of
from core.analysis.summary import Figure, build_figures
from core.graph.engine_graph import EngineGraph, SourceNode
from core.stages.outcome import Outcome
from dashboard import services

KEPT = 12  # builds held in memory

# Files with the moments of their last change.
Stamp = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerView:
    """An engine graph with what is derived from it.

    Attributes:
        nodes: The source graph's, by name.
        timed: Some layer has a time.
        heaviest: Position of the layer to look at first.
        doubt: That the layers' times contradict the latency, in sentences; empty where they do not.
        streams: Of each of the engine's profiles; empty where the runtime tells none.
    """

    graph: EngineGraph
    rows: tuple[LayerRow, ...]
    edges: tuple[Edge, ...]
    nodes: dict[str, SourceNode]
    timed: bool
    heaviest: int
    doubt: str = ""
    streams: tuple[Streams, ...] = ()

    @property
    def several_streams(self) -> bool:
        return any(one.several for one in self.streams)


def outcome(key: str) -> Outcome:
    """What a build found, as `services.outcome`, kept until one of its files changes.

    Raises:
        NotFound: There is no such build.
    """
    files = stamp(key)
    return _outcome(key, files) if files else services.outcome(key)


def layer_view(key: str) -> LayerView | None:
    """The layers of a build; None where it has left none."""
    return _layer_view(key, stamp(key))


def figures_of(key: str) -> tuple[Figure, ...]:
    """A build's figures at a glance."""
    return _figures(key, stamp(key))


def findings_for(key: str) -> tuple[Finding, ...]:
    """What is worth knowing of a build's layers."""
    return _findings(key, stamp(key))


def stamp(key: str) -> Stamp:
    """Of what a build's stages have left; empty when there is no such build here."""
    files = services.workspace().builds.glob(f"{key}*/*.json") if key.isalnum() else []
    return tuple(sorted((str(file), file.stat().st_mtime_ns) for file in files))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _outcome(key: str, stamp: Stamp) -> Outcome:
    return services.outcome(key)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _figures(key: str, stamp: Stamp) -> tuple[Figure, ...]:
    return build_figures(outcome(key))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _findings(key: str, stamp: Stamp) -> tuple[Finding, ...]:
    return tuple(findings_of(outcome(key)))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _layer_view(key: str, stamp: Stamp) -> LayerView | None:
    found = outcome(key)
    graph, doubt = found.graph, contradiction_in(found)
    if graph is None or not graph.layers:
        return None
    rows = tuple(layer_rows(graph))
    heaviest = max(rows, key=lambda row: (row.time_ms or 0.0, len(row.source_nodes)))
    return LayerView(
        graph=graph,
        rows=rows,
        edges=layer_edges(graph),
        nodes={node.name: node for node in graph.source_nodes},
        timed=any(row.time_ms is not None for row in rows),
        heaviest=heaviest.position,
        doubt=f"{doubt.text} {doubt.meaning}" if doubt else "",
        streams=streams_of(graph),
    )
