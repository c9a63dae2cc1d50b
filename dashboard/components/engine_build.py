"""How an engine was made: stages, the command that makes it again, versions, what the conversion changed, the log."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.analysis.preparation import StageChange, stage_changes
from core.analysis.summary import devices_text
from core.base import units
from core.precision.settings import settings_as_texts
from core.request.build_request import effective_options
from core.request.commands import command_for
from core.stages.child import LOG_FILE
from core.stages.outcome import Outcome
from core.stages.stage import MOST_NAMES
from dashboard import services
from dashboard.components.tables import facts_table
from dashboard.formatting import plain

LOG_HEIGHT = 360
LOG_BYTES = 200_000


def build_section(outcome: Outcome) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        _stages(outcome)
        st.markdown("**The same on the command line**")
        st.code(command_for(outcome.build.request, services.workspace().data_path), language=None, wrap_lines=True)
    with right:
        _asked(outcome)
        _versions(outcome)
    for change in stage_changes(outcome):
        _changed(change)
    for note in outcome.notes:
        st.caption(plain(note))
    _log(outcome)


def _stages(outcome: Outcome) -> None:
    st.markdown("**Stages**")
    build, records = outcome.build, outcome.build.all_stages
    place, own = build.ran_elsewhere, len(build.stages)
    frame = pd.DataFrame(
        {
            "Stage": [record.stage.value for record in records],
            "Where": [place.name if place and at >= own else "where it was built" for at, _ in enumerate(records)],
            "State": [record.state.value for record in records],
            "Seconds": pd.array([record.seconds for record in records], dtype="Float64"),
            "Error": [record.error.message if record.error else None for record in records],
        }
    )
    if not any(record.error for record in records):
        frame = frame.drop(columns=["Error"])
    if not place:
        frame = frame.drop(columns=["Where"])
    longest = max((record.seconds or 0.0 for record in records), default=0.0)
    st.dataframe(
        frame,
        hide_index=True,
        placeholder=units.UNKNOWN,
        column_config={
            "Seconds": st.column_config.ProgressColumn(
                format="%.2f s", min_value=0.0, max_value=max(longest, 1e-9), width="medium"
            )
        },
        alt="Stages of the build with their times",
    )
    if outcome.prepared and outcome.prepared.reused:
        st.caption(f"The converted model was there already; making it had taken {units.seconds(outcome.prepared.made_seconds)}.")
    if outcome.built and outcome.built.reused:
        st.caption(f"The engine was there already; building it had taken {units.seconds(outcome.built.build_seconds)}.")


def _asked(outcome: Outcome) -> None:
    request = outcome.build.request
    facts = {"path": request.path, "precision": request.precision.value, "device": devices_text(outcome.build)}
    if outcome.build.built_on:
        facts["built on"] = outcome.build.built_on.text
    facts |= {"signature": request.signature or "default"}
    facts |= {f"axis {symbol}": f"{axis.min} : {axis.opt} : {axis.max}" for symbol, axis in request.profile.axes.items()}
    facts |= {"threads": str(request.threads or "all cores"), "seed": str(request.seed)}
    facts |= {name: str(value) for name, value in effective_options(request).items()}
    facts |= dict(text.split("=", 1) for text in settings_as_texts(request.lowering))
    if outcome.walls:
        facts |= {"walls around the model": outcome.walls.words}
    facts_table("What was asked", facts, "Name")


def _versions(outcome: Outcome) -> None:
    facts_table("Versions", outcome.versions, "Package")


def _changed(change: StageChange) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        facts_table(change.title, change.prepared.details)
        _changed_nodes(change)
    with right:
        if change.ops:
            st.markdown("**Ops before and after**")
            frame = pd.DataFrame(change.ops, columns=["Op", "Before", "After"])
            st.dataframe(
                frame, hide_index=True, placeholder=units.UNKNOWN, alt=f"Ops before and after the {change.stage.value} stage"
            )


def _changed_nodes(change: StageChange) -> None:
    rows = [(node, how) for how, names in change.prepared.changed.items() for node in names]
    if not rows:
        return
    with st.expander(f"{units.plural(len(rows), 'node')} by name"):
        frame = pd.DataFrame(rows, columns=["Node", "What became of it"])
        st.dataframe(frame, hide_index=True, placeholder=units.UNKNOWN, alt=f"Nodes that the {change.stage.value} stage changed")
        if any(len(names) == MOST_NAMES for names in change.prepared.changed.values()):
            st.caption(f"At most {MOST_NAMES} of each kind are kept.")


def _log(outcome: Outcome) -> None:
    path = services.workspace().build_folder(outcome.build.key) / LOG_FILE
    with st.expander("Log", icon=":material/article:"):
        if not path.exists():
            st.caption("This build left no log.")
            return
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - LOG_BYTES))
            st.code(stream.read().decode(errors="replace"), language=None, height=LOG_HEIGHT)
        if path.stat().st_size > LOG_BYTES:
            st.caption(f"The last {units.size(LOG_BYTES)} of {units.size(path.stat().st_size)}; Downloads has all of it.")
