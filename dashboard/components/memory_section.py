"""What an engine takes of memory: its parts, with N contexts, at other shapes, and what each layer asks for and moves."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from core.analysis.memory import CONTEXTS, context_rows, memory_text, parts, told
from core.analysis.memory_data import curves, memory_as_data
from core.analysis.profiles import ends_bytes, profile_rows, profile_text, profiles_of
from core.base.units import UNKNOWN, digest
from core.graph.memory import EngineMemory
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome
from dashboard import links
from dashboard.charts.memory import contexts_figure
from dashboard.components.beside import beside
from dashboard.components.chart import show_chart
from dashboard.components.layer_view import LayerView
from dashboard.components.memory_layers import builder_table, moved_table
from dashboard.components.memory_profiles import profiles_section
from dashboard.formatting import plain

ASKED = "contexts"
MOST_CONTEXTS = 1024


def memory_section(outcome: Outcome, view: LayerView | None) -> None:
    if view is None:
        st.info(
            "This build told no layers, and no memory: the stage that inspects engines has not run or failed.",
            icon=":material/layers_clear:",
        )
        return
    memory = view.graph.memory
    if memory is None:
        st.info(
            "Not told what this engine takes of a GPU's memory: builders of TensorRT tell it, other runtimes do not, nor do "
            "builds of earlier releases. What the measuring process took, where it was measured, is in the tab Measurement.",
            icon=":material/memory:",
        )
    else:
        _parts(outcome, memory)
        _contexts(outcome.build.key, memory)
        _own_profiles(outcome.build.request, memory)
        profiles_section(outcome, several_streams=view.several_streams)
        builder_table(view)
    moved_table(outcome.build.key, view)


def _parts(outcome: Outcome, memory: EngineMemory) -> None:
    st.markdown(f"**{plain(memory_text(memory))}**")
    request = outcome.build.request
    shown = [(part.name, told(part.bytes), part.meaning) for part in parts(memory)]
    if outcome.built:
        inputs, outputs = ends_bytes(outcome.built.engine.signature, profiles_of(request))
        meaning = "The caller's own, for each context and in no sum here: from the signature's types, at the largest shapes."
        shown.append(("Inputs, outputs", f"{told(inputs)}, {told(outputs)}", meaning))
    frame = pd.DataFrame(shown, columns=["Memory", "Bytes", "Where, and for how long"])
    st.table(frame, hide_index=True, border="horizontal", alt="The engine's memory by part")
    where = "The engine itself tells its activations, its builder the rest" if request.device != "cpu" else "The builder tells it"
    st.caption(f"{plain(where)}; nothing here was measured. What CUDA and its libraries take comes on top.")
    points = curves(request, beside(request))
    st.download_button(
        "Memory as JSON",
        lambda: json.dumps(memory_as_data(outcome, points), indent=2),
        f"{outcome.model.name}-{digest(outcome.build.key)}-memory.json",
        "application/json",
        icon=":material/data_object:",
        on_click="ignore",
    )


@st.fragment
def _contexts(build: str, memory: EngineMemory) -> None:
    st.header("Several contexts")
    st.caption(
        "A context runs one inference at a time, so a server that runs several at once has several: "
        "weights + N × (activations + device persistent)."
    )
    if memory.device_bytes(1) is None:
        st.info(plain(memory_text(memory)), icon=":material/help:")
        return
    key = f"contexts-{build}"
    keep = links.follow(ASKED, key, links.position(ASKED, MOST_CONTEXTS) or CONTEXTS[2])
    left, right = st.columns([2, 3], gap="large")
    with left:
        asked = st.number_input("Contexts", 1, MOST_CONTEXTS, key=key, on_change=keep)
        rows = context_rows(memory, (*CONTEXTS, int(asked)))
        frame = pd.DataFrame(
            {
                "Contexts": [row.contexts for row in rows],
                "Weights": [told(row.weights_bytes) for row in rows],
                "Of contexts": [told(row.contexts_bytes) for row in rows],
                "Together": [told(row.device_bytes) for row in rows],
                "On the host": [told(row.host_bytes) for row in rows],
            }
        )
        st.dataframe(frame, hide_index=True, placeholder=UNKNOWN, alt="Memory by the number of contexts")
    with right:
        show_chart(
            contexts_figure(rows),
            f"contexts-{digest(build)}",
            f"{memory_text(memory)} The table beside it has the sums.",
        )


def _own_profiles(request: BuildRequest, memory: EngineMemory) -> None:
    """Of an engine with several."""
    rows = profile_rows(memory, profiles_of(request))
    if not rows:
        return
    st.header("Profiles of this engine")
    frame = pd.DataFrame(
        {
            "Number": [row.number for row in rows],
            "Profile": [profile_text(row.profile) for row in rows],
            "Activations": [told(row.activation_bytes) for row in rows],
            "Largest scratch of a layer": [told(row.scratch_bytes) for row in rows],
        }
    )
    st.dataframe(frame, hide_index=True, placeholder=UNKNOWN, alt="Memory by profile")
    st.caption("A context takes what the largest of its engine's profiles does, unless it is made for one of them.")
