"""The builds that differ from one in a few settings, with their memory; read from disk once."""

from __future__ import annotations

import streamlit as st

from core.analysis.memory_data import builds_beside
from core.graph.memory import EngineMemory
from core.request.build_request import BuildRequest
from dashboard import services
from dashboard.components.layer_view import Stamp, outcome, stamp

Beside = dict[str, tuple[BuildRequest, EngineMemory | None]]


def beside(request: BuildRequest) -> Beside:
    """Those that differ in their shape profiles alone, by key, and the build itself."""
    return builds_beside(request, services.builds_of(request.model), memory_of)


def memory_of(key: str) -> EngineMemory | None:
    """What a build takes of memory; None where nothing tells."""
    return _memory(key, stamp(key))


@st.cache_data(max_entries=512, show_spinner=False)
def _memory(key: str, stamp: Stamp) -> EngineMemory | None:
    graph = outcome(key).graph
    return graph.memory if graph else None
