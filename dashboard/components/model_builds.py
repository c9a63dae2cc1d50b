"""What was built of a model, and what could be."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from core.base import units
from core.models.model import Model
from core.request.paths import paths_for
from core.storage.builds import Build, StageName, State
from dashboard import links, services
from dashboard.components.job_status import COLOURS
from dashboard.components.settings_line import settings_line
from dashboard.components.weak_badge import weak_markdown
from dashboard.formatting import plain, sentence

SHOWN = 12


def show_builds(builds: Sequence[Build]) -> None:
    st.header(f"Builds · {len(builds)}" if builds else "Builds")
    if not builds:
        st.caption("None yet. Build this model to see its layers, size, latency and parity.")
    for build in builds[:SHOWN]:
        with st.container(border=True):
            name, figures = st.columns([3, 4], vertical_alignment="center")
            with name:
                links.link(links.ENGINE, build.request.title, icon=":material/memory:", build=build.key)
                settings_line(build.request)
            figures.markdown(_figures(build))
    if len(builds) > SHOWN:
        st.caption(f"{len(builds) - SHOWN:,} older ones are on the Compare page.")


def _figures(build: Build) -> str:
    when = units.ago(build.finished_at or build.created_at, time.time())
    if build.state is not State.DONE:
        reason = f" {plain(build.error.message)}" if build.error else ""
        return f":{COLOURS[build.state.value]}-badge[{build.state.value}] :gray[{when}]{reason}"
    found = services.figures(build)
    colour = {True: "green", False: "red", None: "gray"}[found.on_par]
    parity = f":{colour}-badge[{found.verdict}]" + (f" :red-badge[{found.stamp}]" if found.stamp else "")
    size = units.size(found.size_bytes)
    if build.not_run:
        stamp = f" · :red-badge[{found.stamp}]" if found.stamp else ""
        return f"**{plain(build.missing(StageName.MEASURE))}** · {size}{stamp} :gray[{when}]"
    where = f" on {plain(build.ran_elsewhere.name)}" if build.ran_elsewhere else ""
    return f"**{units.milliseconds(found.median_ms)}**{weak_markdown(found.weak)}{where} · {size} · {parity} :gray[{when}]"


def show_paths(model: Model) -> None:
    """Every path from this model's format; for those that do not work here, what they lack."""
    paths = paths_for(model)
    st.header(f"Paths · {sum(path.available for path in paths)} of {len(paths)} work on this machine")
    st.markdown("  \n".join(f":green[:material/check_circle:] {path.title}" for path in paths if path.available))
    lacking: dict[tuple[str, str], list[str]] = {}
    for path in paths:
        if path.obstacles:
            lacking.setdefault((path.obstacles[0].reason, path.obstacles[0].hint), []).append(path.title)
    for (reason, hint), titles in lacking.items():
        with st.expander(f"{', '.join(titles)}: {sentence(reason)}", icon=":material/do_not_disturb_on:"):
            st.markdown(f"What to do: {sentence(hint)}" if hint else "Nothing can be done about it here.")
    if lacking:
        st.caption("Workers on other machines may offer more; the Build page asks them.")
