"""Chooses a stored build, newest first."""

from __future__ import annotations

import time

import streamlit as st

from core.base import units
from core.models.model import Model
from core.storage.builds import Build, all_builds
from dashboard import links, services
from dashboard.formatting import plain

SHOWN = 30


def pick_build() -> None:
    """A link to each of the newest builds; an empty state with a way out when there is none."""
    workspace = services.workspace()
    builds = all_builds(workspace)
    if not builds:
        st.info(
            "Nothing has been built yet. A build leaves an engine, and this page shows what is in it.", icon=":material/memory:"
        )
        links.link(links.BUILD, "Build something", icon=":material/play_arrow:")
        return
    models = {model.digest: model for model in workspace.all_models()}
    st.markdown("Choose a build, newest first.")
    for build in builds[:SHOWN]:
        links.link(links.ENGINE, build_title(build, models.get(build.request.model)), icon=":material/memory:", build=build.key)
    if len(builds) > SHOWN:
        st.caption(f"And {len(builds) - SHOWN:,} older ones: Compare lists all builds of a model.")


def build_title(build: Build, model: Model | None) -> str:
    name = model.name if model else f"model {units.digest(build.request.model)}"
    made = units.ago(build.latest_at, time.time())
    return f"{plain(name)}: {plain(build.request.full_title)} · {build.state.value} {made}"
