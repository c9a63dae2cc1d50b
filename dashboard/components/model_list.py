"""Stored models as rows that lead to their pages."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.base.units import digest, short_count, size
from core.models.model import Model
from dashboard import links
from dashboard.formatting import plain

SHOWN = 50


def model_rows(models: Sequence[Model], *, digests: bool = True) -> None:
    """A line a model: its name as the link, then what it is."""
    for model in models[:SHOWN]:
        with st.container(border=True):
            name, facts = st.columns([2, 3], vertical_alignment="center")
            with name:
                links.link(links.MODEL, plain(model.name), icon=":material/deployed_code:", model=model.digest)
            parameters = f" · {short_count(model.parameters)} parameters" if model.parameters is not None else ""
            mark = f" · `{digest(model.digest)}`" if digests else ""
            facts.markdown(f":gray[{model.format.label} · {size(model.size_bytes)}{parameters}{mark}]")
    if len(models) > SHOWN:
        st.caption(f"{len(models) - SHOWN:,} more: search by name to find them.")


def matching(models: Sequence[Model], text: str) -> list[Model]:
    """The models whose name, format or digest has the text in it."""
    wanted = text.strip().lower()
    return [model for model in models if wanted in f"{model.name}\n{model.format.label}\n{model.digest}".lower()]
