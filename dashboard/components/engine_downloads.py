"""What a colleague may want to take along."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.analysis.sources import source_rows
from core.base import units
from core.request.commands import report_command_for
from core.stages.child import LOG_FILE
from core.stages.outcome import Outcome
from dashboard import access, services
from dashboard.components.csv_button import csv_button
from dashboard.components.layer_table import layer_frame, source_frame
from dashboard.components.layer_view import layer_view
from dashboard.report import report_button


def downloads(outcome: Outcome) -> None:
    """A menu; files go by our own routes and never through the page's memory."""
    key = outcome.build.key
    with st.popover("Download", icon=":material/download:"):
        ticket = access.token()
        engine = outcome.built.engine if outcome.built else None
        _file(f"Engine · {units.size(engine.size_bytes) if engine else 'not built'}", key, "engine", ticket, there=bool(engine))
        _file("Model as built from", key, "model", ticket, there=outcome.prepared is not None)
        _file("Log", key, "log", ticket, there=_has_text(services.workspace().build_folder(key) / LOG_FILE))
        view = layer_view(key)
        stem = f"{outcome.model.name}-{units.digest(key)}"
        if view:
            csv_button("Layers as CSV", lambda: layer_frame(view.rows), f"{stem}-layers", width="stretch")
            csv_button("Source nodes as CSV", lambda: source_frame(source_rows(view.graph)), f"{stem}-nodes", width="stretch")
        report_button([outcome], f"{stem}.html")
        st.caption("The report is one file that opens without a network. On the command line:")
        st.code(report_command_for([key], f"{stem}.html"), language=None, wrap_lines=True)


def _has_text(log: Path) -> bool:
    return log.exists() and log.stat().st_size > 0


def _file(label: str, key: str, what: str, ticket: str, *, there: bool) -> None:
    url = f"/engine-room/builds/{key}/{what}?token={ticket}"
    st.link_button(label, url, icon=":material/download:", width="stretch", disabled=not there)
