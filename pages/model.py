"""Models: all of them, or what one of them is and where it can go."""

from __future__ import annotations

import streamlit as st

from core.base.errors import NotFound
from dashboard import links, services
from dashboard.components.add_model import add_model, sample_button
from dashboard.components.model_builds import show_builds, show_paths
from dashboard.components.model_delete import ask_to_delete, tell_deleted
from dashboard.components.model_list import matching, model_rows
from dashboard.components.model_view import show_facts, show_graph, show_ops, show_signatures, shown_signature
from dashboard.components.preflight_section import show_preflight
from dashboard.failures import show_error
from dashboard.formatting import plain

chosen = links.chosen("model")
tell_deleted()

if chosen is None:
    st.title("Models")
    models = services.models()
    search = st.text_input("Search", placeholder="name, format or digest") if len(models) > 5 else ""
    found = matching(models, search)
    model_rows(found)
    if search and not found:
        st.caption("No model has that in its name, format or digest.")
    st.header("Add a model")
    add_model()
    sample_button(primary=not models)
    st.stop()

try:
    model = services.model(chosen)
except NotFound as error:
    st.title("Models")
    show_error(error)
    links.link(links.MODEL, "All models", icon=":material/arrow_back:")
    st.stop()

builds = services.builds_of(model.digest)
links.link(links.MODEL, "All models", icon=":material/arrow_back:")
title, actions = st.columns([3, 2], vertical_alignment="center")
title.title(plain(model.name))
with actions, st.container(horizontal=True, horizontal_alignment="right"):
    if st.button("Build it", type="primary", icon=":material/play_arrow:"):
        links.go(links.BUILD, model=model.digest)
    if st.button("Compare its builds", icon=":material/compare_arrows:", disabled=not builds):
        links.go(links.COMPARE, model=model.digest)
    if st.button("Delete", icon=":material/delete:"):
        ask_to_delete(model, builds)

show_facts(model)
signatures, ops = st.columns([3, 2], gap="large")
with signatures:
    show_signatures(model)
    show_builds(builds)
with ops:
    show_ops(model)
told, target = show_preflight(model, shown_signature(model))
show_graph(model, builds, told, target)
show_paths(model)
