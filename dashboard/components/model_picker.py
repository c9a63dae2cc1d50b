"""Chooses a stored model, and keeps the choice in the address."""

from __future__ import annotations

import streamlit as st

from core.base import units
from core.models.model import Model
from dashboard import links, services
from dashboard.formatting import plain, visible

PARAMETER = "model"


def choose_model() -> Model | None:
    """The chosen model; an empty state with a way out when none is stored."""
    models = services.models()
    if not models:
        st.info("No model is stored yet.", icon=":material/inventory_2:")
        links.link(links.MODEL, "Upload one, or take the sample", icon=":material/upload:")
        return None
    by_digest = {model.digest: model for model in models}
    asked = links.chosen(PARAMETER) or ""
    found = next((digest for digest in by_digest if asked and digest.startswith(asked)), None)
    if asked and not found:
        st.warning(f"No model is stored as {plain(repr(asked[:40]))}; here is the newest.", icon=":material/search_off:")
    start = found or next(iter(by_digest))
    chosen = st.selectbox(
        "Model",
        list(by_digest),
        index=list(by_digest).index(start),
        format_func=lambda digest: _title(by_digest[digest]),
        help="Every model stored on this server.",
    )
    st.query_params[PARAMETER] = chosen
    return by_digest[chosen]


def _title(model: Model) -> str:
    return f"{visible(model.name)} · {model.format.label} · {units.digest(model.digest)}"
