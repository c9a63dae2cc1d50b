"""Engine: what one build made, how fast and how right it is, and what became of the model's nodes."""

from __future__ import annotations

import streamlit as st

from core.base.errors import EngineRoomError
from core.storage.builds import State
from dashboard import links, services
from dashboard.components.build_picker import pick_build
from dashboard.components.engine_build import build_section
from dashboard.components.engine_downloads import downloads
from dashboard.components.engine_head import follow_running, headline, show_failed_stages, title_row
from dashboard.components.engine_run import run_section
from dashboard.components.findings_list import findings_section
from dashboard.components.job_list import tell_retried
from dashboard.components.layer_section import layer_section
from dashboard.components.layer_table import source_table
from dashboard.components.layer_view import layer_view, outcome
from dashboard.components.measure_again import measure_again_section
from dashboard.components.measurement import measurement_section
from dashboard.components.memory_section import memory_section
from dashboard.components.parity import parity_section
from dashboard.components.precision_section import precision_section
from dashboard.failures import show_error

key = links.chosen("build")
if key is None:
    st.title("Engine")
    pick_build()
    st.stop()
services.bring_runs()
tell_retried()
try:
    found = outcome(key)
except EngineRoomError as error:
    st.title("Engine")
    show_error(error)
    pick_build()
    st.stop()

build = found.build
title_row(found, downloads)
show_failed_stages(found)
if build.state in (State.WAITING, State.RUNNING):
    follow_running(found)
run_section(found)
headline(found)
measure_again_section(found)

LAYERS, SOURCES, FINDINGS, PRECISION, MEMORY, MEASUREMENT, PARITY, BUILD = SECTIONS = (
    "Fused layers", "Source nodes", "Findings", "Precision", "Memory", "Measurement", "Parity", "Build",
)  # fmt: skip
tabs = dict(zip(SECTIONS, st.tabs(SECTIONS, key="section", on_change="rerun", bind="query-params"), strict=True))
view = layer_view(build.key)
if tabs[LAYERS].open:
    with tabs[LAYERS]:
        layer_section(build.key)
if tabs[SOURCES].open:
    with tabs[SOURCES]:
        source_table(build.key, view)
if tabs[FINDINGS].open:
    with tabs[FINDINGS]:
        findings_section(found, view)
if tabs[PRECISION].open:
    with tabs[PRECISION]:
        precision_section(found)
if tabs[MEMORY].open:
    with tabs[MEMORY]:
        memory_section(found, view)
if tabs[MEASUREMENT].open:
    with tabs[MEASUREMENT]:
        measurement_section(found)
if tabs[PARITY].open:
    with tabs[PARITY]:
        parity_section(found)
if tabs[BUILD].open:
    with tabs[BUILD]:
        build_section(found)
