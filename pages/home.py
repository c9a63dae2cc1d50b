"""Home: what this is, a model to begin with, what can be built here, and what was done lately."""

from __future__ import annotations

import streamlit as st

from dashboard import links, services
from dashboard.components.add_model import add_model, sample_button
from dashboard.components.backends_list import show_offers
from dashboard.components.model_list import model_rows
from dashboard.components.recent_builds import show_recent_builds

RECENT = 5

models = services.models()

st.title("Engine Room")
st.markdown(
    "Bring a trained model, build it by every path that your machines offer, and see what happened inside: which operations "
    "were fused into which layers, how large and how fast each engine is, and whether it still gives the same answers."
)

begin, machine = st.columns([3, 2], gap="large")
with begin:
    st.header("Begin with a model" if not models else "Add a model")
    add_model()
    with st.container(horizontal=True, vertical_alignment="center"):
        sample_button(primary=not models)
        st.caption("No model at hand? This one is small and builds in seconds.")
with machine:
    st.header("What can be built here")
    show_offers()
    links.link(links.SYSTEM, "Why not, and what to do", icon=":material/monitor_heart:")

recent_models, recent_builds = st.columns(2, gap="large")
with recent_models:
    st.header("Models")
    model_rows(models[:RECENT], digests=False)
    if models:
        links.link(links.MODEL, f"All models ({len(models)})", icon=":material/arrow_forward:")
    else:
        st.caption("None yet. What you add is stored here for everybody who uses this dashboard.")
with recent_builds:
    st.header("Builds")
    show_recent_builds(RECENT)
